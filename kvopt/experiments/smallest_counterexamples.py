"""Where shortest-first fails: for each (n, s, M) the smallest backlog of one common prompt on which MC-SF is not optimal.

Exhaustive over all multisets of outputs. No instance is skipped: it counts as settled when the volume bound equals the
MC-SF schedule, or when the exact search proved the optimum and its certificate passed the verifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvopt import verify
from kvopt.bounds import volume
from kvopt.errors import SolverError
from kvopt.experiments.experiment import Experiment, Row
from kvopt.model import Instance, Result
from kvopt.policies.backlog import list_schedule
from kvopt.solving import solve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROMPTS = range(5)
#: Grid of a full run: numbers of requests, and the largest capacity.
REQUESTS, LARGEST_CAPACITY = range(2, 8), 14
#: Grid of a quick run.
QUICK_REQUESTS, QUICK_LARGEST_CAPACITY = range(2, 6), 8
#: Kinds of cell in the picture: colour and words.
COLOURS = {}


def cells(seed: int, quick: bool) -> list[Row]:
    """All (n, s, M), each without and with the condition M >= 2 max peak; nothing is random, the seed does not matter."""
    sizes, largest = (QUICK_REQUESTS, QUICK_LARGEST_CAPACITY) if quick else (REQUESTS, LARGEST_CAPACITY)
    return [
        {"requests": n, "prompt": s, "capacity": capacity, "least_capacity_over_peak": factor}
        for n in sizes
        for s in PROMPTS
        for factor in (1, 2)
        for capacity in range(factor * (s + 1), largest + 1)
    ]


def measure(cell: Row) -> Row:
    """Search one cell in order of the total output, then of the sorted outputs; stop at the first counterexample."""
    n, s, capacity = cell["requests"], cell["prompt"], cell["capacity"]
    largest_output = capacity // cell["least_capacity_over_peak"] - s
    row: Row = {"examined": 0, "by_volume": 0, "by_search": 0, "outputs": None, "mc_sf": None, "optimum": None, "starts": None}
    for total in range(n, n * largest_output + 1):
        for outputs in partitions(total, n, 1, largest_output):
            instance = Instance(capacity, [s] * n, outputs)
            shortest_first = mc_sf(instance)
            row["examined"] += 1
            if volume.bound(instance).value == shortest_first:
                row["by_volume"] += 1
                continue
            result = proved(instance)
            row["by_search"] += 1
            if result.total_latency != shortest_first:
                assert result.schedule is not None
                starts = result.schedule.starts.tolist()
                found = {"mc_sf": shortest_first, "optimum": result.total_latency}
                return row | found | {"outputs": spaced(outputs), "starts": spaced(starts)}
    return row


def partitions(total: int, parts: int, least: int, most: int) -> Iterator[tuple[int, ...]]:
    """Non-decreasing tuples of `parts` integers within least..most with that sum, in lexicographic order.

    >>> list(partitions(6, 3, 1, 3))
    [(1, 2, 3), (2, 2, 2)]
    """
    if parts == 1:
        if least <= total <= most:
            yield (total,)
        return
    for first in range(max(least, total - (parts - 1) * most), min(most, total // parts) + 1):
        for rest in partitions(total - first, parts - 1, first, most):
            yield (first, *rest)


def mc_sf(instance: Instance) -> int:
    """Total latency of shortest-first."""
    return total_latency(instance, list_schedule(instance, np.argsort(instance.output, kind="stable")))


def svf(instance: Instance) -> int:
    """Total latency of smallest-volume-first."""
    return total_latency(instance, list_schedule(instance, np.argsort(instance.volume, kind="stable")))


def total_latency(instance: Instance, starts: np.ndarray) -> int:
    """Sum of completions minus arrivals."""
    return int((starts + instance.output - instance.arrival).sum())


def proved(instance: Instance) -> Result:
    """The optimum by the exact search, its certificate checked.

    Raises
    ------
    SolverError
        If the verifier does not find the result proved.
    """
    result = solve(instance, "dp", workers=1)
    if not verify.verify(result).optimal:
        raise SolverError(f"no verified proof for {instance!r}")
    return result


def spaced(values: Iterable[int]) -> str:
    """Integers in one cell of a table.

    >>> spaced((1, 1, 3))
    '1 1 3'
    """
    return " ".join(str(value) for value in values)
