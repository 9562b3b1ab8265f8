"""Numba kernels of the state-space relaxation (`kvopt.exact.relaxation`): graph of profiles, costs to go, a path.

Innermost loops index with unsigned integers: a signed index may count from the end, which costs a test for each access.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

#: A graph that has found more than 11 profiles for each one expanded, with a fortieth of the arcs made that it may
#: have, or 8 with a twentieth of them, and so on, gets too large.
HOPELESS = ((40, 11), (20, 8), (10, 5), (5, 3))


class Shapes(NamedTuple):
    """Shapes of types or classes in words of many cells each, one cell for a round, whose highest bit stays free.

    Attributes
    ----------
    demand : uint64 array of shape (K, words)
        Tokens held in the rounds after a start.
    test : uint64 array of shape (K, words)
        Added to tokens held by others, it sets the highest bit of the cells in which there is no room.
    used : uint64 array of shape (K,)
        Words that a demand reaches into.
    easy : uint64 array
        Those of which one fits wherever any fits.
    log_cells : int
        Logarithm to base 2 of the cells in a word.
    """

    demand: np.ndarray
    test: np.ndarray
    used: np.ndarray
    easy: np.ndarray
    log_cells: int


@njit(cache=True, nogil=True)
def packed_shapes(prompt, output, capacity):
    """The shapes, with cells of 8 or 16 bits."""
    log_cells = 3 if capacity < 128 else 2
    cells = 1 << log_cells
    bits = 64 // cells
    kinds, words = len(prompt), (output.max() + cells - 1) // cells
    demand, test = np.zeros((kinds, words), dtype=np.uint64), np.zeros((kinds, words), dtype=np.uint64)
    used, easy = ((output + cells - 1) // cells).astype(np.uint64), np.empty(kinds, dtype=np.uint64)
    found = 0
    for k in range(kinds):
        for u in range(words * cells):
            held = prompt[k] + u + 1 if u < output[k] else 0
            shift = np.uint64(u % cells * bits)
            demand[k, u // cells] |= np.uint64(held) << shift
            test[k, u // cells] |= np.uint64(held + (1 << (bits - 1)) - 1 - capacity) << shift
        covered = False
        for other in range(kinds):
            smaller = prompt[other] <= prompt[k] and output[other] <= output[k]
            equal = prompt[other] == prompt[k] and output[other] == output[k]
            covered = covered or (smaller and (not equal or other < k))
        if not covered:
            easy[found] = k
            found += 1
    return Shapes(demand, test, used, easy[:found], log_cells)


@njit(cache=True, nogil=True, inline="always")
def word_from(words, at, i, log_cells):
    """Word i (unsigned) of a profile moved on by `at` cells; there is a word behind it."""
    first = np.uint64(at >> log_cells) + i
    shift = np.uint64((at & ((1 << log_cells) - 1)) << (6 - log_cells))
    # In two steps, because a shift by 64 bits would be none.
    return words[first] >> shift | (words[first + np.uint64(1)] << np.uint64(1)) << (np.uint64(63) - shift)


@njit(cache=True, nogil=True, inline="always")
def room_for(words, at, k, shapes):
    """Whether a request of shape k fits from cell `at` on."""
    full, k = np.uint64(0x8080808080808080 if shapes.log_cells == 3 else 0x8000800080008000), np.uint64(k)
    for i in range(shapes.used[k]):
        if (word_from(words, at, i, shapes.log_cells) + shapes.test[k, i]) & full:
            return False
    return True


@njit(cache=True, nogil=True, inline="always")
def rounds_to_start(words, shapes):
    """Rounds until any request fits."""
    moved = 0
    while True:
        for i in range(np.uint64(len(shapes.easy))):
            if room_for(words, moved, shapes.easy[i], shapes):
                return moved
        moved += 1


@njit(cache=True, nogil=True)
def closure(halt, prompt, output, capacity, max_arcs):
    """All memory profiles reachable by starts of any classes, and their arcs (see `ProfileGraph`)."""
    kinds = prompt.shape[0]
    shapes = packed_shapes(prompt, output, capacity)
    width = np.uint64(shapes.demand.shape[1])
    profile = np.zeros((256, shapes.demand.shape[1]), dtype=np.uint64)
    busy, depth = np.zeros(256, dtype=np.int32), np.zeros(256, dtype=np.int32)
    first = np.zeros(256, dtype=np.int64)
    size = 1024
    slot = np.full(size, -1, dtype=np.int32)
    target = np.empty(1 << 12, dtype=np.int32)
    move = np.empty(1 << 12, dtype=np.int16)
    # A profile, and one right after a start; behind both as many words without tokens.
    behind = 2 * shapes.demand.shape[1] + 1
    cells, child = np.zeros(behind, dtype=np.uint64), np.zeros(behind, dtype=np.uint64)
    slot[hash_words(profile, 0) & np.uint64(size - 1)] = 0
    nodes, arcs, at = 1, 0, 0
    complete, looks = True, 0
    while at < nodes:
        for i in range(width):
            cells[i] = profile[np.uint64(at), i]
        first[at] = arcs
        needed = (busy[at] + 1) * kinds
        # What has been found will take more arcs than there may be, if it takes as many as what has been expanded.
        hopeless = looks > 0 and nodes * arcs > max_arcs * at
        if looks < len(HOPELESS) and HOPELESS[looks][0] * arcs > max_arcs:
            hopeless = hopeless or nodes > HOPELESS[looks][1] * at
            looks += 1
        if hopeless or arcs + needed > max_arcs or halt[0]:
            complete = False
            break
        while arcs + needed > target.shape[0]:
            target = np.concatenate((target, np.empty_like(target)))
            move = np.concatenate((move, np.empty_like(move)))
        if nodes + needed > profile.shape[0]:
            larger = max(needed, profile.shape[0])
            profile = np.concatenate((profile, np.zeros((larger, profile.shape[1]), dtype=np.uint64)))
            busy = np.concatenate((busy, np.zeros(larger, dtype=np.int32)))
            depth = np.concatenate((depth, np.zeros(larger, dtype=np.int32)))
            first = np.concatenate((first, np.zeros(larger, dtype=np.int64)))
        for w in range(busy[at] + 1):
            for k in range(kinds):
                arc = arcs
                arcs += 1
                target[arc] = -1
                move[arc] = 0
                if not room_for(cells, w, k, shapes):
                    continue
                for i in range(width):
                    child[i] = word_from(cells, w, i, shapes.log_cells) + shapes.demand[np.uint64(k), i]
                moved = rounds_to_start(child, shapes)
                # A candidate for the next node is written where it would be.
                for i in range(width):
                    profile[np.uint64(nodes), i] = word_from(child, moved, i, shapes.log_cells)
                h = hash_words(profile, nodes) & np.uint64(size - 1)
                while slot[h] >= 0 and not same_words(profile, slot[h], nodes):
                    h = (h + np.uint64(1)) & np.uint64(size - 1)
                if slot[h] < 0:
                    slot[h] = nodes
                    busy[nodes], depth[nodes] = max(busy[at] - w, output[k]) - moved, depth[at] + 1
                    nodes += 1
                    target[arc] = nodes - 1
                    if 2 * nodes > size:
                        size *= 4
                        slot = hash_table(profile, nodes, size)
                else:
                    target[arc] = slot[h]
                move[arc] = moved
        at += 1
    nodewise = busy[:nodes].copy(), depth[:nodes].copy(), first[:nodes].copy()
    return nodewise, (target[:arcs].copy(), move[:arcs].copy()), complete


@njit(cache=True, nogil=True, inline="always")
def hash_words(profile, c):
    """A 64-bit hash of profile c, good in its low bits."""
    h = np.uint64(1469598103934665603)
    c = np.uint64(c)
    for i in range(np.uint64(profile.shape[1])):
        h = (h ^ profile[c, i]) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(32)
    h *= np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(32))


@njit(cache=True, nogil=True, inline="always")
def same_words(profile, a, b):
    """Whether profiles a and b are equal."""
    differ, a, b = np.uint64(0), np.uint64(a), np.uint64(b)
    for i in range(np.uint64(profile.shape[1])):
        differ |= profile[a, i] ^ profile[b, i]
    return differ == 0


@njit(cache=True, nogil=True)
def hash_table(profile, count, size):
    """A table of `size` slots, a power of two, with the first `count` profiles, all different; -1 where none is."""
    slot = np.full(size, -1, dtype=np.int32)
    for c in range(count):
        h = hash_words(profile, c) & np.uint64(size - 1)
        while slot[h] >= 0:
            h = (h + np.uint64(1)) & np.uint64(size - 1)
        slot[h] = c
    return slot


@njit(cache=True, nogil=True)
def starts_only(first, busy, target, move, kinds):
    """The arcs that are starts, for the sweeps: where those of each node begin, wait, rounds in all, class, target."""
    nodes = busy.shape[0]
    begin = np.zeros(nodes + 1, dtype=np.uint64)
    size = 0
    for arc in range(target.shape[0]):
        size += target[arc] >= 0
    wait, lag = np.empty(size, dtype=np.int16), np.empty(size, dtype=np.int16)
    kind, to = np.empty(size, dtype=np.uint16), np.empty(size, dtype=np.uint32)
    at = np.uint64(0)
    for c in range(nodes):
        code = np.uint64(first[c])
        for w in range(busy[c] + 1):
            for k in range(kinds):
                if target[code] >= 0:
                    wait[at], lag[at], kind[at], to[at] = w, w + move[code], k, target[code]
                    at += np.uint64(1)
                code += np.uint64(1)
        begin[c + 1] = at
    return begin, wait, lag, kind, to


@njit(cache=True, nogil=True)
def sweep(cost, j, lo, hi, scale, start_cost, begin, wait, lag, kind, to):
    """Fill ``cost[j, lo:hi]``, the least cost of j >= 1 starts from each profile, from ``cost[j - 1]``."""
    before, row, later = cost[j - 1], cost[j], scale * (j - 1)
    # From the empty worker j starts cost no more than from any other: once waiting makes up for that, stop.
    floor = np.int64(2**62)
    for arc in range(begin[1]):
        floor = min(floor, start_cost[kind[arc]] + later * lag[arc] + before[to[arc]])
    for c in range(np.uint64(lo), np.uint64(hi)):
        best = np.int64(2**62)
        for arc in range(begin[c], begin[c + np.uint64(1)]):
            waited = scale * wait[arc]
            if waited * j + floor >= best:
                break
            # The wait delays all j requests, the rounds after the start all but the one that starts.
            best = min(best, waited + later * lag[arc] + start_cost[kind[arc]] + before[to[arc]])
        row[c] = best


@njit(cache=True, nogil=True)
def sweeps(cost, reach, scale, start_cost, begin, wait, lag, kind, to):
    """Fill the first ``reach[j]`` entries of each ``cost[j]``, j >= 1."""
    for j in range(1, cost.shape[0]):
        sweep(cost, j, 0, reach[j], scale, start_cost, begin, wait, lag, kind, to)


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
