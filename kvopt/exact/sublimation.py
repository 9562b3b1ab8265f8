"""Successive sublimation: enumerate what a relaxation leaves, then remember, type by type, what it forgot.

Where costs to go of the relaxation (`kvopt.exact.relaxation`) are known, few of its states lie on paths that cost at
most a given limit. Those are laid out in layers; there multipliers are improved at almost no cost, states
that the better costs rule out are dropped, and one more type after the other is counted, until no path is left or
the cheapest is a schedule. With all types counted every path is one. So each limit is settled: either no schedule
keeps to it, which is a bound, or the best one is found. Limits grow from the relaxation's bound on.

The method is that of Ibaraki (Annals of Operations Research 11, 1987), and of Tanaka, Fujikuma and Araki (Journal of
Scheduling 12, 2009) for one machine; docs/dynamic_programme.md has the proof. It takes backlogs only, because
the states know no time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvopt.exact import sublimation_kernels as kernels
from kvopt.exact.relaxation import Relaxation, with_multipliers
from kvopt.exact.search import Search
from kvopt.exact.sublimation_kernels import ALIVE, EMPTY
from kvopt.exact.watch import Watch
from kvopt.model import IntArray

#: Each limit is so many times as far above the first bound as the one before.
GROWTH = 3
#: Arcs of a graph, times requests, whose costs to go take as long as an arc of a layout.
REFIT_ARCS = 75
#: States that may be looked at for each arc that may be made, when a type is counted: memory.
STATES_PER_ARC = 3
#: Kernels that make no more arcs than this are over in a tenth of a second.
SMALL = 1_000_000
#: Limits that may turn out to leave too many states.
FAILURES = 3


@dataclass(frozen=True, eq=False)
class Stage:
    """Multipliers of the types, shape (K,), and the type that is counted from here on, -1 for none."""

    multipliers: IntArray
    counted: int


@dataclass(frozen=True, eq=False)
class Closed:
    """Evidence that no schedule has a total latency below `threshold`."""

    threshold: int
    scale: int
    relaxation: Relaxation
    stages: tuple[Stage, ...]


def climb(search: Search, most_arcs: int) -> Closed | None:
    """Raise the limit until the optimum is proved, or states get too many; the last limit that was settled.

    Better schedules and bounds go to the monitor.

    Parameters
    ----------
    search : Search
        With a relaxation that keeps all types apart. Its instance must be a backlog.
    most_arcs : int
        Arcs between states above which a limit is given up.
    """
    monitor, watch = search.monitor, Watch(search.monitor)
    assert search.relaxation is not None
    worth = search.relaxation.graph.arcs * search.instance.n // REFIT_ARCS
    closed, bound, step, failures = None, search.ceiling(search.root_bound), 1, 0
    while not (monitor.stopped or monitor.gap_reached):
        assert monitor.incumbent is not None
        limit = min(bound + step, monitor.incumbent) - 1
        found, arcs = settle(search, limit, most_arcs, watch)
        if found is None:
            failures += 1
            if step == 1 or failures == FAILURES:
                break
            step = max(1, step // GROWTH**2)
            continue
        if not isinstance(found, Closed):
            monitor.offer(found)
            continue
        closed, bound = found, limit + 1
        step *= GROWTH if GROWTH**2 * arcs < min(most_arcs, max(worth, SMALL)) else 1
        if found.stages and arcs > worth:
            refit(search, found.stages[0].multipliers)
            bound = max(bound, search.ceiling(search.root_bound))
        monitor.raise_bound(bound)
    return closed


def refit(search: Search, multipliers: IntArray) -> None:
    """Give the search's relaxation other multipliers, one for each type, where they prove more at the root."""
    before, bound = search.relaxation, search.root_bound
    assert before is not None
    search.relaxation = with_multipliers(before, search.scale, multipliers, search.monitor)
    if search.relaxation is None or search.root_bound <= bound:
        search.relaxation = before


def settle(search: Search, limit: int, most_arcs: int, watch: Watch) -> tuple[Closed | IntArray | None, int]:
    """Evidence that no schedule has a total latency of `limit` or less, or else the starts of the best.

    None where that takes more than `most_arcs` arcs, or the monitor stops; the second value counts arcs.
    """
    instance, relaxation, scale = search.instance, search.relaxation, search.scale
    assert relaxation is not None
    types, n = instance.types, instance.n

    def run(kernel: Callable[..., Any], *arguments: Any) -> Any:
        """Only kernels that may take long are worth a thread, which lets the main one look at the limits."""
        given = (watch.halt, *arguments)
        return kernel(*given) if most_arcs <= SMALL else watch.run(kernel, [given])[0]

    scaled = scale * limit
    rest = scaled - int((types.count * relaxation.reward).sum())
    graph = relaxation.graph
    given = (graph.later, graph.to, graph.moved, relaxation.cost, rest, most_arcs)
    state, layers = run(kernels.generate, scale * types.output - relaxation.reward, scale, n, *given)
    arcs, multipliers, stages, counted = len(layers.kind), relaxation.reward, [], np.zeros(len(types), dtype=bool)
    while state == ALIVE:
        multipliers, value, cost, excess, kind, start = run(
            kernels.ascend, layers, n, scale, types.output, types.count, multipliers, scaled
        )
        if value > scaled:
            stages.append(Stage(multipliers, -1))
            state = EMPTY
            break
        if not excess.any():
            return types.starts_of_requests(kind, start), arcs
        # Of the types of which the cheapest path has too few or too many, the one that makes the fewest states.
        wrong = np.flatnonzero((excess != 0) & ~counted)
        chosen = int(wrong[np.argmin(types.count[wrong])])
        counted[chosen] = True
        stages.append(Stage(multipliers, chosen))
        rest = scaled - int((types.count * multipliers).sum())
        start_cost, count = scale * types.output - multipliers, int(types.count[chosen])
        if (count + 1) * len(cost) > STATES_PER_ARC * most_arcs:
            return None, arcs
        state, layers = run(kernels.refine, layers, n, scale, start_cost, cost, chosen, count, rest, most_arcs)
        arcs = max(arcs, len(layers.kind))
    return Closed(limit + 1, scale, relaxation, tuple(stages)) if state == EMPTY else None, arcs
