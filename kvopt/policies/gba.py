"""``gba``: geometric batching for known outputs."""

from __future__ import annotations

from collections.abc import Iterable

from kvopt.online.policy import Policy
from kvopt.online.view import Named, View


class Gba(Policy):
    """Requests in classes of predicted output (2^(k-1), 2^k], the lowest class first.

    The waiting requests of the lowest class that has any are started by look-ahead in the order of their
    arrivals; the next class has its turn only when none of them waits, and may then run beside the
    remaining ones. Overflow, impossible as long as no prediction is too short, evicts the last started.

    Source: arXiv 2601.22996, of which only a summary was at hand ("geometric batching, clairvoyant"); base 2,
    the order within a class and the overlap of classes are choices made here.
    """

    name = "gba"
    needs_prediction = True

    def decide(self, view: View) -> Iterable[Named]:
        """The longest prefix, class by class, that fits until all predicted completions."""
        if view.overflowed and view.running:
            return []
        by_class = sorted(view.waiting, key=lambda request: length_class(request.predicted or 1))
        return view.look_ahead().longest_prefix(by_class)


def length_class(output: int) -> int:
    """The k with 2^(k-1) < output <= 2^k.

    >>> [length_class(output) for output in (1, 2, 3, 4, 5)]
    [0, 1, 2, 2, 3]
    """
    return (output - 1).bit_length()
