"""Tables with a header line and columns given by name (``csv``): the base of the formats that are tables."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import TextIO

from kvopt.errors import InputError
from kvopt.io.traces.row import Malformed, TraceRow, Unusable, nanoseconds, tokens


def rows(
    stream: TextIO, *, prompt_column: str, output_column: str, arrival_column: str | None = None
) -> Iterator[TraceRow | Unusable]:
    """Requests of a comma-separated file.

    Parameters
    ----------
    stream : text stream
    prompt_column, output_column : str
        Columns of token counts, as the header names them.
    arrival_column : str, optional
        Column of arrival times in seconds.

    Raises
    ------
    InputError
        If the header lacks one of the columns.
    """
    return table(stream, prompt_column, output_column, arrival_column, nanoseconds)


def table(
    stream: TextIO,
    prompt_column: str,
    output_column: str,
    arrival_column: str | None,
    clock: Callable[[str, str], int],
    optional_arrival: bool = False,
) -> Iterator[TraceRow | Unusable]:
    """The rows of a table; `clock` turns a cell of the arrival column into nanoseconds."""
    reader = csv.reader(stream)
    header = [name.strip() for name in next(reader, [])]
    if optional_arrival and arrival_column not in header:
        arrival_column = None
    wanted = [name for name in (prompt_column, output_column, arrival_column) if name is not None]
    for name in wanted:
        if name not in header:
            found = ", ".join(header)[:100] or "nothing"
            raise InputError(f"line 1: the column {name!r} is missing; the header has {found}")
    places = [header.index(name) for name in wanted]
    least = max(places) + 1
    for cells in reader:
        line = reader.line_num
        if not cells:
            continue
        try:
            if len(cells) < least:
                raise Malformed(f"{len(cells)} columns, at least {least} are needed")
            prompt, output = tokens(cells[places[0]], prompt_column), tokens(cells[places[1]], output_column)
            arrival = None if arrival_column is None else clock(cells[places[2]], arrival_column)
            yield TraceRow(line, prompt, output, arrival)
        except Malformed as error:
            yield Unusable(line, str(error))
