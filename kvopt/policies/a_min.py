"""``a-min``: shortest first by lower bounds that are raised when they prove too low."""

from __future__ import annotations

from collections.abc import Iterable

from kvopt.online import kernels
from kvopt.online.policy import ListPolicy, Rule
from kvopt.online.view import Named, View


class AMin(ListPolicy):
    """Waiting requests by the lower bound l of their predicted interval, by look-ahead with l.

    On overflow the running request with the fewest tokens generated is evicted, again until it fits; its bound
    becomes one more than the tokens it had. Without predictions l = 1.

    Source: arXiv 2508.14544, of which only a summary was at hand ("start from l, on overflow evict in
    increasing order of accumulated length and raise that request's bound"); order and look-ahead are taken from
    ``mc-sf``, ties go to the request started first.
    """

    name = "a-min"
    key = "bound"
    bound = "low"
    needs_prediction = False

    def overflow(self, view: View) -> Iterable[Named]:
        """The request with the fewest tokens generated."""
        return [min(view.running, key=lambda request: request.generated)]

    def rule(self, capacity: int) -> Rule:
        """The compiled form."""
        return super().rule(capacity)._replace(overflow=kernels.LEAST_PROGRESS)
