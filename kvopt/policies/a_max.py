"""``a-max``: shortest first, every output taken to be its upper bound."""

from __future__ import annotations

from kvopt.online.policy import ListPolicy


class AMax(ListPolicy):
    """Waiting requests by the upper bound u of their predicted interval, by look-ahead with u; never overflows.

    Without predictions u is what the capacity allows beside the prompt.

    Source: arXiv 2508.14544, of which only a summary was at hand ("treat every output as u"); order and
    look-ahead are taken from ``mc-sf``.
    """

    name = "a-max"
    key = "bound"
    bound = "high"
    needs_prediction = False
