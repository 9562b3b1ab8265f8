"""Checks of arguments: what a caller mixed up is named, and foreign errors from deep inside never reach him."""

from __future__ import annotations

import math
import os
import re
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

from kvopt.errors import ArgumentError

#: Longest time limit, 31 years: the solvers' clocks end somewhere beyond.
MOST_SECONDS = 1e9


def instance_of(argument: str, value: Any, kind: type) -> None:
    """Raise ArgumentError unless `value` is of that class."""
    if not isinstance(value, kind):
        raise ArgumentError(argument, f"must be {'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}", value)


def path_like(value: Any) -> None:
    """Raise ArgumentError unless `value` can name a file; a number would be taken for an open file."""
    if not isinstance(value, str | os.PathLike):
        raise ArgumentError("path", "must be a str or Path", value)


def whole_number(argument: str, value: Any, least: int, most: int | None = None) -> int:
    """`value` as an int.

    Raises
    ------
    ArgumentError
        If it is no integer (numpy's are; booleans are not), below `least` or above `most`.
    """
    whole = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if whole is None or whole < least or (most is not None and whole > most):
        span = f"of at least {least}" if most is None else f"within {least}..{most}"
        raise ArgumentError(argument, f"must be an integer {span}", value)
    return whole


def number(argument: str, value: Any, *, above: float = -math.inf, least: float = -math.inf, most: float) -> float:
    """`value` as a float.

    Raises
    ------
    ArgumentError
        If it is no real number, not above `above`, below `least`, or above `most`; nan is all of these.
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not (real and above < value <= most and value >= least):
        low = f"above {above:g}" if above > -math.inf else f"of at least {least:g}"
        raise ArgumentError(argument, f"must be a number {low} and at most {most:g}", value)
    return float(value)


def fraction(text: str) -> Fraction:
    """A decimal or a ratio exactly as typed (0.9 is 9/10, not a float).

    Raises
    ------
    ValueError
        If it is neither, or beyond 1e100: numbers of thousands of digits would be computed with for ever.

    Examples
    --------
    >>> fraction("0.9"), fraction("15/56")
    (Fraction(9, 10), Fraction(15, 56))
    """
    if re.search(r"[eE][+-]?\d{4}", text):
        raise ValueError
    try:
        exact = Fraction(text)
    except ZeroDivisionError:
        raise ValueError from None
    if max(abs(exact.numerator), exact.denominator) > 10**100:
        raise ValueError
    return exact


def time_limit(argument: str, value: Any) -> float | None:
    """Seconds as a float, or None for no limit."""
    return None if value is None else number(argument, value, above=0, most=MOST_SECONDS)
