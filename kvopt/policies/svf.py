"""``svf``: smallest predicted volume first, by look-ahead."""

from __future__ import annotations

from kvopt.online.policy import ListPolicy


class Svf(ListPolicy):
    """Waiting requests by predicted volume ``s*o + o*(o+1)/2``, ties by index.

    Source: arXiv 2606.22327.
    """

    name = "svf"
    key = "volume"
