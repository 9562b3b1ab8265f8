"""What a trace reader yields: requests, and rows it could not use."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import NamedTuple

from kvopt.model import MAX_VALUE


class TraceRow(NamedTuple):
    """One request of a trace, not yet held against a capacity.

    Attributes
    ----------
    line : int
        Line of the file, counted from 1.
    prompt, output : int
        Tokens, >= 0.
    arrival_ns : int or None
        Nanoseconds on any clock, None where the file has no times.
    """

    line: int
    prompt: int
    output: int
    arrival_ns: int | None = None


class Unusable(NamedTuple):
    """A row without a request: `malformed` (breaks its format) or well-formed but empty (no answer, say)."""

    line: int
    reason: str
    malformed: bool = True


class Malformed(ValueError):
    """A value breaks the format of its file; readers turn it into an `Unusable` row."""


def tokens(value: object, column: str) -> int:
    """A number of tokens from JSON or text: a whole number within 0 .. 2^31 - 1.

    Raises
    ------
    Malformed
        For anything else.

    Examples
    --------
    >>> tokens("374", "ContextTokens")
    374
    """
    number = value
    if isinstance(value, str):
        text = value.strip()
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_VALUE:
        raise Malformed(f"{column}: expected a whole number within 0..{MAX_VALUE}, got {str(value)[:40]!r}")
    return number


def nanoseconds(value: object, column: str, per_second: int = 1) -> int:
    """Nanoseconds of a decimal number of seconds (of ``1 / per_second`` seconds), exact, rounded down.

    Raises
    ------
    Malformed
        If it is no finite number, or more than 63 bits of nanoseconds, 292 years.

    Examples
    --------
    >>> nanoseconds("4.314579", "arrived_at")
    4314579000
    >>> nanoseconds(1500, "timestamp", per_second=1000)
    1500000000
    """
    try:
        number = Decimal(str(value).strip()) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number.adjusted() >= 15:
        raise Malformed(f"{column}: expected a time, got {str(value)[:40]!r}")
    return sane_time(int((number * (10**9 // per_second)).to_integral_value(ROUND_FLOOR)), value, column)


def sane_time(time_ns: int, value: object, column: str) -> int:
    """`time_ns` itself; raises Malformed, naming `value`, unless it is within 292 years of zero."""
    if abs(time_ns) >= 2**63:
        raise Malformed(f"{column}: expected a time within 292 years of zero, got {str(value)[:40]!r}")
    return time_ns
