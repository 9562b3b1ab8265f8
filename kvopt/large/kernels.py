"""Numba kernels of the annealer: decoding an order, and annealing it in a sliding window.

A *front* is what later starts need to know of earlier ones: for each running request its last round and the
constant of its memory (in round r it holds ``r + level``), sorted by last round, and the last start. Memory
grows between completions, so it is tested in last rounds only; cost follows requests, never tokens or rounds.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def first_fit(capacity, last, level, running, prompt, output, t):
    """First round p >= t in which a request can start beside the running ones until its completion."""
    p = t
    while True:
        moved = p
        total = np.int64(0)
        for j in range(running):
            total += level[j]
        own_end = p + output - 1
        own_tested = False
        for j in range(running):
            alive = running - j
            e = last[j]
            if not own_tested and own_end <= e:
                own_tested = True
                if total + alive * own_end + prompt + output > capacity:
                    # Until the next completion the others only grow.
                    moved = max(moved, e + 2 - output)
            if e >= p and e <= own_end:
                over = total + alive * e + prompt + e - p + 1 - capacity
                if over > 0:
                    # Each round later it holds a token less in round e; past e it is out of the way.
                    moved = max(moved, min(p + over, e + 1))
            total -= level[j]
        if moved == p:
            return p
        p = moved


@njit(cache=True, nogil=True)
def place(last, level, running, prompt, output, p):
    """Drop what has completed before round p from a front, add a start in round p; the new number running."""
    gone = 0
    while gone < running and last[gone] < p:
        gone += 1
    if gone:
        for j in range(gone, running):
            last[j - gone] = last[j]
            level[j - gone] = level[j]
        running -= gone
    j = running
    end = p + output - 1
    while j > 0 and last[j - 1] > end:
        last[j] = last[j - 1]
        level[j] = level[j - 1]
        j -= 1
    last[j] = end
    level[j] = prompt + 1 - p
    return running + 1


@njit(cache=True, nogil=True)
def priced_rest(last, level, running, t, plain, timed):
    """Price of the memory that the running requests hold from round t on."""
    horizon = plain.shape[0] - 1
    a = min(t, horizon)
    total = 0.0
    for j in range(running):
        b = min(last[j] + 1, horizon)
        if b > a:
            total += level[j] * (plain[b] - plain[a]) + timed[b] - timed[a]
    return total


@njit(cache=True, nogil=True)
def anneal(
    halt,
    capacity,
    prompt,
    output,
    arrival,
    least,
    plain,
    timed,
    order,
    window,
    commit,
    steps,
    hot,
    cold,
    pace,
    seed,
):
    """Improve an order by annealing in a window that slides over it; returns start rounds.

    The value of a window's end is the total latency so far plus what the prices say of the rest: completions
    less the least priced costs of the requests placed, capacity times the prices of the rounds gone, and the
    priced memory still held. Moves swap or insert inside the window; letting cheap requests in from behind it
    makes results worse, because the dear ones sent back are not accounted for. The first `commit` requests of
    each window are fixed before it slides on.

    Parameters
    ----------
    order : int64 array, changed in place
    least : float64 array
        Least priced cost of each request.
    plain, timed : float64 arrays of shape (horizon + 1,)
        Prefix sums of price and of round * price.
    hot, cold : float
        First and last temperature of a window, in units of a delay of `pace` rounds for all still to come.
    pace : float
        Rounds the worker takes for a request on average: mean volume over capacity.
    """
    np.random.seed(seed)
    n = order.shape[0]
    horizon = plain.shape[0] - 1
    size = min(n, capacity) + 1  # whoever runs holds a token
    rows = window + 1
    last, level = np.zeros((rows, size), dtype=np.int64), np.zeros((rows, size), dtype=np.int64)
    try_last, try_level = np.zeros((rows, size), dtype=np.int64), np.zeros((rows, size), dtype=np.int64)
    running, now = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    try_running, try_now = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    value, try_value = np.zeros(rows), np.zeros(rows)
    starts = np.zeros(n, dtype=np.int64)
    trial, best = order.copy(), order.copy()
    done = 0
    while done < n:
        width = min(window, n - done)
        # What it costs everything still to come to wait for one request of average volume.
        unit = (n - done) * pace
        current, best_value = np.inf, np.inf
        rounds = 0 if halt[0] else steps
        for step in range(0 if halt[0] else -1, rounds):
            if halt[0]:
                break
            x, y = 0, width - 1
            bar = np.inf
            if step >= 0:
                if width < 2:
                    break
                temperature = hot * (cold / hot) ** (step / max(1, rounds))
                bar = current - temperature * unit * np.log(1.0 - np.random.random())
                x = np.random.randint(0, width - 1)
                y = x + 1 + np.random.randint(0, min(width - x - 1, 30))
                a, b = done + x, done + y
                kind = np.random.random()
                if kind < 0.5:
                    trial[a], trial[b] = order[b], order[a]
                elif kind < 0.75:
                    trial[a] = order[b]
                    for k in range(a, b):
                        trial[k + 1] = order[k]
                else:
                    trial[b] = order[a]
                    for k in range(a, b):
                        trial[k] = order[k + 1]
            found = np.inf
            for k in range(x, width):
                i = trial[done + k]
                if k == x:
                    count, t, total = running[k], now[k], value[k]
                    try_last[k + 1, :count] = last[k, :count]
                    try_level[k + 1, :count] = level[k, :count]
                else:
                    count, t, total = try_running[k], try_now[k], try_value[k]
                    try_last[k + 1, :count] = try_last[k, :count]
                    try_level[k + 1, :count] = try_level[k, :count]
                p = first_fit(
                    capacity, try_last[k + 1], try_level[k + 1], count, prompt[i], output[i], max(t, arrival[i])
                )
                try_running[k + 1] = place(try_last[k + 1], try_level[k + 1], count, prompt[i], output[i], p)
                try_now[k + 1] = p
                try_value[k + 1] = total + p + output[i] - arrival[i] - least[i]
                found = try_value[k + 1] + capacity * plain[min(p, horizon)]
                found += priced_rest(try_last[k + 1], try_level[k + 1], try_running[k + 1], p, plain, timed)
                # The value so far is a sum of regrets and priced idle memory: it never falls again.
                if found > bar:
                    break
            if found <= bar:
                for k in range(x + 1, width + 1):
                    count = try_running[k]
                    last[k, :count] = try_last[k, :count]
                    level[k, :count] = try_level[k, :count]
                    running[k], now[k], value[k] = count, try_now[k], try_value[k]
                order[done + x : done + y + 1] = trial[done + x : done + y + 1]
                current = found
                if found < best_value:
                    best_value = found
                    best[done : done + width] = order[done : done + width]
            else:
                trial[done + x : done + y + 1] = order[done + x : done + y + 1]
        order[done : done + width] = best[done : done + width]
        trial[done : done + width] = best[done : done + width]
        fixed = width if done + width == n else min(commit, width)
        for k in range(fixed):
            i = order[done + k]
            p = first_fit(capacity, last[0], level[0], running[0], prompt[i], output[i], max(now[0], arrival[i]))
            running[0] = place(last[0], level[0], running[0], prompt[i], output[i], p)
            now[0] = p
            value[0] += p + output[i] - arrival[i] - least[i]
            starts[i] = p
        done += fixed
    return starts
