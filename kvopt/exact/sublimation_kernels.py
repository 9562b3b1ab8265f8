"""Numba kernels of successive sublimation (`kvopt.exact.sublimation`): layers of states, costs to go, refinement.

A *state* of layer j is what is remembered of a partial schedule with j requests still to start. An arc is a start,
and leads to the next layer, or a round of waiting, and leads to a state further behind in the same layer; the state
that it leads to comes `lag` rounds later.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

#: More than any cost.
NEVER = np.int64(2**62)
#: How `generate` and `refine` ended: with layers, without any path that is left, or at a limit.
ALIVE, EMPTY, EXCEEDED = range(3)
#: Bisections of the step after which the ascent of multipliers ends, and most steps of it.
BISECTIONS, STEPS = 4, 20


class Layers(NamedTuple):
    """States in an order in which arcs lead on, and their arcs: starts, then waiting.

    Attributes
    ----------
    first : int64 array of shape (n + 2,)
        First state after so many starts, and at the end the number of states; the last one has nothing left to start.
    begin : uint64 array of shape (states + 1,)
        First arc of each state.
    kind : uint16 array, one entry for each arc
        Type that starts; K for none.
    lag : int16 array
    to : uint32 array
        State that the arc leads to.
    """

    first: np.ndarray
    begin: np.ndarray
    kind: np.ndarray
    lag: np.ndarray
    to: np.ndarray


@njit(cache=True, nogil=True)
def with_waiting(start_cost, scale):
    """Costs of arcs of each kind, their rounds left out: all requests but one wait for these (`arc_cost`), here all."""
    return np.append(start_cost, scale)


@njit(cache=True, nogil=True, inline="always")
def arc_cost(own, lag, j, scale):
    """Its rounds delay all requests but the one that starts, or another where none does (`with_waiting`)."""
    return scale * np.int64(lag) * (j - 1) + own


@njit(cache=True, nogil=True)
def generate(halt, start_cost, scale, n, later, starts_to, moved, to_go, limit, most):
    """Layers of all profiles on paths of the relaxation that cost no more than `limit`.

    Parameters
    ----------
    halt : int8 array of shape (1,)
        Turns non-zero when the work is to end.
    start_cost : int64 array of shape (K,)
        Cost of a start of each type, in units of ``1 / scale`` like all costs, without the rounds after it.
    later, starts_to, moved, to_go
        Of the relaxation's graph, with all types apart, and its costs to go (`ProfileGraph`, `Relaxation.cost`).
    limit : int
    most : int
        Arcs above which the work is given up.

    Returns
    -------
    state : int
        `ALIVE`, `EMPTY` or `EXCEEDED`.
    layers : Layers
        Of use when alive.
    """
    kinds, profiles = len(start_cost), len(later)
    own = with_waiting(start_cost, scale)
    kind, lag = np.empty(1 << 12, dtype=np.uint16), np.empty(1 << 12, dtype=np.int16)
    to = np.empty(1 << 12, dtype=np.uint32)
    begin, first = np.zeros(1 << 10, dtype=np.uint64), np.zeros(n + 2, dtype=np.int64)
    # Of each profile in this layer and the next: least cost from the root, NEVER where it is not reached.
    reached, following = np.full(profiles, NEVER), np.full(profiles, NEVER)
    number = np.empty(profiles, dtype=np.uint32)
    reached[0], highest, states, arcs, arcs_before = 0, np.int64(0), 0, 0, 0
    for j in range(n, 0, -1):
        first[n - j], arcs_here, next_highest = states, arcs, np.int64(-1)
        for p in range(highest, -1, -1):
            before = reached[p]
            if before == NEVER:
                continue
            if halt[0] or arcs > most:
                return EXCEEDED, Layers(first, begin, kind, lag, to)
            reached[p] = NEVER
            if states + 3 > len(begin):
                begin = np.append(begin, np.zeros_like(begin))
            begin[states], number[p] = arcs, states
            states += 1
            if arcs + kinds >= len(kind):
                kind, lag, to = np.append(kind, kind), np.append(lag, lag), np.append(to, to)
            for k in range(kinds):
                q = np.int64(starts_to[k, p])
                if q == profiles:
                    continue
                value = before + arc_cost(own[k], moved[k, p], j, scale)
                if value + to_go[j - 1, q] > limit:
                    continue
                # After the last start only the cost matters: all profiles are one.
                place = q if j > 1 else np.int64(0)
                following[place] = min(following[place], value)
                next_highest = max(next_highest, place)
                kind[arcs], lag[arcs], to[arcs] = k, moved[k, p], place
                arcs += 1
            if p > 0:
                q = np.int64(later[p])
                value = before + arc_cost(own[kinds], 1, j, scale)
                if value + to_go[j, q] <= limit:
                    reached[q] = min(reached[q], value)
                    kind[arcs], lag[arcs], to[arcs] = kinds, 1, q
                    arcs += 1
        # Arcs lead to profiles until these have numbers as states.
        renumber(kind, to, arcs_before, arcs_here, number, kinds, False)
        renumber(kind, to, arcs_here, arcs, number, kinds, True)
        arcs_before = arcs_here
        if next_highest < 0:
            return EMPTY, Layers(first, begin, kind, lag, to)
        reached, following, highest = following, reached, next_highest
    first[n], first[n + 1], number[0] = states, states + 1, states
    renumber(kind, to, arcs_before, arcs, number, kinds, False)
    begin[states] = begin[states + 1] = arcs
    return ALIVE, Layers(first, begin[: states + 2].copy(), kind[:arcs], lag[:arcs], to[:arcs])


@njit(cache=True, nogil=True)
def renumber(kind, to, lo, hi, number, kinds, waits):
    """Among arcs lo..hi-1, let those that wait, or else those that start, lead to the numbers of what they led to."""
    for a in range(np.uint64(lo), np.uint64(hi)):
        if (kind[a] == kinds) == waits:
            to[a] = number[to[a]]


@njit(cache=True, nogil=True)
def costs_to_go(layers, n, scale, own):
    """Least cost from each state to the end, shape (states,); `own` as of `with_waiting`."""
    first, begin, kind, lag, to = layers
    cost = np.full(first[n + 1], NEVER)
    cost[first[n] :] = 0
    for j in range(1, n + 1):
        last = np.uint64(first[n - j + 1] - 1)
        for x in range(np.uint64(first[n - j + 1] - first[n - j])):
            state, best = last - x, NEVER
            for a in range(begin[state], begin[state + np.uint64(1)]):
                # A state without arcs is a dead end; the sum stays below twice its cost.
                if cost[to[a]] < NEVER:
                    best = min(best, arc_cost(own[kind[a]], lag[a], j, scale) + cost[to[a]])
            cost[state] = best
    return cost


@njit(cache=True, nogil=True)
def cheapest(layers, n, scale, own, cost):
    """Type and round of each start on a cheapest path."""
    kind, start = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    state, now, j = np.int64(0), 0, n
    while j > 0:
        for a in range(layers.begin[state], layers.begin[state + 1]):
            following, lag, k = cost[layers.to[a]], layers.lag[a], layers.kind[a]
            if following < NEVER and arc_cost(own[k], lag, j, scale) + following == cost[state]:
                if k < len(own) - 1:
                    kind[n - j], start[n - j] = k, now
                    j -= 1
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
        own = with_waiting(scale * output - tried, scale)
        cost = costs_to_go(layers, n, scale, own)
        value = cost[0] + (count * tried).sum()
        if value > best_value:
            best, best_value, best_cost = tried, value, cost
            best_kind, best_start = cheapest(layers, n, scale, own, cost)
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
    digits, kinds, own = count + 1, len(start_cost), with_waiting(start_cost, scale)
    first, begin = np.zeros(n + 2, dtype=np.int64), np.zeros(1 << 10, dtype=np.uint64)
    kind, lag = np.empty(1 << 12, dtype=np.uint16), np.empty(1 << 12, dtype=np.int16)
    target = np.empty(1 << 12, dtype=np.uint32)
    # States are (old state, starts of the counted type): least cost from the root, NEVER where they are not reached.
    reached, states, arcs, arcs_before = np.full(digits, NEVER), 0, 0, 0
    reached[0] = 0
    for j in range(n, -1, -1):
        first[n - j], arcs_here = states, arcs
        lo, hi = layers.first[n - j], layers.first[n - j + 1]
        following = np.full((layers.first[n - j + 2] - hi) * digits if j > 0 else 0, NEVER)
        number = np.empty(len(reached), dtype=np.uint32)
        for place in range(len(reached)):
            before = reached[place]
            if before == NEVER:
                continue
            if halt[0] or arcs > most:
                return EXCEEDED, layers
            state, digit = lo + place // digits, place % digits
            if states + 2 > len(begin):
                begin = np.append(begin, np.zeros_like(begin))
            begin[states], number[place] = arcs, states
            states += 1
            for a in range(layers.begin[state], layers.begin[state + 1]):
                k, to = layers.kind[a], np.int64(layers.to[a])
                after, left = digit + (k == counted), j - (k < kinds)
                if cost[to] == NEVER or after > count or count - after > left:
                    continue
                value = before + arc_cost(own[k], layers.lag[a], j, scale)
                if value + cost[to] > limit:
                    continue
                if k < kinds:
                    reached_at = (to - hi) * digits + after
                    following[reached_at] = min(following[reached_at], value)
                else:
                    reached_at = (to - lo) * digits + after
                    reached[reached_at] = min(reached[reached_at], value)
                if arcs == len(kind):
                    kind, lag, target = np.append(kind, kind), np.append(lag, lag), np.append(target, target)
                kind[arcs], lag[arcs], target[arcs] = k, layers.lag[a], reached_at
                arcs += 1
        # Arcs lead to places until these have numbers as states.
        renumber(kind, target, arcs_before, arcs_here, number, kinds, False)
        renumber(kind, target, arcs_here, arcs, number, kinds, True)
        reached, arcs_before = following, arcs_here
    first[n + 1] = states
    begin[states] = arcs
    done = ALIVE if first[n] < states else EMPTY
    return done, Layers(first, begin[: states + 1].copy(), kind[:arcs], lag[:arcs], target[:arcs])
