"""ShareGPT: a JSON list of ``{"id", "conversations": [{"from": "human" | "gpt", "value": text}, ...]}``."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TextIO

from kvopt.io.traces.conversation import TOKENS_PER_WORD, conversations
from kvopt.io.traces.row import TraceRow, Unusable


def rows(
    stream: TextIO, *, tokens_per_word: Fraction = TOKENS_PER_WORD, turns: str = "first"
) -> Iterator[TraceRow | Unusable]:
    """Requests of a ShareGPT file; see `kvopt.io.traces.conversation` for the lengths."""
    return conversations(stream, ("conversations", "from", "value"), tokens_per_word, turns)
