"""``--solver auto``: an exact method where one can be expected to get somewhere, memory prices elsewhere."""

from __future__ import annotations

from dataclasses import replace

from kvopt.exact import dp, starts
from kvopt.large import prices
from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.solving import Answer, Solver
from kvopt.verify import MOST_TREE_REQUESTS

#: Loaded together with this module, before the clock of a run starts.
METHODS: dict[str, Solver] = {"dp": dp.solve, "starts": starts.solve, "prices": prices.solve}
#: Above these the dynamic programme is not tried.
DP_MAX_REQUESTS, DP_MAX_TYPES, DP_MAX_OUTPUT = 400, 60, 256
#: Most requests for the search tree over starts, and most if they are of at most two types; outputs do not matter.
STARTS_MAX_REQUESTS, STARTS_MAX_REQUESTS_OF_TWO_TYPES = 12, 20


def choose(instance: Instance) -> str:
    """Name of the method for an instance of this size.

    >>> rows = [(1, 1, 2), (1, 3, 2)], [(40, 900, 3)], [(40, 900, 3), (50, 800, 30)]
    >>> [choose(Instance.from_rows(16_492, row)) for row in rows]
    ['dp', 'starts', 'prices']
    """
    types = len(instance.types)
    few = instance.n <= DP_MAX_REQUESTS and types <= DP_MAX_TYPES
    if few and int(instance.output.max()) <= DP_MAX_OUTPUT:
        return "dp"
    very_few = STARTS_MAX_REQUESTS_OF_TWO_TYPES if types <= 2 else STARTS_MAX_REQUESTS
    return "starts" if instance.n <= very_few else "prices"


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Run the chosen method, the tree in turns beside the programme; the statistics say which one it was."""
    method = choose(instance)
    if method == "dp" and instance.n <= MOST_TREE_REQUESTS:
        answer = dp.solve(instance, monitor, starts.Rival(instance, monitor))
    else:
        answer = METHODS[method](instance, monitor)
    return replace(answer, statistics={"method": method, **answer.statistics})
