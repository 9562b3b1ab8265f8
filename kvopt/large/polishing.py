"""Polishing of a schedule: the whole start order is annealed at low temperature, judged by the total latency itself.

The windows of `kvopt.large.annealing` never see what their last requests do to later ones; on some hundred requests
there is time to follow every promising move to the end of the schedule. One order for each thread.
"""

from __future__ import annotations

import time

import numpy as np

from kvopt.large.annealing import Annealer
from kvopt.large.polish_kernel import polish
from kvopt.model import IntArray

#: More requests are left to the windows: a move takes time in proportion to the requests behind it.
MOST_REQUESTS = 500
#: First and last temperature, in mean latencies of the schedule to be polished.
HOT, COLD = 0.022, 0.003
#: Temperatures in between; the schedules of all threads are offered after each.
STAGES = 60
#: See `kvopt.large.polish_kernel.polish`.
APART, MARGIN = 3.0, 1.5
#: Moves for each request without a time limit, and of all threads in a first stage that measures the speed.
MOVES, FIRST_MOVES = 20_000, 20_000


def run(annealer: Annealer, starts: IntArray, seed: int, deadline_s: float = float("inf")) -> None:
    """Polish a schedule and offer what comes out.

    Parameters
    ----------
    annealer : Annealer
        For its prices and its monitor.
    starts : int64 array of shape (n,)
    seed : int
    deadline_s : float
        On the monitor's clock; without one, the number of moves is fixed.
    """
    instance, monitor, watch = annealer.instance, annealer.monitor, annealer.watch
    if instance.n < 2:
        return
    order = np.lexsort((instance.volume, starts))
    room = annealer.room(order, starts[order])
    latency = float((starts + instance.output - instance.arrival).sum()) / instance.n
    orders = [order.copy() for _ in range(monitor.workers)]
    found = [starts.copy() for _ in orders]
    random = np.random.default_rng(seed)
    timed = deadline_s < float("inf")
    moves = (FIRST_MOVES if timed else MOVES * instance.n // STAGES) // len(orders) + 1
    done, seconds = 0, 0.0
    for stage, heat in enumerate(np.geomspace(HOT * latency, COLD * latency, STAGES).tolist()):
        if timed and stage > 0:
            left_s = max(0.0, deadline_s - monitor.elapsed_s)
            moves = int(done / seconds * left_s / (STAGES - stage)) + 1
        begun = time.perf_counter()
        seeds = random.integers(2**31, size=len(orders)).tolist()
        given = watch.halt, instance.capacity, *annealer.columns, room
        shape = annealer.most_running, moves, heat, APART, MARGIN
        watch.run(polish, [(*given, *state, *shape, own) for *state, own in zip(orders, found, seeds, strict=True)])
        done, seconds = done + moves, seconds + time.perf_counter() - begun
        for into in found:
            monitor.offer(into)
        if watch.halted:
            return
        monitor.report(polished=stage + 1)
