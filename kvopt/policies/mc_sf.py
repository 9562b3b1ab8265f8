"""``mc-sf``: shortest predicted output first, by look-ahead."""

from __future__ import annotations

from kvopt.online.policy import ListPolicy


class McSf(ListPolicy):
    """Waiting requests by predicted output, ties by index.

    Source: Jaillet et al., arXiv 2502.07115.
    """

    name = "mc-sf"
    key = "bound"
