"""Instance and result files: one definition for reading, writing and the published JSON Schema.

The structures below are the format. Reading is strict: unknown keys, floats, booleans and values out of
range are errors. A correct file takes the fast way (one typed decode); only a file with an error is walked
a second time, value by value, to report every error at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np

from kvopt.arguments import instance_of
from kvopt.errors import InputError
from kvopt.io.files import read_bytes, write_bytes
from kvopt.io.repeated_keys import has_repeated_keys, repeated_keys
from kvopt.model import MAX_REQUESTS, MAX_VALUE, Certificate, Instance, Result, Schedule, Status

#: Errors of one file that are listed before the report is cut.
MAX_REPORTED = 20

#: What decoding raises for bytes that are no JSON text: malformed, not UTF-8, nested beyond reason.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

NonNegative = Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUE)]
#: Far above any start that can be needed, and small enough for int64 arithmetic.
StartRound = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MAX_VALUE)]


class RequestRow(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One line of an instance file: `count` requests with the same figures."""

    prompt: NonNegative
    output: Positive
    count: Positive = 1
    arrival: NonNegative = 0
    id: str | None = None


class InstanceFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An instance file."""

    format: Literal["kvopt/instance"]
    version: Literal[1]
    capacity: Positive
    requests: Annotated[list[RequestRow], msgspec.Meta(min_length=1)]
    name: str | None = None
    meta: dict[str, Any] = {}


class InstanceRef(msgspec.Struct, forbid_unknown_fields=True):
    """Which instance a result belongs to."""

    name: str
    digest: Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]


class ResultFile(msgspec.Struct, forbid_unknown_fields=True):
    """A result file; absent values are null."""

    format: Literal["kvopt/result"]
    version: Literal[1]
    instance: InstanceRef
    solver: str
    status: Status
    total_latency: int | None
    lower_bound: int | None
    starts: list[StartRound] | None
    certificate: dict[str, Any] | None = None
    limits: dict[str, Any] = {}
    statistics: dict[str, Any] = {}
    versions: dict[str, str] = {}


def json_schema(kind: Literal["instance", "result"]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a file format.

    >>> json_schema("instance")["$ref"]
    '#/$defs/InstanceFile'
    """
    structure = {"instance": InstanceFile, "result": ResultFile}[kind]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(structure)}


# ---------------------------------------------------------------- instances


def read(path: str | Path) -> Instance:
    """Read an instance file (``.json``, ``.json.gz``, ``-`` for standard input).

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Instance

    Raises
    ------
    InputError
        Naming the file and, for each error (at most 20), JSON path, value and rule.
    """
    return parse_instance(read_bytes(path), str(path))


def parse_instance(data: bytes, source: str = "instance") -> Instance:
    """Instance from the bytes of an instance file; `source` is named in errors."""
    try:
        file = msgspec.json.decode(data, type=InstanceFile)
    except NOT_JSON:
        raise report(source, instance_errors(data)) from None
    if has_repeated_keys(data):
        raise report(source, instance_errors(data))
    rows = file.requests
    prompt = np.fromiter((row.prompt for row in rows), np.int64, len(rows))
    output = np.fromiter((row.output for row in rows), np.int64, len(rows))
    arrival = np.fromiter((row.arrival for row in rows), np.int64, len(rows))
    count = np.fromiter((row.count for row in rows), np.int64, len(rows))
    named = any(row.id is not None for row in rows)
    if (prompt + output > file.capacity).any() or count.sum() > MAX_REQUESTS or named:
        errors = list(row_rule_errors(file.capacity, dict(enumerate(rows))))
        if errors:
            raise report(source, errors)
    stem = Path(source).name.removesuffix(".gz").removesuffix(".json") if source != "-" else "stdin"
    return Instance(
        capacity=file.capacity,
        prompt=np.repeat(prompt, count),
        output=np.repeat(output, count),
        arrival=np.repeat(arrival, count),
        name=file.name if file.name is not None else stem,
        ids=tuple(expanded_ids(rows)) if named else None,
        meta=file.meta,
    )


def expanded_ids(rows: list[RequestRow]) -> Iterator[str]:
    """An identifier for each request: the row's id, numbered where the row stands for several."""
    number = 0
    for row in rows:
        for j in range(row.count):
            if row.id is None:
                yield str(number)
            else:
                yield row.id if row.count == 1 else f"{row.id}[{j}]"
            number += 1


def row_rule_errors(capacity: int | None, rows: dict[int, RequestRow]) -> Iterator[str]:
    """Breaches of the rules that join several values, for the well-typed rows (by their place) of a file."""
    seen: dict[str, int] = {}
    for i, row in rows.items():
        if capacity is not None and row.prompt + row.output > capacity:
            yield (
                f"$.requests[{i}]: prompt {row.prompt} + output {row.output} = {row.prompt + row.output} "
                f"exceeds the capacity {capacity}; this request can never run"
            )
        if row.id is not None:
            if row.id in seen:
                yield f"$.requests[{i}].id: {row.id!r} is already the id of $.requests[{seen[row.id]}]"
            seen.setdefault(row.id, i)
    total = sum(row.count for row in rows.values())
    if total > MAX_REQUESTS:
        yield f"$.requests: {total} requests in all; at most {MAX_REQUESTS} are supported"
    elif len(seen) == sum(row.id is not None for row in rows.values()):
        known: set[str] = set()
        for name in expanded_ids(list(rows.values())) if seen else ():
            if name in known:
                yield f"$.requests: after expanding counts, two requests are called {name!r}"
            known.add(name)


def not_json(data: bytes, error: Exception) -> str:
    """Why bytes are no JSON text; of wrong UTF-8 with place and byte, which msgspec does not tell from 0.23 on."""
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        error = wrong
    return f"not valid JSON ({error})"


def instance_errors(data: bytes) -> Iterator[str]:
    """Every error of a file that does not decode as an `InstanceFile`, or repeats a key."""
    try:
        raw = msgspec.json.decode(data)
    except NOT_JSON as error:
        yield not_json(data, error)
        return
    yield from repeated_keys(data)
    if not isinstance(raw, dict):
        yield f"$: expected an object, got {shown(raw)}"
        return
    yield from field_errors(raw, InstanceFile, "$", skip=("requests",))
    rows = raw.get("requests")
    if not isinstance(rows, list) or not rows:
        if "requests" in raw:
            yield f"$.requests: expected a list with at least one request, got {shown(rows)}"
        return
    good: dict[int, RequestRow] = {}
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            yield f"$.requests[{i}]: expected an object, got {shown(row)}"
            continue
        errors = list(field_errors(row, RequestRow, f"$.requests[{i}]"))
        yield from errors
        if not errors:
            good[i] = msgspec.convert(row, RequestRow)
    capacity = raw.get("capacity")
    checkable = type(capacity) is int and capacity >= 1
    yield from row_rule_errors(capacity if checkable else None, good)


def field_errors(raw: dict[str, Any], structure: type, path: str, skip: tuple[str, ...] = ()) -> Iterator[str]:
    """Errors of one JSON object against a structure, one for each wrong, unknown or missing key."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(structure)}
    for key, value in raw.items():
        if key not in fields:
            yield f"$.{key}: unknown key" if path == "$" else f"{path}.{key}: unknown key"
        elif key not in skip:
            try:
                msgspec.convert(value, fields[key].type)
            except msgspec.ValidationError as error:
                yield f"{path}.{key}{explained(error, value, fields[key].type)}"
    for name, field in fields.items():
        if field.required and name not in raw:
            yield f"{path}: the key {name!r} is missing"


def explained(error: msgspec.ValidationError, value: Any, expected: Any) -> str:
    """Place within `value`, rule and offending value of a failed conversion, as ``[3]: expected int >= 0, got -1``."""
    rule, _, place = str(error).replace("`", "").partition(" - at $")
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", place):
        value = value[name] if name else value[int(index)]
    if rule.startswith("Invalid enum value"):
        allowed = get_args(expected) or [option.value for option in Status]
        rule = "expected " + " or ".join(shown(option) for option in allowed)
    return f"{place}: {rule[0].lower() + rule[1:].partition(', got ')[0]}, got {shown(value)}"


def shown(value: Any) -> str:
    """A JSON value as it stands in a message, cut when long."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def report(source: str, errors: Any) -> InputError:
    """One InputError for all errors of a file."""
    listed = list(errors) or ["does not follow the format"]
    lines = [f"{source}: {line}" for line in listed[:MAX_REPORTED]]
    if len(listed) > MAX_REPORTED:
        lines.append(f"{source}: ... and {len(listed) - MAX_REPORTED} more errors")
    return InputError("\n".join(lines))


def write(instance: Instance, path: str | Path) -> None:
    """Write an instance file; consecutive equal requests without ids become one row with a count.

    Parameters
    ----------
    instance : Instance
    path : str or Path
        ``.json``, ``.json.gz``, or ``-`` for standard output.
    """
    instance_of("instance", instance, Instance)
    write_bytes(path, encode_instance(instance))


def encode_instance(instance: Instance) -> bytes:
    """The bytes of an instance file: one request row a line, small enough to read and to diff."""
    columns = (instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist())
    names = instance.ids if instance.ids is not None else (None,) * instance.n
    rows = [
        RequestRow(prompt=s, output=o, arrival=a, id=name, count=sum(1 for _ in group))
        for (s, o, a, name), group in groupby(zip(*columns, names, strict=True))
    ]
    head: dict[str, Any] = {
        "format": "kvopt/instance",
        "version": 1,
        "name": instance.name,
        "capacity": instance.capacity,
    }
    body = ",\n".join("  " + msgspec.json.encode(row).decode() for row in rows)
    text = msgspec.json.encode(head).decode()[:-1] + ',\n "requests": [\n' + body + "\n ]"
    if instance.meta:
        text += ',\n "meta": ' + msgspec.json.encode(instance.meta).decode()
    return (text + "}\n").encode()


# ---------------------------------------------------------------- results


def read_result(path: str | Path, instance: Instance) -> Result:
    """Read a result file and tie it to its instance.

    The content is not verified here; that is for `kvopt.verify`.

    Parameters
    ----------
    path : str or Path
        ``.json``, ``.json.gz``, or ``-`` for standard input.
    instance : Instance
        The one that was solved.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        If the file breaks the format or was made for another instance (different digest).
    """
    instance_of("instance", instance, Instance)
    source = str(path)
    file = parse_result(read_bytes(path), source)
    if file.instance.digest != instance.digest:
        raise InputError(
            f"{source}: made for instance {file.instance.name!r} with digest {file.instance.digest}, "
            f"but {instance.name!r} has {instance.digest}"
        )
    if file.starts is not None and len(file.starts) != instance.n:
        raise InputError(f"{source}: $.starts: {len(file.starts)} starts for {instance.n} requests")
    certificate = None
    if file.certificate is not None:
        data = dict(file.certificate)
        certificate = Certificate(data.pop("kind"), data)
    return Result(
        instance=instance,
        solver=file.solver,
        status=file.status,
        schedule=None if file.starts is None else Schedule(instance, np.array(file.starts, dtype=np.int64)),
        lower_bound=file.lower_bound,
        certificate=certificate,
        limits=file.limits,
        statistics=file.statistics,
        versions=file.versions,
    )


def parse_result(data: bytes, source: str = "result") -> ResultFile:
    """The typed content of a result file; InputError for whatever breaks the format."""
    try:
        file = msgspec.json.decode(data, type=ResultFile)
    except NOT_JSON:
        raise report(source, result_errors(data)) from None
    if has_repeated_keys(data):
        raise report(source, result_errors(data))
    if file.certificate is not None and not isinstance(file.certificate.get("kind"), str):
        kind = shown(file.certificate.get("kind"))
        raise report(source, [f"$.certificate.kind: expected str, got {kind}"])
    return file


def result_errors(data: bytes) -> Iterator[str]:
    """Every error of a file that does not decode as a `ResultFile`, or repeats a key."""
    try:
        raw = msgspec.json.decode(data)
    except NOT_JSON as error:
        yield not_json(data, error)
        return
    yield from repeated_keys(data)
    if not isinstance(raw, dict):
        yield f"$: expected an object, got {shown(raw)}"
        return
    yield from field_errors(raw, ResultFile, "$")


def result_object(result: Result) -> ResultFile:
    """The result as it is written to files and to standard output with ``--json``."""
    return ResultFile(
        format="kvopt/result",
        version=1,
        instance=InstanceRef(name=result.instance.name, digest=result.instance.digest),
        solver=result.solver,
        status=result.status,
        total_latency=result.total_latency,
        lower_bound=result.lower_bound,
        starts=None if result.schedule is None else result.schedule.starts.tolist(),
        certificate=None if result.certificate is None else result.certificate.as_dict(),
        limits=dict(result.limits),
        statistics=dict(result.statistics),
        versions=dict(result.versions),
    )


def encode_result(result: Result) -> bytes:
    """The bytes of a result file, ending in a newline."""
    return msgspec.json.encode(result_object(result)) + b"\n"


def write_result(result: Result, path: str | Path) -> None:
    """Write a result file (``.json`` or ``.json.gz``), whole or not at all.

    Parameters
    ----------
    result : Result
    path : str or Path
        ``.json``, ``.json.gz``, or ``-`` for standard output.
    """
    instance_of("result", result, Result)
    write_bytes(path, encode_result(result))
