"""Numba kernels of the state-space relaxation (`kvopt.exact.relaxation`): graph of profiles, costs to go, a path.

Innermost loops index with unsigned integers: a signed index may count from the end, which costs a test for each access.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit


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


@njit(cache=True, nogil=True, inline="always")
def log_cells_of(capacity):
    """Logarithm to base 2 of the cells in a word: cells have 8 bits where that is enough, else 16."""
    return 3 if capacity < 128 else 2


@njit(cache=True, nogil=True)
def words_of(output, capacity):
    """Words that the profile of an output takes."""
    cells = 1 << log_cells_of(capacity)
    return (output + cells - 1) // cells


@njit(cache=True, nogil=True)
def packed_shapes(prompt, output, capacity):
    """The shapes, with cells of 8 or 16 bits."""
    log_cells = log_cells_of(capacity)
    cells = 1 << log_cells
    bits = 64 // cells
    kinds, words = len(prompt), words_of(output.max(), capacity)
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
def closure(halt, prompt, output, capacity, most):
    """All memory profiles reachable by starts of any classes and by waiting, and where they lead (see `ProfileGraph`).

    Incomplete once there are more than `most` profiles times classes.
    """
    kinds = prompt.shape[0]
    shapes = packed_shapes(prompt, output, capacity)
    words = shapes.demand.shape[1]
    width = np.uint64(words)
    room, size = 256, 1024
    profile, slot = np.zeros((room, words), dtype=np.uint64), np.full(size, -1, dtype=np.int32)
    busy, depth, later = np.zeros(room, np.int32), np.zeros(room, np.int32), np.full(room, -1, np.int32)
    # Profiles to which starts lead, in order; whether one is among them.
    nodes, led_to = np.zeros(room, np.int32), np.zeros(room, np.bool_)
    to, moved = np.full((room, kinds), -1, np.int32), np.zeros((room, kinds), np.int16)
    # A profile, and one right after a start; behind both as many words without tokens.
    cells, child = np.zeros(2 * words + 1, dtype=np.uint64), np.zeros(2 * words + 1, dtype=np.uint64)
    slot[hash_words(profile, 0) & np.uint64(size - 1)] = 0
    led_to[0] = True
    found, led, done, deepest, complete = 1, 1, 0, np.int64(0), True
    while done < led:
        at = np.int64(nodes[done])
        starts, done = np.int64(depth[at]), done + 1
        deepest = max(deepest, starts)
        # Profiles that come up by waiting, until one that came up before.
        while later[at] < 0:
            if found * kinds > most or halt[0]:
                complete = False
                break
            if found + kinds + 1 >= room:
                profile, busy = np.concatenate((profile, np.zeros_like(profile))), np.append(busy, busy)
                depth, later = np.append(depth, depth), np.append(later, np.full(room, -1, np.int32))
                nodes, led_to = np.append(nodes, nodes), np.append(led_to, np.zeros(room, np.bool_))
                to = np.concatenate((to, np.full((room, kinds), -1, np.int32)))
                moved = np.concatenate((moved, np.zeros((room, kinds), np.int16)))
                room *= 2
            depth[at] = starts
            for i in range(width):
                cells[i] = profile[np.uint64(at), i]
            for k in range(kinds + 1):
                # A candidate for the next profile is written where it would be: after a start or, last, a round.
                move = 1
                if k < kinds:
                    if not room_for(cells, 0, k, shapes):
                        continue
                    for i in range(width):
                        child[i] = cells[i] + shapes.demand[np.uint64(k), i]
                    move = rounds_to_start(child, shapes)
                    for i in range(width):
                        profile[np.uint64(found), i] = word_from(child, move, i, shapes.log_cells)
                else:
                    for i in range(width):
                        profile[np.uint64(found), i] = word_from(cells, 1, i, shapes.log_cells)
                h = hash_words(profile, found) & np.uint64(size - 1)
                while slot[h] >= 0 and not same_words(profile, slot[h], found):
                    h = (h + np.uint64(1)) & np.uint64(size - 1)
                reached = np.int64(slot[h])
                if reached < 0:
                    reached = np.int64(found)
                    slot[h] = found
                    busy[found] = max((max(busy[at], output[k]) if k < kinds else busy[at]) - move, 0)
                    depth[found] = starts + (k < kinds)
                    found += 1
                    if 2 * found > size:
                        size *= 4
                        slot = hash_table(profile, found, size)
                if k == kinds:
                    later[at] = reached
                    at = reached
                    break
                to[at, k], moved[at, k] = reached, move
                if not led_to[reached]:
                    led_to[reached] = True
                    nodes[led] = reached
                    led += 1
        if not complete:
            found = led = 0
            break
    # In ascending order of starts and then busy rounds each profile comes after the one it is a round later.
    longest = np.int64(output.max()) + 1
    begin = np.zeros((deepest + 1) * longest + 1, np.int64)
    for p in range(found):
        begin[depth[p] * longest + busy[p] + 1] += 1
    begin = np.cumsum(begin)
    number = np.empty(found, np.int32)
    for p in range(found):
        place = depth[p] * longest + busy[p]
        number[p] = begin[place]
        begin[place] += 1
    new_depth, new_later = np.empty(found, np.int32), np.empty(found, np.uint32)
    new_to, new_moved = np.empty((kinds, found), np.uint32), np.empty((kinds, found), np.int16)
    for p in range(found):
        x = number[p]
        new_depth[x], new_later[x] = depth[p], number[later[p]]
        for k in range(kinds):
            new_to[k, x] = number[to[p, k]] if to[p, k] >= 0 else found
            new_moved[k, x] = moved[p, k]
    return number[nodes[:led]], (new_depth, new_later, new_to, new_moved), complete


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
def start_now(row, before, lo, hi, later_cost, start_cost, to, moved):
    """Fill ``row[lo:hi]`` with the least costs of starts at once, of the rounds after them and of what they lead to."""
    for k in range(np.uint64(len(start_cost))):
        own = start_cost[k]
        for p in range(np.uint64(lo), np.uint64(hi)):
            value = own + later_cost * moved[k, p] + before[to[k, p]]
            row[p] = min(row[p], value) if k > 0 else value


@njit(cache=True, nogil=True)
def start_later(row, hi, round_cost, later):
    """Lower ``row[:hi]`` to what it costs to wait a round, where that is less."""
    for p in range(np.uint64(1), np.uint64(hi)):
        row[p] = min(row[p], row[later[p]] + round_cost)


@njit(cache=True, nogil=True)
def sweeps(cost, reach, scale, start_cost, later, to, moved):
    """Fill the first ``reach[j]`` entries of each ``cost[j]``, j >= 1, the least costs of j starts."""
    for j in range(1, cost.shape[0]):
        # A round after a start delays all requests but the one that starts, a wait before it this one as well.
        start_now(cost[j], cost[j - 1], 0, reach[j], scale * (j - 1), start_cost, to, moved)
        start_later(cost[j], reach[j], scale * j, later)


@njit(cache=True, nogil=True)
def path(cost, scale, start_cost, later, to, moved):
    """Class and start round of each run on an optimal path of the relaxed problem, in order."""
    n, nowhere = cost.shape[0] - 1, len(later)
    kind, start = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    p, t = np.int64(0), 0
    for j in range(n, 0, -1):
        k = 0
        while True:
            q = np.int64(to[k, p])
            if q < nowhere and scale * moved[k, p] * (j - 1) + start_cost[k] + cost[j - 1, q] == cost[j, p]:
                break
            k += 1
            if k == len(start_cost):
                k, t, p = 0, t + 1, np.int64(later[p])
        kind[n - j], start[n - j] = k, t
        t += moved[k, p]
        p = q
    return kind, start
