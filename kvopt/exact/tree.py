"""One pass of the search tree over starts (docs/search_tree.md); `tree_kernels` has the inner loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from kvopt.exact import tree_kernels as kernels
from kvopt.exact.proof import encoded
from kvopt.model import Certificate, Instance, exact_sum
from kvopt.monitor import Monitor
from kvopt.verify import MOST_CODES

#: Levels of a tree for each request, and some more; the deepest seen had four for each request.
LEVELS_EACH, LEVELS_MORE = 16, 64
#: Bytes of codes to begin with.
FIRST_BYTES = 1 << 21
#: Work between two looks at the monitor: nodes times the cube of the number of requests.
WORK = 400_000


class Tree:
    """Search for schedules below a threshold, depth first; a complete search proves a lower bound.

    Parameters
    ----------
    instance : Instance
        At most `kvopt.verify.MOST_TREE_REQUESTS` requests.
    threshold : int
        Total latency from which on schedules are of no interest, at least the sum of the outputs.

    Attributes
    ----------
    complete : bool
        Whether the search has come to its end: no schedule has a total latency below `bound`.
    """

    def __init__(self, instance: Instance, threshold: int) -> None:
        n = instance.n
        self.instance = instance
        self._offset = exact_sum(instance.output) - exact_sum(instance.arrival)
        self._waits = max(0, threshold - exact_sum(instance.output) - 1)
        self._most = np.array([threshold - 1 - self._offset])
        levels = LEVELS_EACH * n + LEVELS_MORE
        shapes = ((n, n + 1), (n + 1,), (3,), (n,), (n,), (n + 1, n + 1))
        self._levels = tuple(np.zeros((levels, *shape), dtype=np.int64) for shape in shapes)
        self._nodes = np.zeros((levels, 5), dtype=np.int64)
        self._at = np.array([0, 1, 0])
        self._codes = np.empty(FIRST_BYTES, dtype=np.uint8)
        self._candidates = np.empty((n * n, 3), dtype=np.int64)
        self._work = tuple(np.empty(shape, dtype=np.int64) for shape in (*shapes, (n + 1,), (2,)))
        self._figures = np.array([0, 0, 0, self._most[0]])
        self.complete = False
        self._root()

    def _root(self) -> None:
        """All starts at the arrivals; what is known of every schedule below the threshold."""
        instance, n = self.instance, self.instance.n
        X, cost, scale, row, _, known = (level[0] for level in self._levels)
        scale[2] = 2 * n * max(instance.capacity, int(instance.arrival.max()) + self._waits, int(self._most[0]) + 1)
        first, last = np.append(instance.arrival, 0), np.append(instance.arrival + self._waits, 0)
        known[:] = first[None, :] - last[:, None]
        np.fill_diagonal(known, 0)
        order = np.lexsort((np.arange(n), instance.arrival, instance.output, instance.prompt))
        for i, j in pairwise(order.tolist()):
            if instance.prompt[i] == instance.prompt[j] and instance.output[i] == instance.output[j]:
                kernels.tighten(known, i, j, 0)
        kernels.begin(X, cost, scale, row, known)

    @property
    def bound(self) -> int:
        """What the complete search proves: the threshold, or the least total latency found below it.

        Less only if a leaf had to be left open, because its numbers outgrew 64 bits or it lay too deep.
        """
        return int(min(self._most[0], self._figures[3])) + 1 + self._offset

    @property
    def nodes(self) -> int:
        """Nodes visited, leaves included."""
        return int(self._figures[1])

    def lower(self, threshold: int) -> None:
        """Search on for schedules below a lower threshold; a higher one changes nothing."""
        self._most[0] = min(self._most[0], threshold - 1 - self._offset)

    def run(self, monitor: Monitor, budget: int | None = None) -> None:
        """Search to the end, until the monitor stops it, or until about `budget` nodes have been visited.

        Each schedule found is offered to the monitor.
        """
        instance = self.instance
        problem = np.stack((instance.prompt, instance.output))
        best = np.empty(instance.n, dtype=np.int64)
        turn = max(1, WORK // instance.n**3)
        while not (monitor.stopped or monitor.gap_reached or len(self._codes) > MOST_CODES):
            if budget is not None and self.nodes >= budget:
                return
            self._figures[0] = turn
            end = kernels.advance(
                self._levels, self._nodes, self._at, problem, instance.capacity, self._most,
                self._codes, self._candidates, self._work, self._figures, best,
            )  # fmt: skip
            if end == kernels.DONE:
                self.complete = True
                return
            if end == kernels.FOUND:
                monitor.offer(best)
            elif self._figures[0] > 0:
                self._codes = np.concatenate((self._codes, np.empty_like(self._codes)))
            monitor.report(nodes=self.nodes)

    @property
    def certificate(self) -> Certificate:
        """Evidence for `bound`, once the search is complete."""
        codes = self._codes[: self._figures[2]].tobytes()
        return Certificate(
            "tree",
            {
                "threshold": self.bound,
                "waits": self._waits,
                "codes": encoded(codes),
            },
        )
