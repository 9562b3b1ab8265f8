"""Thresholds that need not be whole numbers, for WAIT and Nested WAIT."""

from __future__ import annotations

from math import floor, inf

from kvopt.errors import InputError
from kvopt.online.view import View, VisibleRequest


class Threshold:
    """A limit on requests per batch that is met on average: floor and ceiling in turn.

    The k-th batch may take ``floor((k + 1) n) - floor(k n)`` requests. The pattern travels with the requests: stage s
    of a batch gets the limit that its requests had when they entered, s batches before, so every stage meets the
    limit on average and nobody who has entered is held back by a fraction. Any w batches in a row take at most
    ``w n + 1`` requests, so a type never holds more than ``n A`` tokens and one request's peak (A its
    token-iterations, docs/fluid.md).

    Parameters
    ----------
    value : float
        n, above 0 and finite.

    Examples
    --------
    >>> third = Threshold(2 / 3)
    >>> [third.take() for _ in range(6)]
    [0, 1, 1, 0, 1, 1]
    """

    def __init__(self, value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
            raise InputError(f"a threshold must be a number above 0, got {value!r}")
        self.value = value
        self.batches = 0

    def reached(self, number: int) -> bool:
        """Whether so many waiting requests are enough to begin a batch."""
        return number >= self.value

    def take(self) -> int:
        """The limit of the next batch, which is thereby begun."""
        before = floor(self.batches * self.value)
        self.batches += 1
        return floor(self.batches * self.value) - before


def fitting(view: View, requests: list[VisibleRequest]) -> list[VisibleRequest]:
    """The first of these waiting requests that the coming iteration has room for; none after an overflow.

    Thresholds that the capacity allows never come to this limit.
    """
    if view.overflowed and view.running:
        return []
    room, chosen = view.room, []
    for request in requests[: view.slots]:
        room -= request.prompt + 1
        if room < 0:
            break
        chosen.append(request)
    return chosen
