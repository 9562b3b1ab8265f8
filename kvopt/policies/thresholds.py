"""Thresholds that need not be whole numbers, for WAIT and Nested WAIT."""

from __future__ import annotations

from math import ceil, inf

from kvopt.errors import InputError
from kvopt.online.view import View, VisibleRequest


class Threshold:
    """A threshold n that is met on average: its floor and its ceiling in turn.

    For the k-th batch it is ``ceil((k + 1) n) - ceil(k n)``: so many requests must wait, and so many may start; at 0
    the batch needs nobody new. The pattern travels with the requests: stage s of a batch gets the limit that its
    requests had when they started, s batches before, so every stage meets the threshold on average and nobody who
    has started is held back by a fraction. Any w batches in a row take less than ``w n + 1`` requests, so a type never
    holds more than ``n A`` tokens and one request's peak (A its token-iterations, docs/fluid.md).

    Parameters
    ----------
    value : float
        n, above 0 and finite.

    Examples
    --------
    >>> two_thirds = Threshold(2 / 3)
    >>> [two_thirds.take() for _ in range(6)]
    [1, 1, 0, 1, 1, 0]
    """

    def __init__(self, value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
            raise InputError(f"a threshold must be a number above 0, got {value!r}")
        self.value = value
        self.batches = 0

    @property
    def next(self) -> int:
        """The threshold of the next batch."""
        return ceil((self.batches + 1) * self.value) - ceil(self.batches * self.value)

    def take(self) -> int:
        """The same, and the batch is begun."""
        number = self.next
        self.batches += 1
        return number

    def skip(self) -> None:
        """Pass over batches that need nobody new, when nobody is there for them."""
        while self.next == 0:
            self.batches += 1


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
