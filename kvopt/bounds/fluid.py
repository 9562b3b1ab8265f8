"""The fluid schedule: M token-rounds are served every round, smallest volume first; its prices and its length."""

from __future__ import annotations

import heapq
from itertools import pairwise

import numpy as np

from kvopt.model import IntArray, RequestTypes


def fluid_length(types: RequestTypes, capacity: int) -> int:
    """Rounds until the last token-round is served, idle rounds before late arrivals included.

    >>> from kvopt.model import Instance
    >>> fluid_length(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)]).types, 5)
    5
    """
    clock = 0
    order = np.argsort(types.arrival, kind="stable")
    columns = (types.arrival[order].tolist(), types.volume[order].tolist(), types.count[order].tolist())
    for a, volume, count in zip(*columns, strict=True):
        clock = max(clock, a * capacity) + volume * count
    return -(-clock // capacity)


def priced_horizon(types: RequestTypes, capacity: int) -> int:
    """Rounds that deserve a price: the fluid length, 15 % more, and one output."""
    return fluid_length(types, capacity) * 115 // 100 + int(types.output.max()) + 1


def marginal_volumes(types: RequestTypes, capacity: int, rounds: int) -> IntArray:
    """Volume of the request being served as each round ends, shape (rounds,); 0 in idle rounds.

    Preemptive between arrivals: the smallest volume present is served. O(K log K + rounds).

    >>> from kvopt.model import Instance
    >>> marginal_volumes(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)]).types, 5, 6).tolist()
    [9, 9, 9, 9, 0, 0]
    """
    marginal = np.zeros(rounds, dtype=np.int64)
    order = np.argsort(types.arrival, kind="stable")
    arrival = types.arrival[order].tolist()
    work = list(zip(types.volume[order].tolist(), types.count[order].tolist(), strict=True))
    waiting: list[tuple[int, int]] = []
    clock = 0  # token-rounds offered so far
    for k, (now, following) in enumerate(pairwise([*arrival, rounds])):
        clock = max(clock, now * capacity)
        heapq.heappush(waiting, (work[k][0], work[k][0] * work[k][1]))
        while waiting and clock < following * capacity:
            volume, left = heapq.heappop(waiting)
            served = min(left, following * capacity - clock)
            marginal[clock // capacity : (clock + served) // capacity] = volume
            clock += served
            if served < left:
                heapq.heappush(waiting, (volume, left - served))
    return marginal


def fluid_prices(marginal: IntArray, denominator: int | None = None) -> np.ndarray:
    """Prices of the fluid schedule, as floats or as integers over `denominator`.

    One more token of memory in round t would bring ``1 / volume`` completions of the request then served
    forward, and with them all later service of the busy period. A request that arrives later and is served first, being
    smaller, gains nothing by that: its rounds count for the larger request that waits. So the price of round t is
    the sum over u >= t of ``1 / (largest volume served from t to u)``, to the end of the busy period: the optimal dual
    of the preemptive problem with mean instead of last rounds of service. For a backlog it is non-increasing
    and convex in t, also after rounding, because the drops are rounded and not the prices.

    >>> fluid_prices(np.array([4, 2, 4]), 8).tolist(), fluid_prices(np.array([2, 0, 2, 4]), 8).tolist()
    ([6, 6, 2], [4, 0, 6, 2])
    """
    from kvopt.bounds.fluid_kernels import sums_to_busy_end

    drops = np.zeros(len(marginal))
    np.divide(1.0 if denominator is None else denominator, marginal, out=drops, where=marginal > 0)
    if denominator is not None:
        drops = np.rint(drops).astype(np.int64)
    return sums_to_busy_end(marginal, drops)
