"""``--solver prices``: a certified gap for backlogs of any size, with or without arrivals.

Bound: Lagrangian memory prices (`kvopt.bounds.prices`), for backlogs with a charge for the memory that running
requests are about to grow into (`kvopt.bounds.growth`), certified. Schedules: the list policies, then
annealing of the start order in a sliding window, guided by the prices, with restarts on all workers.

For any prices the total latency of a schedule is the bound plus each request's regret (its priced cost less
the least one) plus the priced idle memory; the annealer minimises these two for the part decided so far, so
local choices know what they cost the rest.
"""

from __future__ import annotations

import numpy as np

from kvopt.bounds import growth, volume
from kvopt.bounds import prices as price_bounds
from kvopt.bounds.evaluation import least_costs
from kvopt.exact.watch import Watch
from kvopt.large import kernels
from kvopt.model import Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.policies import backlog
from kvopt.solving import Answer

#: Positions of the order that one window anneals, and that it fixes before it slides on.
WINDOW, COMMIT = 40, 5
#: Window steps of the first pass for each request, and for all together; each further pass doubles them.
STEPS_PER_REQUEST, FIRST_STEPS = 4_000, 800_000
#: Passes without a time limit, for each worker.
PASSES = 5
#: First and last temperature (see `kernels.anneal`).
HOT, COLD = 0.03, 0.001
#: Longest part of the time limit that goes to the bound.
BOUND_SHARE, BOUND_LIMIT_S = 0.3, 10.0


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Best schedule found and the certified price bound, until the target gap, a limit, or the last pass."""
    for policy in (backlog.solve_fcfs, backlog.solve_mc_sf, backlog.solve_svf):
        policy(instance, monitor)
    if len(instance.types) == 1:
        monitor.offer(staggered(instance))
    best_policy = monitor.incumbent
    limit = BOUND_LIMIT_S if monitor.time_limit_s is None else min(BOUND_LIMIT_S, BOUND_SHARE * monitor.time_limit_s)
    prices = price_bounds.memory_prices(instance, time_limit_s=limit)
    grown = growth.improved(instance, prices, time_limit_s=limit)
    # With arrivals, prices of large instances may know less than ranks do.
    bound = max(grown, volume.bound(instance), key=lambda found: found.value)
    monitor.raise_bound(bound.value)
    passes = anneal(instance, prices, monitor)
    return Answer(
        lower_bound=bound.value,
        certificate=bound.certificate,
        statistics={"best_policy": best_policy, "passes": passes},
    )


def anneal(instance: Instance, prices: price_bounds.MemoryPrices, monitor: Monitor) -> int:
    """Offer annealed schedules to the monitor; the number of passes finished."""
    types = instance.types
    per_type = least_costs(types.prompt, types.output, types.arrival, prices.numerators, prices.denominator)
    least = (np.asarray(per_type, dtype=np.float64) / prices.denominator)[types.of_request]
    price = prices.numerators / prices.denominator
    plain = np.concatenate(([0.0], np.cumsum(price)))
    timed = np.concatenate(([0.0], np.cumsum(price * np.arange(len(price)))))
    pace = float(instance.volume.mean()) / instance.capacity
    watch = Watch(monitor)
    done = 0
    while not (monitor.stopped or monitor.gap_reached):
        if monitor.time_limit_s is None and done >= PASSES:
            break
        order = start_order(instance, monitor)
        windows = max(1, -(-instance.n // COMMIT))
        steps = max(1, min(FIRST_STEPS, STEPS_PER_REQUEST * instance.n) * 2**done // windows)
        arguments = (instance.capacity, instance.prompt, instance.output, instance.arrival, least, plain, timed)
        calls = [
            (watch.halt, *arguments, order.copy(), WINDOW, COMMIT, steps, HOT, COLD, pace, seed)
            for seed in seeds(monitor, done)
        ]
        for starts in watch.run(kernels.anneal, calls):
            monitor.offer(starts)
        done += 1
        monitor.report(passes=done)
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


def start_order(instance: Instance, monitor: Monitor) -> IntArray:
    """Requests by start in the best schedule so far, ties by smaller volume."""
    assert monitor.best_starts is not None
    return np.lexsort((instance.volume, monitor.best_starts))


def seeds(monitor: Monitor, done: int) -> list[int]:
    """One seed for each worker, different in every pass."""
    sequence = np.random.SeedSequence([monitor.seed, done])
    return [int(seed) for seed in sequence.generate_state(monitor.workers)]
