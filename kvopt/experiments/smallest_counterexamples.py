"""Where shortest-first fails: the smallest backlog of one common prompt for each (n, s, M) that MC-SF does not solve.

Exhaustive over all multisets of outputs. No instance is skipped: it counts as settled when the volume bound equals the
MC-SF schedule, or when the exact search proved the optimum and its certificate passed the verifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvopt import verify
from kvopt.bounds import volume
from kvopt.errors import SolverError
from kvopt.experiments.experiment import Experiment, Row
from kvopt.model import Instance, Result, Schedule, Status
from kvopt.policies.backlog import list_schedule
from kvopt.solving import solve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROMPTS = range(5)
#: Grid of a full run: numbers of requests, and the largest capacity.
REQUESTS, LARGEST_CAPACITY = range(2, 8), 14
#: Grid of a quick run.
QUICK_REQUESTS, QUICK_LARGEST_CAPACITY = range(2, 6), 8
#: Kinds of cell in the picture.
COLOURS = {"none exists": "#dddddd", "some, all with M < 2 peak": "#e69f00", "some with M ≥ 2 peak": "#0072b2"}


def cells(seed: int, quick: bool) -> list[Row]:
    """All (n, s, M), without and with the condition M >= 2 max peak; nothing is random, any seed gives the same."""
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
    row: Row = {
        "examined": 0,
        "by_volume": 0,
        "by_search": 0,
        "outputs": None,
        "mc_sf": None,
        "optimum": None,
        "starts": None,
    }
    for total in range(n, n * largest_output + 1):
        for outputs in partitions(total, n, 1, largest_output):
            instance = common_prompt(s, capacity, outputs)
            shortest_first = mc_sf(instance)
            row["examined"] += 1
            if volume.bound(instance).value == shortest_first:
                row["by_volume"] += 1
                continue
            best = optimal_schedule(instance)
            row["by_search"] += 1
            if best.total_latency != shortest_first:
                found = {"mc_sf": shortest_first, "optimum": best.total_latency}
                return row | found | {"outputs": spaced(outputs), "starts": spaced(best.starts.tolist())}
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


def common_prompt(prompt: int, capacity: int, outputs: Iterable[int]) -> Instance:
    """A backlog of requests with one prompt."""
    return Instance.from_rows(capacity, [(prompt, output) for output in outputs])


def mc_sf(instance: Instance) -> int:
    """Total latency of shortest-first."""
    return total_latency(instance, list_schedule(instance, np.argsort(instance.output, kind="stable")))


def svf(instance: Instance) -> int:
    """Total latency of smallest-volume-first."""
    return total_latency(instance, list_schedule(instance, np.argsort(instance.volume, kind="stable")))


def total_latency(instance: Instance, starts: np.ndarray) -> int:
    """Sum of completions minus arrivals."""
    return int((starts + instance.output - instance.arrival).sum())


def optimal_schedule(instance: Instance) -> Schedule:
    """An optimal schedule by the exact search, after its certificate has passed the verifier.

    Raises
    ------
    KeyboardInterrupt
        If the search was interrupted.
    SolverError
        If the verifier does not find the result proved.
    """
    return schedule_of(instance, lambda result: verify.verify(result).optimal)


def claimed_schedule(instance: Instance) -> Schedule:
    """The same without the verifier, for searches that verify what they find."""
    return schedule_of(instance, lambda result: result.status is Status.OPTIMAL)


def schedule_of(instance: Instance, accepted: Callable[[Result], bool]) -> Schedule:
    """The schedule of the exact search if its result is accepted."""
    result = solve(instance, "dp", workers=1)
    if result.statistics.get("stopped_by") == "interrupted":
        raise KeyboardInterrupt
    if result.schedule is None or not accepted(result):
        raise SolverError(f"no proof for {instance!r}")
    return result.schedule


def spaced(values: Iterable[object]) -> str:
    """Values in one cell of a table.

    >>> spaced((1, 1, 3))
    '1 1 3'
    """
    return " ".join(str(value) for value in values)


def draw(rows: Sequence[Row]) -> Figure:
    """A panel for each n: prompts over capacities, coloured by whether a counterexample exists."""
    from matplotlib.patches import Patch

    from kvopt.plot.canvas import Picture, whole_numbers

    sizes = sorted({row["requests"] for row in rows})
    capacities = range(1, max(row["capacity"] for row in rows) + 1)
    figure = Picture(figsize=(10.0, 0.6 + 1.9 * -(-len(sizes) // 2)), layout="constrained")
    panels = figure.subplots(-(-len(sizes) // 2), 2, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    words = list(COLOURS)
    for ax, n in zip(panels, sizes, strict=False):
        for row in rows:
            if row["requests"] != n or row["least_capacity_over_peak"] != 1:
                continue
            roomy = row | {"least_capacity_over_peak": 2}
            kind = 0 if row["outputs"] is None else 1 + found_in(rows, roomy)
            ax.bar(row["capacity"], 0.9, 0.9, row["prompt"] - 0.45, color=COLOURS[words[kind]])
        ax.set_title(f"n = {n}", loc="left", fontsize="medium")
        ax.set_xlim(0.4, capacities[-1] + 0.6)
        whole_numbers(ax)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in panels[len(sizes) :]:
        ax.set_visible(False)
    figure.supxlabel("capacity M", fontsize="medium")
    figure.supylabel("prompt s", fontsize="medium")
    handles = [Patch(color=colour, label=text) for text, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return figure


def found_in(rows: Sequence[Row], cell: Row) -> bool:
    """Whether the same cell, or the one with the other condition, has a counterexample."""
    keys = ("requests", "prompt", "capacity", "least_capacity_over_peak")
    return any(row["outputs"] is not None and all(row[key] == cell[key] for key in keys) for row in rows)


def findings(rows: Sequence[Row]) -> list[str]:
    """What was settled how, and for each n the counterexample with the least capacity, then prompt."""
    examined, by_volume, by_search = (sum(row[key] for row in rows) for key in ("examined", "by_volume", "by_search"))
    largest = max(row["capacity"] for row in rows)
    found = [f"{examined:,} instances: {by_volume:,} settled by the volume bound, {by_search:,} by verified optima"]
    for n in sorted({row["requests"] for row in rows}):
        for factor, condition in ((1, "any M"), (2, "M >= 2 max peak")):
            here = [row for row in rows if row["requests"] == n and row["least_capacity_over_peak"] == factor]
            counter = [row for row in here if row["outputs"] is not None]
            text = f"n = {n}, {condition}: "
            if counter:
                first = min(counter, key=lambda row: (row["capacity"], sum(map(int, row["outputs"].split()))))
                text += (
                    f"in {len(counter)} of {len(here)} pairs (s, M); least M: s = {first['prompt']}, "
                    f"M = {first['capacity']}, outputs {first['outputs']}, MC-SF {first['mc_sf']}, "
                    f"optimum {first['optimum']}"
                )
            else:
                text += f"none up to M = {largest}, {sum(row['examined'] for row in here):,} instances"
            found.append(text)
    return found


EXPERIMENT = Experiment("The smallest counterexamples to shortest-first", cells, measure, draw, findings)
