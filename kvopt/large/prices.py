"""``--solver prices``: a certified gap for backlogs of any size, with or without arrivals.

Bound: Lagrangian memory prices (`kvopt.bounds.prices`), with a charge for the memory that running requests are
about to grow into: free in each round where there is time for that (`kvopt.bounds.room`), of a simple form for large
backlogs (`kvopt.bounds.growth`); or the volume bound; certified. Schedules: the list policies, then annealing of the
start order, guided by the prices (`kvopt.large.annealing`), and polishing of what comes out where requests are few
(`kvopt.large.polishing`). These few need no more than the fluid prices, so the bound is found beside the search
(`kvopt.large.bounding`).

For any prices the total latency of a schedule is the bound plus each request's regret (its priced cost less
the least one) plus the priced idle memory; the annealer minimises these two for the part decided so far, so
local choices know what they cost the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kvopt.bounds import prices as price_bounds
from kvopt.bounds import volume
from kvopt.large import polishing
from kvopt.large.annealing import Annealer
from kvopt.large.bounding import Bounding
from kvopt.model import Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.policies import backlog
from kvopt.solving import Answer

#: Moves of the first pass, how many times more each further one makes, and passes without a time limit.
FIRST_MOVES, MORE, PASSES = 500_000, 4, 3
#: Passes before the polisher where requests are few: it makes more of the time than further ones do.
POLISHED_PASSES = 1
#: Part of the time left that the second pass gets, the later ones, and the last.
SECOND_SHARE, LATER_SHARE, LAST_SHARE = 0.25, 0.9, 0.98
#: Fewer moves for each request are not worth a pass: passes do not build on each other's schedules much.
THIN_PASS = 250
#: Largest passes in a row without a better schedule before the search ends.
MOST_IN_VAIN = 3
#: Longest part of the time limit that goes to the bound.
BOUND_SHARE, BOUND_LIMIT_S = 0.3, 10.0
#: Where the bound is found beside the search, that waits so long, as small instances may need none.
HEAD_START_S = 0.2


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Best schedule found and the certified bound, until the target gap, a limit, or the last pass."""
    for policy in (backlog.solve_fcfs, backlog.solve_mc_sf, backlog.solve_svf):
        policy(instance, monitor)
    if len(instance.types) == 1:
        monitor.offer(staggered(instance))
    best_policy = monitor.incumbent
    limit = BOUND_LIMIT_S if monitor.time_limit_s is None else min(BOUND_LIMIT_S, BOUND_SHARE * monitor.time_limit_s)
    bound = volume.bound(instance)
    monitor.raise_bound(bound.value)
    passes = 0
    if not (monitor.stopped or monitor.gap_reached):
        with Bounding(instance, monitor, bound, limit) as bounding:
            # Smooth prices tell better than those of a linear programme how a move of the polisher will end.
            smooth = instance.n <= polishing.MOST_REQUESTS and not instance.has_arrivals
            # Without a time limit the search must not depend on when the bound is there.
            beside = smooth and monitor.workers > 1 and monitor.time_limit_s is not None
            bounding.wait(min(HEAD_START_S, limit) if beside else float("inf"))
            # Identical requests have but one order.
            if len(instance.types) > 1:
                prices = price_bounds.fluid(instance) if smooth else bounding.prices
                passes = anneal(instance, prices, monitor, lambda: monitor.workers - bounding.collect())
        bound = bounding.best
    return Answer(
        lower_bound=bound.value,
        certificate=bound.certificate,
        statistics={"best_policy": best_policy, "passes": passes},
    )


def anneal(
    instance: Instance,
    prices: price_bounds.MemoryPrices,
    monitor: Monitor,
    threads: Callable[[], int] | None = None,
) -> int:
    """Offer annealed schedules to the monitor; the number of passes finished. For `threads` see `Annealer`."""
    annealer = Annealer(instance, prices, monitor, threads)
    done = in_vain = 0
    polished = instance.n <= polishing.MOST_REQUESTS
    passes = POLISHED_PASSES if polished else PASSES
    while not (monitor.stopped or monitor.gap_reached) and in_vain < MOST_IN_VAIN:
        moves, deadline_s = float(FIRST_MOVES * MORE**done), float("inf")
        if monitor.time_limit_s is None:
            if done >= passes:
                break
        elif polished and done >= passes:
            break
        elif done > 0:
            affordable = annealer.moves / annealer.seconds * monitor.remaining_s
            share = SECOND_SHARE if done == 1 else LATER_SHARE
            if share * affordable < THIN_PASS * instance.n:
                if done > 1 or affordable < FIRST_MOVES / 5:
                    break
                share = LAST_SHARE
            moves, deadline_s = share * affordable, monitor.elapsed_s + share * monitor.remaining_s
        assert monitor.best_starts is not None
        before = monitor.incumbent
        annealer.run(monitor.best_starts, moves, seed(monitor, done), deadline_s)
        done += 1
        in_vain = in_vain + 1 if moves >= annealer.most_moves and monitor.incumbent == before else 0
        monitor.report(passes=done)
    if polished and not (monitor.stopped or monitor.gap_reached):
        assert monitor.best_starts is not None
        timed = monitor.time_limit_s is not None
        deadline_s = monitor.elapsed_s + LAST_SHARE * monitor.remaining_s if timed else float("inf")
        polishing.run(annealer, monitor.best_starts, seed(monitor, done), deadline_s)
    return done


def staggered(instance: Instance) -> IntArray:
    """Starts of identical requests at equal distances, the shortest at which memory always fits.

    Greedy starts make identical requests grow and end together; at equal distances memory stays level
    (docs/problem.md, fact 4).

    >>> staggered(Instance.from_rows(6, [(0, 3, 4)])).tolist()
    [0, 1, 2, 3]
    """
    prompt, output, arrival = int(instance.prompt[0]), int(instance.output[0]), int(instance.arrival[0])

    def held(distance: int) -> int:
        """Tokens in the last round of a run, when others started at all multiples of the distance before and after."""
        ages = range(output, 0, -distance)
        return sum(ages) + len(ages) * prompt

    low, high = 0, output
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if held(middle) <= instance.capacity else (middle, high)
    return arrival + high * np.arange(instance.n)


def seed(monitor: Monitor, done: int) -> int:
    """Another seed in every pass."""
    return int(np.random.SeedSequence([monitor.seed, done]).generate_state(1)[0])
