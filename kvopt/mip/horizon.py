"""How late a request may start in an optimal schedule: what makes a time-indexed model finite, and small."""

from __future__ import annotations

import numpy as np

from kvopt.errors import TooLargeError
from kvopt.model import Instance, IntArray, exact_sum


def latest_starts(instance: Instance, value: int) -> IntArray:
    """A round for each request after which it starts in no optimal schedule.

    With M the capacity, V the total volume, A the last arrival, i the request, and a_i, o_i, vol_i, peak_i its
    arrival, output, volume and peak, the least of three:

    1. *No idle round*: ``A + sum of the other outputs``. In a round from A on in which nothing runs, all later
       starts could move one round earlier; so every round from A to the last start belongs to a run.
    2. *No hole*: ``a_i + o_i * floor((V - vol_i) / (M - peak_i + 1))``. If i starts in round p, it could start in
       none of the rounds ``a_i, a_i + o_i, a_i + 2 o_i, ...`` before p, so each of these ``ceil((p - a_i) / o_i)``
       disjoint runs has a round in which the others hold at least ``M - peak_i + 1`` tokens.
    3. *Value*: ``value - o_i + sum of arrivals - C``, where C bounds the sum of the others' completions from below:
       the k-th of them is neither before the k-th smallest ``arrival + output`` nor before the round by which the
       k smallest volumes fill M tokens a round (`completion_bound`).

    The first two hold in every optimal schedule, since breaking them allows a strictly better one; the third holds
    in every schedule whose total latency is at most `value`. A model with these starts therefore contains all
    optimal schedules, and its lower bounds are lower bounds of the instance.

    Parameters
    ----------
    instance : Instance
    value : int
        Total latency of some feasible schedule.

    Returns
    -------
    int64 array of shape (n,)
        Equal for equal requests, at least the arrival. O(K n) for K types.

    Raises
    ------
    TooLargeError
        If the total volume is beyond 2^62 token-rounds.

    Examples
    --------
    >>> inst = Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3])
    >>> latest_starts(inst, 13).tolist()
    [4, 4, 5, 5]
    """
    total_volume, total_output = exact_sum(instance.volume), exact_sum(instance.output)
    if total_volume > 2**62:
        raise TooLargeError(f"a total volume of {total_volume:,} token-rounds is more than 2^62")
    last_arrival, arrivals = int(instance.arrival.max()), exact_sum(instance.arrival)
    ready = instance.arrival + instance.output
    by_ready, by_volume = np.argsort(ready, kind="stable"), np.argsort(instance.volume, kind="stable")
    latest = np.empty(instance.n, dtype=np.int64)
    for members in instance.types.members:
        i = members[0]
        output, arrival, peak, volume = (
            int(column[i]) for column in (instance.output, instance.arrival, instance.peak, instance.volume)
        )
        others = completion_bound(
            ready[by_ready[by_ready != i]], instance.volume[by_volume[by_volume != i]], instance.capacity
        )
        no_idle = last_arrival + total_output - output
        no_hole = arrival + output * ((total_volume - volume) // (instance.capacity - peak + 1))
        latest[members] = max(arrival, min(no_idle, no_hole, value + arrivals - output - others))
    return latest


def completion_bound(ready: IntArray, volumes: IntArray, capacity: int) -> int:
    """A lower bound on the sum of completions, rank by rank.

    Parameters
    ----------
    ready, volumes : int64 arrays
        ``arrival + output`` and the volume of each request, each sorted by itself; their sum below 2^63.
    capacity : int

    Examples
    --------
    >>> completion_bound(np.array([1, 1, 3, 3]), np.array([2, 2, 9, 9]), capacity=5)
    10
    """
    return exact_sum(np.maximum(ready, -(-np.cumsum(volumes) // capacity)))
