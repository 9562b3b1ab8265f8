"""Exact ratios as decimals for people, rounded to the side on which the claim they stand for stays true."""

from __future__ import annotations

from fractions import Fraction


def decimal(value: Fraction, digits: int, *, up: bool) -> str:
    """A number of at least 0 with so many decimals.

    Parameters
    ----------
    value : Fraction
    digits : int
        At least 1.
    up : bool
        Whether to round up, as for upper bounds and gaps, or down, as for lower bounds.

    Returns
    -------
    str

    Examples
    --------
    >>> decimal(Fraction(9, 7), 8, up=False), decimal(Fraction(9, 7), 8, up=True)
    ('1.28571428', '1.28571429')
    """
    scaled, unit = value.numerator * 10**digits, 10**digits
    number = -(-scaled // value.denominator) if up else scaled // value.denominator
    return f"{number // unit:,}.{number % unit:0{digits}d}"


def percent(ratio: Fraction | None) -> str:
    """A ratio of at least 0 in per cent, rounded up so that no gap looks smaller than it is; - for none.

    >>> percent(Fraction(1, 3)), percent(Fraction(1, 10**9)), percent(Fraction(0)), percent(None)
    ('33.34 %', '0.01 %', '0.00 %', '-')
    """
    return "-" if ratio is None else f"{decimal(100 * ratio, 2, up=True)} %"
