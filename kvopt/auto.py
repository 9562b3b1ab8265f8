"""``--solver auto``: the exact dynamic programme where it can be expected to get somewhere, memory prices elsewhere."""

from __future__ import annotations

from dataclasses import replace

from kvopt.exact import dp
from kvopt.large import prices
from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.solving import Answer, Solver

#: Loaded together with this module, before the clock of a run starts.
METHODS: dict[str, Solver] = {"dp": dp.solve, "prices": prices.solve}
#: Above these the dynamic programme is not tried.
DP_MAX_REQUESTS, DP_MAX_TYPES, DP_MAX_OUTPUT = 400, 60, 256


def choose(instance: Instance) -> str:
    """Name of the method for an instance of this size.

    >>> choose(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])), choose(Instance.from_rows(16_492, [(40, 900, 3)]))
    ('dp', 'prices')
    """
    few = instance.n <= DP_MAX_REQUESTS and len(instance.types) <= DP_MAX_TYPES
    return "dp" if few and int(instance.output.max()) <= DP_MAX_OUTPUT else "prices"


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Run the chosen method; the statistics say which one it was."""
    method = choose(instance)
    answer = METHODS[method](instance, monitor)
    return replace(answer, statistics={"method": method, **answer.statistics})
