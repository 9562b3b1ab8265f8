"""List policies on a known instance: ``fcfs``, ``mc-sf`` and ``svf`` with look-ahead admission.

Each round, the arrived waiting requests are taken in the policy's order and started as long as the *future*
memory profile of all running requests stays within the capacity; the first that does not fit ends the
admission of this round. Running requests are never stopped.

The kernel works on events. Memory only grows between completions, so the profile is kept at the last rounds
of the running requests alone, and the round in which the first waiting request fits is found by one pass
over them: the cost follows requests and completions, never tokens or rounds.

Sources: ``mc-sf`` and ``fcfs`` (there MC-Benchmark): Jaillet et al., arXiv 2502.07115; ``svf``:
smallest volume first, arXiv 2606.22327.
"""

from __future__ import annotations

import heapq

import numba
import numpy as np

from kvopt.model import Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.solving import Answer


def solve_fcfs(instance: Instance, monitor: Monitor) -> Answer:
    """Offer the schedule of first come, first served (ties by index)."""
    return _offer(instance, instance.arrival, monitor)


def solve_mc_sf(instance: Instance, monitor: Monitor) -> Answer:
    """Offer the schedule of shortest output first (ties by index)."""
    return _offer(instance, instance.output, monitor)


def solve_svf(instance: Instance, monitor: Monitor) -> Answer:
    """Offer the schedule of smallest volume first (ties by index)."""
    return _offer(instance, instance.volume, monitor)


def _offer(instance: Instance, key: IntArray, monitor: Monitor) -> Answer:
    monitor.offer(list_schedule(instance, np.argsort(key, kind="stable")))
    return Answer()


def list_schedule(instance: Instance, order: IntArray) -> IntArray:
    """Start rounds of the look-ahead list policy with the given priorities.

    Without arrivals this starts each request in the first round, not before the start of its predecessor,
    from which it fits beside all predecessors until its completion.

    Parameters
    ----------
    instance : Instance
    order : int array of shape (n,)
        A permutation of the requests, first priority first.

    Returns
    -------
    int64 array of shape (n,)
        A feasible schedule. Time O(n (log n + R)) with R the number of distinct completion rounds
        among the running requests.

    Examples
    --------
    >>> inst = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    >>> list_schedule(inst, np.arange(4)).tolist()
    [0, 0, 1, 4]
    """
    by_arrival = np.argsort(instance.arrival, kind="stable")
    return _list_schedule(
        instance.capacity, instance.prompt, instance.output, instance.arrival, by_arrival, order.astype(np.int64)
    )


@numba.njit(cache=True, nogil=True)
def _first_fit(capacity, last, level, count, low, high, running, prompt, output, round_):
    """First round from `round_` on from which a request fits beside the running ones.

    ``last[low:high]`` are the distinct last rounds of the running requests, ascending, `level` the tokens
    held in them and `count` how many requests end there; `running` is the sum of `count`.
    """
    k, alive = low, running
    while True:
        while k < high and last[k] < round_ + output:
            room = capacity - level[k] - prompt
            if last[k] >= round_ and last[k] - round_ + 1 > room:
                # Later starts hold less here; earlier last rounds that had room keep it.
                round_ = last[k] + 1 - max(room, 0)
            alive -= count[k]
            k += 1
        if k == high:
            return round_
        # Its own last round lies before last[k]; the running ones grow by `alive` tokens a round until then.
        held = level[k] - alive * (last[k] - round_ - output + 1)
        if held + prompt + output <= capacity:
            return round_
        round_ = last[k] - output + 2


@numba.njit(cache=True, nogil=True)
def _list_schedule(capacity, prompt, output, arrival, by_arrival, order):
    n = len(prompt)
    starts = np.empty(n, np.int64)
    rank = np.empty(n, np.int64)
    for r in range(n):
        rank[order[r]] = r
    room = 1024
    last, level, count = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    low = high = 0
    running = arrived = 0
    now = np.int64(0)
    waiting = [np.int64(0)]
    waiting.pop()
    for _ in range(n):
        if len(waiting) == 0:
            now = max(now, arrival[by_arrival[arrived]])
        chosen = start = np.int64(-1)
        while True:
            while arrived < n and arrival[by_arrival[arrived]] <= now:
                heapq.heappush(waiting, rank[by_arrival[arrived]])
                arrived += 1
            if waiting[0] != chosen:
                chosen = waiting[0]
                i = order[chosen]
                while low < high and last[low] < now:
                    running -= count[low]
                    low += 1
                start = _first_fit(capacity, last, level, count, low, high, running, prompt[i], output[i], now)
            # Whoever arrives until then may come first.
            if arrived == n or arrival[by_arrival[arrived]] > start:
                break
            now = arrival[by_arrival[arrived]]
        heapq.heappop(waiting)
        i = order[chosen]
        starts[i] = now = start
        end = start + output[i] - 1
        k, alive = low, running
        while k < high and last[k] <= end:
            if last[k] >= start:
                level[k] += prompt[i] + last[k] - start + 1
            alive -= count[k]
            k += 1
        running += 1
        if k > low and last[k - 1] == end:
            count[k - 1] += 1
            continue
        held = prompt[i] + output[i]
        if k < high:
            held += level[k] - alive * (last[k] - end)
        if high == room:
            if 2 * (high - low) > room:
                room *= 2
            for column in range(3):
                old = (last, level, count)[column]
                new = np.empty(room, np.int64)
                new[: high - low] = old[low:high]
                if column == 0:
                    last = new
                elif column == 1:
                    level = new
                else:
                    count = new
            k, high, low = k - low, high - low, 0
        for j in range(high, k, -1):
            last[j], level[j], count[j] = last[j - 1], level[j - 1], count[j - 1]
        last[k], level[k], count[k] = end, held, 1
        high += 1
    return starts
