"""BurstGPT: ``Timestamp, Model, Request tokens, Response tokens, Total tokens, Log Type``.

A response of 0 tokens is a failed request. Source: Wang et al., BurstGPT, arXiv 2401.17644.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from kvopt.io.traces.columns import table
from kvopt.io.traces.row import TraceRow, Unusable, nanoseconds


def rows(stream: TextIO) -> Iterator[TraceRow | Unusable]:
    """Requests of a BurstGPT trace; raises InputError if the header is another one."""
    return table(stream, "Request tokens", "Response tokens", "Timestamp", nanoseconds)
