"""Azure LLM inference traces 2023 and 2024: ``TIMESTAMP, ContextTokens, GeneratedTokens`` (CC-BY 4.0).

Source: Azure Public Dataset; Patel et al., Splitwise, ISCA 2024; Stojkovic et al., DynamoLLM, HPCA 2025.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TextIO

from kvopt.io.traces.columns import table
from kvopt.io.traces.row import Malformed, TraceRow, Unusable, sane_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The traces write seven decimals, more than `datetime` keeps.
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def rows(stream: TextIO) -> Iterator[TraceRow | Unusable]:
    """Requests of an Azure trace; raises InputError if the header is another one."""
    return table(stream, "ContextTokens", "GeneratedTokens", "TIMESTAMP", timestamp)


def timestamp(text: str, column: str) -> int:
    """Nanoseconds since 1970 of a date and time; without a zone it is taken as UTC.

    >>> timestamp("1970-01-01 00:00:01.6805900", "TIMESTAMP")
    1680590000
    """
    match = TIMESTAMP.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(match[1] + (match[3] or "+00:00"))
    except ValueError:
        raise Malformed(f"{column}: expected a date and time, got {text[:40]!r}") from None
    time_ns = (moment - EPOCH) // timedelta(seconds=1) * 10**9 + int((match[2] or "").ljust(9, "0"))
    return sane_time(time_ns, text, column)
