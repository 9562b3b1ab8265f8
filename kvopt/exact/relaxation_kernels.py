"""Numba kernels of the state-space relaxation (`kvopt.exact.relaxation`): graph of profiles, costs to go, a path."""

from __future__ import annotations

import numpy as np
from numba import njit

#: A graph that has found more profiles than this for each one expanded, with a tenth of its arcs made, gets too large.
HOPELESS = 5


@njit(cache=True, nogil=True)
def closure(halt, prompt, output, capacity, max_arcs):
    """All memory profiles reachable by starts of any classes, and their arcs (see `ProfileGraph`)."""
    kinds = prompt.shape[0]
    width = np.int64(output.max())
    capacity_nodes = 1024
    profile = np.zeros((capacity_nodes, width), dtype=np.int16)
    busy = np.zeros(capacity_nodes, dtype=np.int32)
    first = np.zeros(capacity_nodes, dtype=np.int64)
    size = 4096
    slot = np.full(size, -1, dtype=np.int32)
    target = np.empty(1 << 16, dtype=np.int32)
    move = np.empty(1 << 16, dtype=np.int16)
    cells = np.zeros(3 * width, dtype=np.int64)
    child = np.zeros(3 * width, dtype=np.int64)
    row = np.zeros((1, width), dtype=np.int16)
    slot[hash_cells(row, 0) & np.uint64(size - 1)] = 0
    nodes, arcs, at = 1, 0, 0
    complete, looked = True, False
    while at < nodes:
        for u in range(width):
            cells[u] = profile[at, u]
        first[at] = arcs
        needed = (busy[at] + 1) * kinds
        hopeless = not looked and 10 * arcs > max_arcs and nodes > HOPELESS * at
        looked = looked or 10 * arcs > max_arcs
        if hopeless or arcs + needed > max_arcs or halt[0]:
            complete = False
            break
        while arcs + needed > target.shape[0]:
            target = np.concatenate((target, np.empty_like(target)))
            move = np.concatenate((move, np.empty_like(move)))
        for w in range(busy[at] + 1):
            for k in range(kinds):
                arc = arcs
                arcs += 1
                target[arc] = -1
                move[arc] = 0
                if not room_for(cells, w, prompt[k], output[k], capacity):
                    continue
                for u in range(2 * width):
                    child[u] = cells[w + u]
                for j in range(output[k]):
                    child[j] += prompt[k] + j + 1
                moved = 0
                startable = False
                while not startable:
                    for k2 in range(kinds):
                        if room_for(child, moved, prompt[k2], output[k2], capacity):
                            startable = True
                            break
                    if not startable:
                        moved += 1
                length = 0
                for u in range(width):
                    row[0, u] = child[moved + u]
                    if row[0, u] > 0:
                        length = u + 1
                h = hash_cells(row, 0) & np.uint64(size - 1)
                while True:
                    node = slot[h]
                    if node < 0:
                        if nodes == profile.shape[0]:
                            profile = np.concatenate((profile, np.zeros_like(profile)))
                            busy = np.concatenate((busy, np.zeros_like(busy)))
                            first = np.concatenate((first, np.zeros_like(first)))
                        node = nodes
                        nodes += 1
                        profile[node] = row[0]
                        busy[node] = length
                        slot[h] = node
                        if 2 * nodes > size:
                            size *= 4
                            slot = hash_table(profile, nodes, size)
                        break
                    same = True
                    for u in range(width):
                        if profile[node, u] != row[0, u]:
                            same = False
                            break
                    if same:
                        break
                    h = (h + np.uint64(1)) & np.uint64(size - 1)
                target[arc] = node
                move[arc] = moved
        at += 1
    return busy[:nodes].copy(), first[:nodes].copy(), target[:arcs].copy(), move[:arcs].copy(), complete


@njit(cache=True, nogil=True, inline="always")
def hash_cells(profile, c):
    """A 64-bit hash of profile c."""
    h = np.uint64(1469598103934665603)
    for u in range(profile.shape[1]):
        h = (h ^ np.uint64(profile[c, u])) * np.uint64(1099511628211)
    return h ^ (h >> np.uint64(29))


@njit(cache=True, nogil=True)
def hash_table(profile, count, size):
    """A table of `size` slots, a power of two, with the first `count` profiles, all different; -1 where none is."""
    slot = np.full(size, -1, dtype=np.int32)
    for c in range(count):
        h = hash_cells(profile, c) & np.uint64(size - 1)
        while slot[h] >= 0:
            h = (h + np.uint64(1)) & np.uint64(size - 1)
        slot[h] = c
    return slot


@njit(cache=True, nogil=True, inline="always")
def room_for(cells, at, prompt, output, capacity):
    """Whether a request fits from cell `at` on."""
    for j in range(output):
        if cells[at + j] + prompt + j + 1 > capacity:
            return False
    return True


@njit(cache=True, nogil=True)
def starts_only(first, busy, target, move, kinds):
    """The arcs that are starts, for the sweeps: where those of each node begin, wait, rounds in all, class, target."""
    nodes = busy.shape[0]
    begin = np.zeros(nodes + 1, dtype=np.int64)
    size = 0
    for arc in range(target.shape[0]):
        size += target[arc] >= 0
    wait, lag = np.empty(size, dtype=np.int16), np.empty(size, dtype=np.int16)
    kind, to = np.empty(size, dtype=np.int16), np.empty(size, dtype=np.int32)
    at = 0
    for c in range(nodes):
        arc = first[c]
        for w in range(busy[c] + 1):
            for k in range(kinds):
                if target[arc] >= 0:
                    wait[at], lag[at], kind[at], to[at] = w, w + move[arc], k, target[arc]
                    at += 1
                arc += 1
        begin[c + 1] = at
    return begin, wait, lag, kind, to


@njit(cache=True, nogil=True)
def sweep(cost, j, lo, hi, scale, start_cost, begin, wait, lag, kind, to):
    """Fill ``cost[j, lo:hi]``, the least cost of j >= 1 starts from each profile, from ``cost[j - 1]``."""
    # From the empty worker j starts cost no more than from any other: once waiting makes up for that, stop.
    floor = np.int64(2**62)
    for arc in range(begin[1]):
        floor = min(floor, start_cost[kind[arc]] + scale * lag[arc] * (j - 1) + cost[j - 1, to[arc]])
    for c in range(lo, hi):
        best = np.int64(2**62)
        for arc in range(begin[c], begin[c + 1]):
            idle = scale * wait[arc] * j
            if idle + floor >= best:
                break
            # The wait delays all j requests, the rounds after the start all but the one that starts.
            delay = idle + scale * (lag[arc] - wait[arc]) * (j - 1)
            best = min(best, delay + start_cost[kind[arc]] + cost[j - 1, to[arc]])
        cost[j, c] = best


@njit(cache=True, nogil=True)
def sweeps(cost, scale, start_cost, begin, wait, lag, kind, to):
    """Fill all of ``cost[1:]``."""
    for j in range(1, cost.shape[0]):
        sweep(cost, j, 0, cost.shape[1], scale, start_cost, begin, wait, lag, kind, to)


@njit(cache=True, nogil=True)
def path(cost, scale, start_cost, first, busy, target, move, kinds):
    """Class and start round of each run on an optimal path of the relaxed problem, in order."""
    n = cost.shape[0] - 1
    kind, start = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    c = t = following = lag = 0
    for j in range(n, 0, -1):
        arc = first[c]
        found = False
        for w in range(busy[c] + 1):
            for k in range(kinds):
                node = target[arc]
                if node >= 0 and not found:
                    value = scale * (w * j + move[arc] * (j - 1)) + start_cost[k] + cost[j - 1, node]
                    if value == cost[j, c]:
                        kind[n - j], start[n - j] = k, t + w
                        following, lag = node, w + move[arc]
                        found = True
                arc += 1
            if found:
                break
        c = following
        t += lag
    return kind, start
