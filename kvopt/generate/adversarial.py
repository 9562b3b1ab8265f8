"""Backlogs on which a rule is far from the optimum."""

from __future__ import annotations

from math import isqrt

from kvopt.generate import at_least
from kvopt.model import Instance


def adversarial_sf(*, capacity: int = 64, copies: int = 1) -> Instance:
    """Against shortest-first with mixed prompts: `copies` requests (M-1, 1) and copies * floor(sqrt M) requests (1, 2).

    Each long prompt fills the cache alone for its one round, and shortest-first runs all of them before the
    many small requests (arXiv 2508.06133 shows that its ratio is unbounded).
    """
    at_least(3, capacity=capacity)
    at_least(1, copies=copies)
    return Instance.from_rows(capacity, [(capacity - 1, 1, copies), (1, 2, copies * isqrt(capacity))])
