"""The optimum of one path in hindsight: an exact forward programme over (running profile, waiting requests).

The total latency is the sum of the outputs plus, for each round, the number of requests that wait through it, so
only waiting is counted. Of two partial schedules with the same profile in the same round, one that has waited no
longer and leaves no more requests of any type can be completed as cheaply as the other, which is dropped: a few
labels for each profile survive.
"""

from __future__ import annotations

import numba
import numpy as np

from kvopt.errors import InputError
from kvopt.model import IntArray
from kvopt.regret.paths import ArrivalPath
from kvopt.regret.profiles import ProfileGraph


def hindsight_waiting(graph: ProfileGraph, path: ArrivalPath) -> int:
    """Least total waiting (rounds from arrival to start, summed) of any schedule that knows the path beforehand.

    The optimal total latency is this plus the sum of the outputs. Time O(rounds * labels^2 / N) with `labels` the
    undominated ones of a round, some tens for each of the N profiles near capacity.

    Raises
    ------
    InputError
        For more than 2^31 - 1 requests.

    Examples
    --------
    >>> from kvopt.regret.mix import Mix
    >>> from kvopt.regret.profiles import profile_graph
    >>> graph = profile_graph(Mix(5, [1, 1], [1, 3], [1, 1]))
    >>> path = ArrivalPath(1, np.zeros(4, np.int64), np.array([0, 0, 1, 1]))
    >>> hindsight_waiting(graph, path) + 1 + 1 + 3 + 3
    12
    """
    return int(hindsight_curve(graph, path, np.array([path.rounds], np.int64))[0])


def hindsight_curve(graph: ProfileGraph, path: ArrivalPath, horizons: IntArray) -> IntArray:
    """Least total waiting of the requests that arrive before each of the horizons, in one pass over the path.

    Parameters
    ----------
    graph : ProfileGraph
    path : ArrivalPath
    horizons : int64 array of shape (h,)
        Rounds, ascending, at most ``path.rounds``.

    Returns
    -------
    int64 array of shape (h,)
    """
    if len(path.arrival) > np.iinfo(np.int32).max:
        raise InputError(f"{len(path.arrival):,} requests are too many for the exact programme")
    return _curve(graph.start, graph.advance, path.counts(len(graph.mix)).astype(np.int64), horizons)


@numba.njit(cache=True, nogil=True)
def _insert(waiting, cost, size, node, new, spent, types):
    """Add a label unless it is dominated; drop those it dominates. False if the profile's shelf is full."""
    count = size[node]
    e = 0
    while e < count:
        if cost[node, e] <= spent:
            worse = True
            for k in range(types):
                if waiting[node, e, k] > new[k]:
                    worse = False
                    break
            if worse:
                return True
        if cost[node, e] >= spent:
            better = True
            for k in range(types):
                if waiting[node, e, k] < new[k]:
                    better = False
                    break
            if better:
                count -= 1
                cost[node, e] = cost[node, count]
                for k in range(types):
                    waiting[node, e, k] = waiting[node, count, k]
                continue
        e += 1
    size[node] = count
    if count == cost.shape[1]:
        return False
    cost[node, count] = spent
    for k in range(types):
        waiting[node, count, k] = new[k]
    size[node] = count + 1
    return True


@numba.njit(cache=True, nogil=True)
def _round(start, advance, waiting, cost, size, arrived, width):
    """One round: arrivals, starts, waiting counted, advance. Returns the labels of the next round.

    The new shelves are twice as wide whenever one of them overflows, and the round is done again.
    """
    nodes, types = start.shape
    new = np.empty(types, np.int64)
    while True:
        w = np.empty((nodes, width, types), np.int64)
        c = np.empty((nodes, width), np.int64)
        s = np.zeros(nodes, np.int64)
        ok = True
        for node in range(nodes):
            for e in range(size[node]):
                for k in range(types):
                    new[k] = waiting[node, e, k] + arrived[k]
                ok = ok and _insert(w, c, s, node, new, cost[node, e], types)
        # Starts lead to larger numbers, so every label that a profile gets is there when its turn comes.
        for node in range(nodes):
            for e in range(s[node]):
                for k in range(types):
                    if w[node, e, k] > 0 and start[node, k] >= 0:
                        for j in range(types):
                            new[j] = w[node, e, j]
                        new[k] -= 1
                        ok = ok and _insert(w, c, s, start[node, k], new, c[node, e], types)
        w2 = np.empty((nodes, width, types), np.int64)
        c2 = np.empty((nodes, width), np.int64)
        s2 = np.zeros(nodes, np.int64)
        for node in range(nodes):
            for e in range(s[node]):
                spent = c[node, e]
                for k in range(types):
                    spent += w[node, e, k]
                ok = ok and _insert(w2, c2, s2, advance[node], w[node, e], spent, types)
        if ok:
            return w2, c2, s2, width
        width *= 2


@numba.njit(cache=True, nogil=True)
def _served(waiting, cost, size):
    """Least cost of a label without waiting requests, and the least cost of all; -1 for none."""
    served = best = np.int64(-1)
    for node in range(len(size)):
        for e in range(size[node]):
            if best < 0 or cost[node, e] < best:
                best = cost[node, e]
            if waiting[node, e].sum() == 0 and (served < 0 or cost[node, e] < served):
                served = cost[node, e]
    return served, best


@numba.njit(cache=True, nogil=True)
def _curve(start, advance, counts, horizons):
    nodes, types = start.shape
    width = 16
    waiting = np.zeros((nodes, width, types), np.int64)
    cost = np.zeros((nodes, width), np.int64)
    size = np.zeros(nodes, np.int64)
    size[0] = 1
    nobody = np.zeros(types, np.int64)
    values = np.empty(len(horizons), np.int64)
    for h in range(len(horizons)):
        for t in range(horizons[h - 1] if h > 0 else 0, horizons[h]):
            waiting, cost, size, width = _round(start, advance, waiting, cost, size, counts[t], width)
        w, c, s, wide = waiting, cost, size, width
        while True:
            served, best = _served(w, c, s)
            if served >= 0 and served <= best:
                break
            w, c, s, wide = _round(start, advance, w, c, s, nobody, wide)
        values[h] = served
    return values
