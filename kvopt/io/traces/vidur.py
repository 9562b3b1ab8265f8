"""Traces of the simulator Vidur: ``[arrived_at,] num_prefill_tokens, num_decode_tokens`` (MIT).

Source: Agrawal et al., Vidur, MLSys 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from kvopt.io.traces.columns import table
from kvopt.io.traces.row import TraceRow, Unusable, nanoseconds


def rows(stream: TextIO) -> Iterator[TraceRow | Unusable]:
    """Requests of a Vidur trace, with or without arrival times; raises InputError if the header is another one."""
    return table(stream, "num_prefill_tokens", "num_decode_tokens", "arrived_at", nanoseconds, optional_arrival=True)
