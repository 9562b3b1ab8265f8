"""LMSYS-Chat-1M as JSON: rows of ``conversation: [{"role": "user" | "assistant", "content": text}, ...]``.

Its licence does not allow redistribution, of an instance with the text's lengths neither: ask its owners.
Source: Zheng et al., LMSYS-Chat-1M, arXiv 2309.11998.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TextIO

from kvopt.io.traces.conversation import TOKENS_PER_WORD, conversations
from kvopt.io.traces.row import TraceRow, Unusable


def rows(
    stream: TextIO, *, tokens_per_word: Fraction = TOKENS_PER_WORD, turns: str = "first"
) -> Iterator[TraceRow | Unusable]:
    """Requests of an LMSYS-Chat-1M file; see `kvopt.io.traces.conversation` for the lengths."""
    return conversations(stream, ("conversation", "role", "content"), tokens_per_word, turns)
