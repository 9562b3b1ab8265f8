"""``alpha-greedy``: a part of the memory is kept free for growth; on overflow everything starts again."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil

from kvopt.errors import InputError
from kvopt.online import kernels
from kvopt.online.policy import Rule, ThresholdPolicy
from kvopt.online.view import Named, View


class AlphaGreedy(ThresholdPolicy):
    """Admit in the order of arrivals while the memory in use is at most (1 - alpha) M, without look-ahead.

    The memory in use counts the running requests and those admitted before in this iteration, not the one
    in question, which only has to fit now. On overflow all running requests are reset and wait again; with a small
    alpha the same set may be admitted and reset for ever, and the simulation then says so and stops.

    Source: Jaillet et al., arXiv 2502.07115 (alpha-protection greedy).

    Parameters
    ----------
    alpha : float
        Protected part of the capacity, at least 0 and below 1.

    Raises
    ------
    InputError
        If alpha is out of range.
    """

    name = "alpha-greedy"

    def __init__(self, alpha: float = 0.3) -> None:
        if not 0 <= alpha < 1:
            raise InputError(f"{self.name}: alpha must be at least 0 and below 1, got {alpha}")
        self.alpha = Fraction(str(alpha))

    def least_free(self, capacity: int) -> tuple[int, int]:
        """The protected part before the admission; after it, no more than what fits."""
        return ceil(self.alpha * capacity), 0

    def overflow(self, view: View) -> Iterable[Named]:
        """All running requests."""
        return list(view.running)

    def rule(self, capacity: int) -> Rule:
        """The compiled form."""
        return super().rule(capacity)._replace(overflow=kernels.EVERYTHING)
