"""The instance of a result file: a result carries only its name and digest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kvopt.errors import InputError
from kvopt.io.files import read_bytes
from kvopt.io.formats import InstanceRef, parse_instance, parse_result, read, read_result
from kvopt.model import Instance, Result


def read_results(paths: Sequence[str]) -> list[Result]:
    """Results with their instance: the first file if that is an instance, else a file next to each result.

    Raises
    ------
    InputError
        If a file breaks its format, no result is given, or the instance is missing or another one.
    """
    first = read_bytes(paths[0])
    if is_instance(first):
        if len(paths) == 1:
            raise InputError(f"{paths[0]}: an instance; give a result file after it")
        instance = parse_instance(first, paths[0])
        return [read_result(path, instance) for path in paths[1:]]
    return [read_result(path, find_instance(path)[1]) for path in paths]


def is_instance(data: bytes) -> bool:
    """Whether these are the bytes of a file that calls itself an instance."""
    try:
        raw: Any = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return False
    return isinstance(raw, dict) and raw.get("format") == "kvopt/instance"


def find_instance(path: str | Path) -> tuple[Path, Instance]:
    """The instance in the folder of a result file that has the digest the result names, and its file.

    Looked for under the name of the instance and under the name of the result without ``.result``.

    Raises
    ------
    InputError
        If there is none; the message lists where it was looked for.
    """
    reference = parse_result(read_bytes(path), str(path)).instance
    tried = []
    for candidate in candidates(Path(path), reference):
        if not candidate.is_file():
            tried.append(f"{candidate}: no such file")
            continue
        instance = read(candidate)
        if instance.digest == reference.digest:
            return candidate, instance
        tried.append(f"{candidate}: another instance, digest {instance.digest}")
    raise InputError(
        f"{path}: its instance {reference.name!r} with digest {reference.digest} is not next to it; "
        "name the instance file too\n" + "\n".join(f"  {line}" for line in tried)
    )


def candidates(path: Path, reference: InstanceRef) -> Iterator[Path]:
    """Where the instance of a result file may stand."""
    stem = result_stem(path)
    # The name comes out of a file: only its last part, so that it cannot lead out of the folder.
    for name in dict.fromkeys((Path(reference.name).name, stem)):
        yield path.with_name(f"{name}.json")
        yield path.with_name(f"{name}.json.gz")


def result_stem(path: Path) -> str:
    """Name of a result file without its endings.

    >>> result_stem(Path("out/toy.result.json.gz"))
    'toy'
    """
    return path.name.removesuffix(".gz").removesuffix(".json").removesuffix(".result")
