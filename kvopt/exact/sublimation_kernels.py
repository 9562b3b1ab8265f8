"""Numba kernels of successive sublimation (`kvopt.exact.sublimation`): layers of states, costs to go, refinement.

A *state* of layer j is what is remembered of a partial schedule with j requests still to start. An arc is a start:
of type `kind`, `wait` rounds after the state's round; the next state's round comes `lag` rounds after it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from kvopt.exact.relaxation_kernels import (
    hash_table,
    hash_words,
    packed_shapes,
    room_for,
    rounds_to_start,
    same_words,
    word_from,
)

#: More than any cost.
NEVER = np.int64(2**62)
#: How `generate` and `refine` ended: with layers, without any path that is left, or at a limit.
ALIVE, EMPTY, EXCEEDED = range(3)
#: Bisections of the step after which the ascent of multipliers ends, and most steps of it.
BISECTIONS, STEPS = 4, 20


class Layers(NamedTuple):
    """States in ascending order of requests started, the last one with nothing left to start, and their arcs.

    Attributes
    ----------
    first : int64 array of shape (n + 2,)
        First state after so many starts, and at the end the number of states.
    begin : uint64 array of shape (states + 1,)
        First arc of each state.
    kind : uint16 array, one entry for each arc
    wait, lag : int16 arrays
    to : uint32 array
        State that the arc leads to.
    """

    first: np.ndarray
    begin: np.ndarray
    kind: np.ndarray
    wait: np.ndarray
    lag: np.ndarray
    to: np.ndarray


@njit(cache=True, nogil=True)
def generate(halt, prompt, output, capacity, class_of, reward, scale, n, graph, to_go, limit, most):
    """Layers of all profiles on paths that the relaxation does not show to cost more than `limit`.

    Parameters
    ----------
    halt : int8 array of shape (1,)
        Turns non-zero when the work is to end.
    class_of, reward : int64 arrays of shape (K,)
        Class of each type in the relaxation; what a start of it earns beside its costs.
    graph, to_go
        Arrays of the relaxation's graph, and its costs to go (`Relaxation.cost`).
    limit : int
        In units of ``1 / scale``, like the relaxation's costs.
    most : int
        Arcs above which the work is given up.

    Returns
    -------
    state : int
        `ALIVE`, `EMPTY` or `EXCEEDED`.
    layers : Layers
        Of use when alive.
    """
    arc_first, busy, target, move = graph
    kinds, classes = len(prompt), class_of.max() + 1
    shapes = packed_shapes(prompt, output, capacity)
    words = shapes.demand.shape[1]
    width = np.uint64(words)
    kind, wait = np.empty(1 << 12, dtype=np.uint16), np.empty(1 << 12, dtype=np.int16)
    lag, to = np.empty(1 << 12, dtype=np.int16), np.empty(1 << 12, dtype=np.uint32)
    begin, first = np.zeros(1 << 10, dtype=np.uint64), np.zeros(n + 2, dtype=np.int64)
    # A profile, and one right after a start; behind both as many words without tokens.
    cells, child = np.zeros(2 * words + 1, dtype=np.uint64), np.zeros(2 * words + 1, dtype=np.uint64)
    # The states of a layer: profile and its busy rounds, least cost from the root, profile in the relaxation and
    # rounds it is behind.
    profile, length = np.zeros((1, words), dtype=np.uint64), np.zeros(1, dtype=np.int64)
    cost, node, behind = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int32)
    size, states, arcs = 1, 0, 0
    for j in range(n, 0, -1):
        first[n - j] = states
        room, slots, found = 256, 1024, 0
        new_profile, new_length = np.zeros((room, words), dtype=np.uint64), np.empty(room, dtype=np.int64)
        new_cost = np.empty(room, dtype=np.int64)
        new_node, new_behind = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
        slot = np.full(slots, -1, dtype=np.int32)
        while states + size + 1 >= len(begin):
            begin = np.append(begin, np.zeros_like(begin))
        for x in range(size):
            if halt[0] or arcs > most:
                return EXCEEDED, Layers(first, begin, kind, wait, lag, to)
            begin[states + x] = arcs
            for i in range(width):
                cells[i] = profile[np.uint64(x), i]
            for w in range(length[x] + 1):
                waited = cost[x] + scale * w * j
                # From the empty worker the rest costs no more than from any other.
                if waited + to_go[j, 0] > limit:
                    break
                for k in range(kinds):
                    if not room_for(cells, w, k, shapes):
                        continue
                    for i in range(width):
                        child[i] = word_from(cells, w, i, shapes.log_cells) + shapes.demand[np.uint64(k), i]
                    moved = rounds_to_start(child, shapes)
                    before = min(np.int64(behind[x]) + w, np.int64(busy[node[x]]))
                    arc = arc_first[node[x]] + before * classes + class_of[k]
                    ahead = moved - move[arc]
                    value = waited + scale * (output[k] + moved * (j - 1)) - reward[k]
                    if value - scale * ahead * (j - 1) + to_go[j - 1, target[arc]] > limit:
                        continue
                    if found + 1 >= room:
                        new_profile = np.append(new_profile, np.zeros_like(new_profile)).reshape(-1, words)
                        new_length = np.append(new_length, new_length)
                        new_cost, room = np.append(new_cost, new_cost), 2 * room
                        new_node, new_behind = np.append(new_node, new_node), np.append(new_behind, new_behind)
                    # After the last start only the cost matters: all profiles are one.
                    for i in range(width):
                        word = word_from(child, moved, i, shapes.log_cells) if j > 1 else np.uint64(0)
                        new_profile[np.uint64(found), i] = word
                    h = hash_words(new_profile, found) & np.uint64(slots - 1)
                    while slot[h] >= 0 and not same_words(new_profile, slot[h], found):
                        h = (h + np.uint64(1)) & np.uint64(slots - 1)
                    if slot[h] < 0:
                        slot[h] = found
                        reached, found = found, found + 1
                        new_length[reached] = max(length[x] - w, output[k]) - moved
                        new_cost[reached], new_node[reached], new_behind[reached] = value, target[arc], ahead
                        if 2 * found > slots:
                            slots *= 4
                            slot = hash_table(new_profile, found, slots)
                    else:
                        reached = int(slot[h])
                        new_cost[reached] = min(new_cost[reached], value)
                    if arcs == len(kind):
                        kind, wait = np.append(kind, kind), np.append(wait, wait)
                        lag, to = np.append(lag, lag), np.append(to, to)
                    kind[arcs], wait[arcs], lag[arcs], to[arcs] = k, w, w + moved, states + size + reached
                    arcs += 1
        states += size
        if found == 0:
            return EMPTY, Layers(first, begin, kind, wait, lag, to)
        profile, length, cost, node, behind, size = new_profile, new_length, new_cost, new_node, new_behind, found
    first[n], first[n + 1] = states, states + 1
    begin[states] = begin[states + 1] = arcs
    return ALIVE, Layers(first, begin[: states + 2].copy(), kind[:arcs], wait[:arcs], lag[:arcs], to[:arcs])


@njit(cache=True, nogil=True, inline="always")
def arc_cost(start_cost, wait, lag, j, scale):
    """Waiting delays all j requests, the rounds after the start all but the one that starts."""
    return scale * (np.int64(wait) + np.int64(lag) * (j - 1)) + start_cost


@njit(cache=True, nogil=True)
def costs_to_go(layers, n, scale, start_cost):
    """Least cost from each state to the end, shape (states,)."""
    first, begin, kind, wait, lag, to = layers
    cost = np.full(first[n + 1], NEVER)
    cost[first[n] :] = 0
    for j in range(1, n + 1):
        for state in range(np.uint64(first[n - j]), np.uint64(first[n - j + 1])):
            best = NEVER
            for a in range(begin[state], begin[state + np.uint64(1)]):
                # A state without arcs is a dead end; the sum stays below twice its cost.
                if cost[to[a]] < NEVER:
                    best = min(best, arc_cost(start_cost[kind[a]], wait[a], lag[a], j, scale) + cost[to[a]])
            cost[state] = best
    return cost


@njit(cache=True, nogil=True)
def cheapest(layers, n, scale, start_cost, cost):
    """Type and round of each start on a cheapest path."""
    kind, start = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    state, now = np.int64(0), 0
    for j in range(n, 0, -1):
        for a in range(layers.begin[state], layers.begin[state + 1]):
            following, wait, lag, k = cost[layers.to[a]], layers.wait[a], layers.lag[a], layers.kind[a]
            if following < NEVER and arc_cost(start_cost[k], wait, lag, j, scale) + following == cost[state]:
                kind[n - j], start[n - j] = k, now + wait
                now += lag
                state = np.int64(layers.to[a])
                break
    return kind, start


@njit(cache=True, nogil=True)
def ascend(halt, layers, n, scale, output, count, multiplier, limit):
    """Multipliers under which a cheapest path costs much: above `limit`, or as much as ever shorter steps achieve.

    Returns
    -------
    multiplier : int64 array of shape (K,)
    value : int
        Cost of a cheapest path, with what the multipliers of all requests add.
    cost : int64 array of shape (states,)
    excess : int64 array of shape (K,)
        Starts that its path has too few of.
    kind, start : int64 arrays of shape (n,)
    """
    best, best_value, best_cost = multiplier, np.int64(-NEVER), np.empty(0, dtype=np.int64)
    best_kind, best_start = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    excess = count.copy()
    stride = 1.0
    bisections = 0
    tried = multiplier
    for step in range(STEPS):
        if halt[0] and step > 0:
            break
        start_cost = scale * output - tried
        cost = costs_to_go(layers, n, scale, start_cost)
        value = cost[0] + (count * tried).sum()
        if value > best_value:
            best, best_value, best_cost = tried, value, cost
            best_kind, best_start = cheapest(layers, n, scale, start_cost, cost)
            excess = count.copy()
            for i in range(n):
                excess[best_kind[i]] -= 1
            if value > limit or not excess.any():
                break
        else:
            stride /= 2
            bisections += 1
            if bisections == BISECTIONS:
                break
        length = stride * max(limit + scale - best_value, scale) / (excess * excess).sum()
        tried = best + np.rint(length * excess).astype(np.int64)
    return best, best_value, best_cost, excess, best_kind, best_start


@njit(cache=True, nogil=True)
def refine(halt, layers, n, scale, start_cost, cost, counted, count, limit, most):
    """Layers of the paths of cost at most `limit`, with states that tell how many requests of one type have started.

    Parameters
    ----------
    cost : int64 array of shape (states,)
        Costs to go.
    counted, count : int
        The type, and the number of its requests.
    limit : int
    most : int
        Arcs above which the work is given up.

    Returns
    -------
    state, layers : as of `generate`
    """
    digits = count + 1
    first, begin = np.zeros(n + 2, dtype=np.int64), np.zeros(1 << 10, dtype=np.uint64)
    kind, wait = np.empty(1 << 12, dtype=np.uint16), np.empty(1 << 12, dtype=np.int16)
    lag, target = np.empty(1 << 12, dtype=np.int16), np.empty(1 << 12, dtype=np.uint32)
    # States are (old state, starts of the counted type): least cost from the root, NEVER where they are not reached.
    reached, states, arcs = np.full(digits, NEVER), 0, 0
    reached[0] = 0
    for j in range(n, -1, -1):
        first[n - j] = states
        lo, hi = layers.first[n - j], layers.first[n - j + 1]
        size = (layers.first[n - j + 2] - hi) * digits if j > 0 else 0
        # Of the next layer; arcs lead to these until its states have numbers.
        following, number = np.full(size, NEVER), np.empty(size, dtype=np.uint32)
        states_after = states + (reached < NEVER).sum()
        old_arcs = arcs
        while states_after + 1 >= len(begin):
            begin = np.append(begin, begin)
        for state in range(lo, hi):
            if halt[0] or arcs > most:
                return EXCEEDED, layers
            for digit in range(digits):
                before = reached[(state - lo) * digits + digit]
                if before == NEVER:
                    continue
                begin[states] = arcs
                states += 1
                for a in range(layers.begin[state], layers.begin[state + 1]):
                    k, to = layers.kind[a], np.int64(layers.to[a])
                    after = digit + (k == counted)
                    if cost[to] == NEVER or after > count or count - after > j - 1:
                        continue
                    value = before + arc_cost(start_cost[k], layers.wait[a], layers.lag[a], j, scale)
                    if value + cost[to] > limit:
                        continue
                    place = (to - hi) * digits + after
                    following[place] = min(following[place], value)
                    if arcs == len(kind):
                        kind, wait = np.append(kind, kind), np.append(wait, wait)
                        lag, target = np.append(lag, lag), np.append(target, target)
                    kind[arcs], wait[arcs], lag[arcs], target[arcs] = k, layers.wait[a], layers.lag[a], place
                    arcs += 1
        numbered = states
        for place in range(size):
            if following[place] < NEVER:
                number[place] = numbered
                numbered += 1
        for a in range(old_arcs, arcs):
            target[a] = number[target[a]]
        reached = following
    first[n + 1] = states
    begin[states] = arcs
    done = ALIVE if first[n] < states else EMPTY
    return done, Layers(first, begin[: states + 1].copy(), kind[:arcs], wait[:arcs], lag[:arcs], target[:arcs])
