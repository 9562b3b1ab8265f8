"""The index of a library: one entry for each instance, built from the files and the verifier's verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from kvopt import verify
from kvopt.errors import InputError
from kvopt.io.files import read_bytes, write_bytes
from kvopt.io.formats import ResultFile, parse_result, read
from kvopt.library.files import instance_files, result_file
from kvopt.library.readme import readme
from kvopt.model import Instance

#: What the verifier makes of a result, in the words of the index.
OPTIMAL, GAP, FEASIBLE, REFUSED, NONE = "proved optimal", "certified gap", "feasible", "refused", "no result"


class Entry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One instance and what is known about it.

    Attributes
    ----------
    family, name, file : str
        Folder, name and path below the root.
    digest : str
        Of the instance.
    requests, types, capacity : int
        n, K, M.
    last_arrival : int
        0 for a backlog.
    total_latency : int or None
        Of the best schedule known.
    lower_bound : int or None
        Certified by a certificate that was checked; never a solver's bare claim.
    gap : str or None
        (total latency - lower bound) / lower bound as a fraction.
    proof : str
        ``proved optimal``, ``certified gap``, ``feasible``, ``refused`` or ``no result``: the verifier's verdict.
    certificate : str or None
        Its kind.
    solver, seconds, found_on, version : str, float, str, str or None
        How the schedule was obtained: solver, its run time, date, kvopt version.
    bound_solver : str or None
        Who made the certificate, where that is another solver.
    result, result_sha256 : str or None
        Result file below the root, and its hash.
    """

    family: str
    name: str
    file: str
    digest: str
    requests: int
    types: int
    capacity: int
    last_arrival: int
    total_latency: int | None = None
    lower_bound: int | None = None
    gap: str | None = None
    proof: str = NONE
    certificate: str | None = None
    solver: str | None = None
    bound_solver: str | None = None
    seconds: float | None = None
    found_on: str | None = None
    version: str | None = None
    result: str | None = None
    result_sha256: str | None = None


class IndexFile(msgspec.Struct, forbid_unknown_fields=True):
    """The file ``index.json``."""

    format: str
    version: int
    instances: list[Entry]


def entry_of(instance_path: Path, root: Path) -> tuple[Entry, tuple[str, ...]]:
    """The entry of an instance and the violations the verifier found; nothing is taken on trust.

    Parameters
    ----------
    instance_path : Path
        An instance file below `root`.
    root : Path
        Folder of the library.

    Returns
    -------
    entry : Entry
    violations : tuple of str
        Why the result is refused; empty if it is not.
    """
    instance = read(instance_path)
    bare = bare_entry(instance, instance_path, root)
    path = result_file(instance_path)
    if path is None:
        return bare, ()
    try:
        file = parse_result(read_bytes(path), str(path))
    except InputError as error:
        return msgspec.structs.replace(bare, proof=REFUSED), (str(error),)
    found = verify.verify_result(verify.Problem.of(instance), msgspec.to_builtins(file))
    return result_entry(bare, file, found, path, root), tuple(str(violation) for violation in found.violations)


def bare_entry(instance: Instance, path: Path, root: Path) -> Entry:
    """The entry of an instance without a result."""
    return Entry(
        family=path.parent.name,
        name=instance.name,
        file=path.relative_to(root).as_posix(),
        digest=instance.digest,
        requests=instance.n,
        types=len(instance.types),
        capacity=instance.capacity,
        last_arrival=int(instance.arrival.max()),
    )


def result_entry(bare: Entry, file: ResultFile, found: verify.Verification, path: Path, root: Path) -> Entry:
    """`bare` with what a verified result adds."""
    value, bound = found.total_latency, found.lower_bound
    if found.verdict == verify.REFUSED:
        proof, bound = REFUSED, None
    elif found.optimal:
        proof = OPTIMAL
    elif value is not None and bound is not None:
        proof = GAP
    else:
        proof = NONE if value is None else FEASIBLE
    gap = str(Fraction(value - bound, bound)) if proof in (OPTIMAL, GAP) and value is not None and bound else None
    return msgspec.structs.replace(
        bare,
        total_latency=value,
        lower_bound=bound,
        gap=gap,
        proof=proof,
        certificate=None if file.certificate is None else file.certificate["kind"],
        solver=file.solver,
        bound_solver=stated(file, "bound_solver", str),
        seconds=stated(file, "runtime_s", float, int),
        found_on=stated(file, "found_on", str),
        version=file.versions.get("kvopt"),
        result=path.relative_to(root).as_posix(),
        result_sha256=file_hash(path),
    )


def stated(file: ResultFile, key: str, *kinds: type) -> Any:
    """An entry of the free statistics, None where it is missing or not of a kind that the index can hold."""
    value = file.statistics.get(key)
    sane = isinstance(value, str) or (isinstance(value, int | float) and 0 <= value < 1e12)
    return value if isinstance(value, kinds) and sane else None


def file_hash(path: Path) -> str:
    """SHA-256 of a file as it is stored."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entries(paths: Iterable[Path], root: Path, jobs: int) -> list[tuple[Entry, tuple[str, ...]]]:
    """`entry_of` for many files, in `jobs` processes, in their order."""
    paths = list(paths)
    if jobs == 1 or len(paths) < 2:
        return [entry_of(path, root) for path in paths]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(entry_of, paths, [root] * len(paths)))


def read_index(root: str | Path) -> list[Entry]:
    """The entries of ``index.json``; an empty list if there is no such file.

    Parameters
    ----------
    root : str or Path
        Folder of the library.

    Returns
    -------
    list of Entry

    Raises
    ------
    InputError
        If the file breaks its format.
    """
    path = Path(root) / "index.json"
    if not path.exists():
        return []
    try:
        return msgspec.json.decode(read_bytes(path), type=IndexFile).instances
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: {error}; make it anew with `kvopt library index`") from None


def build_index(root: str | Path, jobs: int = 1) -> list[Entry]:
    """Entries of all instances below `root`; results unchanged since the index was written are not verified again.

    A broken index is made anew, and everything is verified.

    Parameters
    ----------
    root : str or Path
        Folder of the library.
    jobs : int
        Processes.

    Returns
    -------
    list of Entry
        Sorted by family and name.
    """
    root = Path(root)
    try:
        known = {entry.file: entry for entry in read_index(root)}
    except InputError:
        known = {}
    paths = instance_files(root)
    fresh = [path for path in paths if not unchanged(path, root, known)]
    known |= {entry.file: entry for entry, _ in entries(fresh, root, jobs)}
    return [known[path.relative_to(root).as_posix()] for path in paths]


def unchanged(path: Path, root: Path, known: dict[str, Entry]) -> bool:
    """Whether the index entry of an instance was made from the very files that are there now."""
    entry = known.get(path.relative_to(root).as_posix())
    if entry is None or read(path).digest != entry.digest:
        return False
    result = result_file(path)
    if result is None:
        return entry.result is None
    return entry.result == result.relative_to(root).as_posix() and entry.result_sha256 == file_hash(result)


def write_index(root: str | Path, made: list[Entry]) -> None:
    """Write ``index.json`` (an entry a line) and ``README.md``.

    Parameters
    ----------
    root : str or Path
        Folder of the library.
    made : list of Entry
        Sorted by family and name.
    """
    write_bytes(Path(root) / "index.json", encode_index(made))
    write_bytes(Path(root) / "README.md", readme(made).encode())


def encode_index(made: list[Entry]) -> bytes:
    """The bytes of ``index.json``."""
    lines = ",\n".join("  " + msgspec.json.encode(entry).decode() for entry in made)
    return f'{{"format": "kvopt/index", "version": 1, "instances": [\n{lines}\n]}}\n'.encode()
