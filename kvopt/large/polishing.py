"""Polishing of a schedule: the whole start order is annealed, judged by the total latency itself.

The windows of `kvopt.large.annealing` never see what their last requests do to later ones; on some hundred requests
there is time to follow every promising move to the end of the schedule. Where the large requests go is settled while
it is hot, for better or worse: so some rivals begin, half of them from the order by volume, and the better ones go on.
"""

from __future__ import annotations

import time

import numpy as np

from kvopt.large.annealing import Annealer
from kvopt.large.polish_kernel import polish
from kvopt.model import Instance, IntArray
from kvopt.policies.backlog import list_schedule

#: More requests are left to the windows: a move takes time in proportion to the requests behind it.
MOST_REQUESTS = 500
#: First and last temperature, in mean latencies of the schedule to be polished.
HOT, COLD = 0.027, 0.0033
#: Temperatures in between; the schedules of all rivals are offered after each.
STAGES = 60
#: Rivals for each thread, and the temperatures after which the worse half is given up; then copies fill the threads.
RIVALS, HALVINGS = 4, (12, 24, 36)
#: See `kvopt.large.polish_kernel.polish`.
APART, WITHIN, MARGIN = 1.0, 1.5, 1.0
#: Fronts are kept in the first of these that has room for starts so many times later than those to begin with: the
#: narrower, the more of them one instruction takes.
FRONTS, ROOM = (np.int16, np.int32, np.int64), 2
#: Moves for each request where nothing else is said, and of all threads in a first stage that measures the speed.
MOVES, FIRST_MOVES = 20_000, 20_000


def run(
    annealer: Annealer, starts: IntArray, seed: int, deadline_s: float = float("inf"), moves_each: int = MOVES
) -> None:
    """Polish a schedule and offer what comes out.

    Parameters
    ----------
    annealer : Annealer
        For its prices and its monitor.
    starts : int64 array of shape (n,)
    seed : int
    deadline_s : float
        On the monitor's clock.
    moves_each : int
        Moves for each request where there is no deadline.
    """
    instance, monitor, watch = annealer.instance, annealer.monitor, annealer.watch
    if instance.n < 2:
        return
    order = np.lexsort((instance.volume, starts))
    room = annealer.room(order, starts[order])
    latency = float((starts + instance.output - instance.arrival).sum()) / instance.n
    other = order if instance.has_arrivals else np.argsort(instance.volume, kind="stable")
    orders = [(order, other)[k % 2].copy() for k in range(RIVALS * monitor.workers)]
    found = [starts.copy() for _ in orders]
    random = np.random.default_rng(seed)
    timed = deadline_s < float("inf")
    like, latest = fronts(instance, orders[:2])
    moves = FIRST_MOVES if timed else moves_each * instance.n // STAGES
    # Seconds of all threads: while the bound takes one of them, the moves are planned for all the same.
    done, seconds = 0, 0.0
    for stage, heat in enumerate(np.geomspace(HOT * latency, COLD * latency, STAGES).tolist()):
        if timed and stage > 0:
            left_s = max(0.0, deadline_s - monitor.elapsed_s)
            moves = int(done / seconds * left_s * monitor.workers / (STAGES - stage))
        each = moves // len(orders) + 1
        threads, begun = annealer.threads(), time.perf_counter()
        if monitor.gap_reached:
            return
        seeds = random.integers(2**31, size=len(orders)).tolist()
        given = watch.halt, instance.capacity, *annealer.columns, room
        shape = annealer.most_running, like, latest, each, heat, APART, WITHIN, MARGIN
        reached = watch.run(
            polish,
            [(*given, *state, *shape, own) for *state, own in zip(orders, found, seeds, strict=True)],
            threads,
        )
        done, seconds = done + each * len(orders), seconds + threads * (time.perf_counter() - begun)
        for into in found:
            monitor.offer(into)
        if watch.halted:
            return
        if stage + 1 in HALVINGS:
            better = np.argsort(reached, kind="stable")[: max(1, len(orders) // 2)].tolist()
            better *= max(1, monitor.workers // len(better))
            orders, found = [orders[k].copy() for k in better], [found[k].copy() for k in better]
        monitor.report(polished=stage + 1)


def fronts(instance: Instance, orders: list[IntArray]) -> tuple[IntArray, int]:
    """An empty array of the type in which fronts are kept, and the latest start that it has room for."""
    if instance.has_arrivals:
        reached = int(instance.arrival.max() + instance.output.sum())
    else:
        reached = max(int(list_schedule(instance, order).max()) for order in orders)
    for kind in FRONTS:
        # Kernels add the memory of a round, the rounds of a run and those until another has ended to a start.
        latest = int(np.iinfo(kind).max) - instance.capacity - 2 * int(instance.output.max())
        if latest >= ROOM * reached:
            break
    return np.empty(0, dtype=kind), latest
