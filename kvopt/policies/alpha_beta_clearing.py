"""``alpha-beta-clearing``: as alpha-greedy, but on overflow each running request is reset by chance."""

from __future__ import annotations

from collections.abc import Iterable

from kvopt.errors import InputError
from kvopt.online import kernels
from kvopt.online.policy import Rule
from kvopt.online.view import Named, View
from kvopt.policies.alpha_greedy import AlphaGreedy


class AlphaBetaClearing(AlphaGreedy):
    """Admission of alpha-greedy; on overflow each running request is reset with probability beta, until it fits.

    Source: Jaillet et al., arXiv 2502.07115 (alpha-protection beta-clearing).

    Parameters
    ----------
    alpha : float
        Protected part of the capacity, at least 0 and below 1.
    beta : float
        Probability of a reset, above 0 and at most 1.

    Raises
    ------
    InputError
        If one of them is out of range.
    """

    name = "alpha-beta-clearing"

    def __init__(self, alpha: float = 0.2, beta: float = 0.2) -> None:
        super().__init__(alpha)
        if not 0 < beta <= 1:
            raise InputError(f"{self.name}: beta must be above 0 and at most 1, got {beta}")
        self.beta = float(beta)
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Start the random numbers."""
        self.seed, self.draws = seed, 0

    def overflow(self, view: View) -> Iterable[Named]:
        """Passes over the running requests until one has hit at least one of them."""
        chosen: list[Named] = []
        while not chosen:
            for request in view.running:
                self.draws += 1
                if kernels.uniform(self.seed, self.draws) < self.beta:
                    chosen.append(request)
        return chosen

    def rule(self, capacity: int) -> Rule:
        """The compiled form."""
        return super().rule(capacity)._replace(overflow=kernels.AT_RANDOM, beta=self.beta)
