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


def adversarial_svf(*, output: int = 5, copies: int = 8) -> Instance:
    """Against smallest-volume-first: `copies` times a request (0, o), then one (M-1, 1), with M = o (o + 1) / 2.

    All have volume M, so it serves them in turn, each alone, in about (o + 1) copies^2 rounds of total latency. The
    short ones first, then one long one a round take about 2 copies^2: the ratio tends to (o + 1) / 2, near sqrt(M / 2).
    """
    at_least(2, output=output)
    at_least(1, copies=copies)
    capacity = output * (output + 1) // 2
    return Instance.from_rows(capacity, [(0, output), (capacity - 1, 1)] * copies)
