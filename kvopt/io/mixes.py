"""Types of requests with rates, from a JSON list or a CSV table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec

from kvopt.errors import InputError
from kvopt.fluid import Mix
from kvopt.io.files import read_bytes


class TypeRow(msgspec.Struct, forbid_unknown_fields=True):
    """One type."""

    prompt: int
    output: int
    rate: float


def read_mix(path: str | Path) -> Mix:
    """Read a mix: a JSON list of objects or, by the ending ``.csv``, a table; keys ``prompt``, ``output``, ``rate``.

    Raises
    ------
    InputError
        Naming the file, the place and the rule.
    """
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
        rows = table(text) if str(path).removesuffix(".gz").endswith(".csv") else msgspec.json.decode(text)
        types = msgspec.convert(rows, list[TypeRow])
        return Mix.from_rows([(row.prompt, row.output, row.rate) for row in types])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, csv.Error, InputError) as error:
        raise InputError(f"{path}: {error}") from None


def table(text: str) -> list[dict[str, int | float]]:
    """The rows of a table with a header line, numbers as such."""
    reader = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(reader, [])]
    rows = []
    for cells in filter(None, reader):
        if len(cells) != len(header):
            raise InputError(f"line {reader.line_num}: {len(cells)} cells under {len(header)} column names")
        try:
            cast = {name: float if name == "rate" else int for name in header}
            rows.append({name: cast[name](cell) for name, cell in zip(header, cells, strict=True)})
        except ValueError as error:
            raise InputError(f"line {reader.line_num}: {error}") from None
    return rows
