"""Measured iterations from a table: an iteration-time model of one's own hardware."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

from kvopt.errors import InputError
from kvopt.hardware import ITERATION_TIMES, IterationTime, find_iteration_time
from kvopt.io.files import read_bytes

#: Columns a profile must have; others are left out.
COLUMNS = ("prefill_tokens", "decode_requests", "kv_tokens", "time_ms")


def read_profile(path: str | Path, token_budget: int | None = None) -> IterationTime:
    """Fit an iteration time to a CSV file with one measured iteration a row.

    Parameters
    ----------
    path : str or Path
        Columns ``prefill_tokens``, ``decode_requests``, ``kv_tokens`` and ``time_ms`` (header line), ``.gz`` or not.
    token_budget : int, optional
        Kept in the result.

    Returns
    -------
    IterationTime
        See `IterationTime.fit`; `source` names the file.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column or has a value that is no number (line and value are named), or the
        fit is impossible.
    """
    columns: list[list[float]] = [[] for _ in COLUMNS]
    try:
        reader = csv.reader(io.StringIO(read_bytes(path).decode("utf-8-sig")))
        header = [name.strip() for name in next(reader, [])]
        for name in COLUMNS:
            if name not in header:
                found = ", ".join(header)[:100] or "nothing"
                raise InputError(f"{path}: line 1: the column {name!r} is missing; the header has {found}")
        places = [header.index(name) for name in COLUMNS]
        for cells in filter(None, reader):
            for name, place, column in zip(COLUMNS, places, columns, strict=True):
                cell = cells[place] if place < len(cells) else ""
                column.append(measured(cell, f"{path}: line {reader.line_num}: {name}"))
        fitted = IterationTime.fit(columns[0], columns[1], columns[2], columns[3], token_budget)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a table ({error})") from None
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from None
    return replace(fitted, source=f"{Path(path).name}: {fitted.source}")


def measured(cell: str, what: str) -> float:
    """A finite number of at least 0."""
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise InputError(f"{what}: expected a number of at least 0, got {cell[:40]!r}")
    return value


def choose_iteration_time(text: str) -> IterationTime:
    """A preset by name, or a fit to the file of that name if it ends in ``.csv`` or ``.csv.gz``.

    Raises
    ------
    InputError
        If there is no such preset (the message lists them), or the file is bad.
    """
    is_file = text.removesuffix(".gz").endswith(".csv") and text not in ITERATION_TIMES
    return read_profile(text) if is_file else find_iteration_time(text)
