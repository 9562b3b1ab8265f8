"""Mooncake: JSON lines ``{"timestamp": ms, "input_length": n, "output_length": n, "hash_ids": [...]}``.

The hashes tell which prefixes requests share; kvopt has no shared cache and ignores them.
Source: Qin et al., Mooncake, FAST 2025.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from kvopt.io.traces.row import Malformed, TraceRow, Unusable, nanoseconds, tokens
from kvopt.io.traces.stream import json_items


def rows(stream: TextIO) -> Iterator[TraceRow | Unusable]:
    """Requests of a Mooncake trace."""
    for read in json_items(stream):
        if isinstance(read, Unusable):
            yield read
            continue
        line, item = read
        try:
            if not isinstance(item, dict):
                raise Malformed("expected an object")
            for key in ("timestamp", "input_length", "output_length"):
                if key not in item:
                    raise Malformed(f"the key {key!r} is missing")
            yield TraceRow(
                line,
                tokens(item["input_length"], "input_length"),
                tokens(item["output_length"], "output_length"),
                nanoseconds(item["timestamp"], "timestamp", per_second=1000),
            )
        except Malformed as error:
            yield Unusable(line, str(error))
