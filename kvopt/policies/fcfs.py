"""``fcfs``: first come, first served, by look-ahead."""

from __future__ import annotations

from kvopt.online.policy import ListPolicy


class Fcfs(ListPolicy):
    """Waiting requests in the order of their arrivals, ties by index.

    Source: MC-Benchmark of Jaillet et al., arXiv 2502.07115.
    """

    name = "fcfs"
    key = "arrival"
