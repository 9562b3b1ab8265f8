"""Backward induction over the release tree of a game, depth first, in integers."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def play(t, left, ratio, horizon, releases, present, first, successor, clearing, work, size, nodes, halt):
    """Fill in the value of each policy state at a node of the release tree: ``min max (q ALG - p OPT)`` from here on.

    Parameters
    ----------
    t, left : int
        Round of the node and requests that may still be released.
    ratio : int64 array of shape (2,)
        p and q.
    horizon, releases, present, first, successor, clearing
        Of `kvopt.adversary.states.States`.
    work : int64 array of shape (5, horizon + 2, 2 S)
        Scratch, one row for each round: states of the policy and what each cost a clairvoyant at least (both given
        for round t, followed by those a round later), values (returned), replies of the adversary, and the
        position of a state in the list a round later, -1 on entry.
    size : int64 array of shape (horizon + 2,)
        Number of states in each round.
    nodes : int64 array of shape (1,)
        Counts the nodes visited.
    halt : int8 array of shape (1,)
        Nonzero asks to return early with unusable values.
    """
    states, cost, value, reply, place = work
    count = size[t]
    nodes[0] += 1
    if left == 0 or t == horizon:
        optimum = cost[t, 0] + clearing[states[t, 0]]
        for i in range(1, count):
            optimum = min(optimum, cost[t, i] + clearing[states[t, i]])
        for i in range(count):
            value[t, i] = ratio[1] * clearing[states[t, i]] - ratio[0] * optimum
        return
    after = 0
    for i in range(count):
        x = states[t, i]
        price = cost[t, i] + present[x]
        for e in range(first[x], first[x + 1]):
            j = place[t, successor[e]]
            if j < 0:
                place[t, successor[e]] = after
                states[t, count + after] = successor[e]
                cost[t, count + after] = price
                reply[t, after] = np.iinfo(np.int64).min
                after += 1
            elif price < cost[t, count + j]:
                cost[t, count + j] = price
    for k in range(len(releases)):
        if releases[k, 0] > left or halt[0]:
            break
        # All children share states and costs: a release adds a constant to the number of a state.
        for j in range(after):
            states[t + 1, j] = states[t, count + j] + releases[k, 1]
            cost[t + 1, j] = cost[t, count + j]
        size[t + 1] = after
        still = left - releases[k, 0]
        play(t + 1, still, ratio, horizon, releases, present, first, successor, clearing, work, size, nodes, halt)
        for j in range(after):
            reply[t, j] = max(reply[t, j], value[t + 1, j])
    for i in range(count):
        x = states[t, i]
        best = np.iinfo(np.int64).max
        for e in range(first[x], first[x + 1]):
            best = min(best, reply[t, place[t, successor[e]]])
        value[t, i] = ratio[1] * present[x] + best
    for j in range(after):
        place[t, states[t, count + j]] = -1
