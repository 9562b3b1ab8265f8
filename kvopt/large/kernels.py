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
def place(last, level, running, prompt, output, p, new_last, new_level):
    """Write the front behind a start in round p, without what has completed before; returns the number running."""
    j = 0
    while j < running and last[j] < p:
        j += 1
    end = p + output - 1
    k = 0
    while j < running and last[j] <= end:
        new_last[k] = last[j]
        new_level[k] = level[j]
        j += 1
        k += 1
    new_last[k] = end
    new_level[k] = prompt + 1 - p
    k += 1
    while j < running:
        new_last[k] = last[j]
        new_level[k] = level[j]
        j += 1
        k += 1
    return k


@njit(cache=True, nogil=True)
def regret(prompt, output, arrival, least, plain, timed, t):
    """Priced cost of a start in round t (not before the arrival) less the request's least priced cost."""
    horizon = plain.shape[0] - 1
    p = max(t, arrival)
    a, b = min(p, horizon), min(p + output, horizon)
    memory = (prompt + 1 - p) * (plain[b] - plain[a]) + timed[b] - timed[a]
    return p + output - arrival + memory - least


@njit(cache=True, nogil=True)
def priced_idle(room, last, level, running, plain, timed, t, p):
    """Price of the memory that the running requests leave free in the rounds from t to p - 1.

    ``room`` holds the prefix sums of price * memory to be filled, the capacity or less.
    """
    horizon = plain.shape[0] - 1
    a, b = min(t, horizon), min(p, horizon)
    total = room[b] - room[a]
    for j in range(running):
        if last[j] >= p - 1:
            # These and all behind them run on to round p.
            held = np.int64(0)
            for k in range(j, running):
                held += level[k]
            return total - held * (plain[b] - plain[a]) - (running - j) * (timed[b] - timed[a])
        if last[j] >= t:
            e = min(last[j] + 1, horizon)
            total -= level[j] * (plain[e] - plain[a]) + timed[e] - timed[a]
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
    room,
    order,
    usual,
    starts,
    last_now,
    level_now,
    front,
    value_now,
    fixed,
    window,
    commit,
    reach,
    steps,
    hot,
    cold,
    seed,
):
    """Anneal an order in a window that slides over its next `fixed` requests, and fix their starts.

    The value of a window is the priced regret of its requests and the priced memory left idle up to its last
    start, less what idles anyway: without this credit an order looks the better the earlier it ends. Values nearly
    always grow along the order, so a move is refused at the first place where they exceed the bar. A move swaps or
    inserts inside the window, or swaps with a request up to `reach` places behind it; then the request sent back is
    charged the regret it would have at the usual start of that place. After `steps` moves the first `commit`
    requests of the window are fixed and it slides on.

    Parameters
    ----------
    least : float64 array of shape (n,)
        Least priced cost of each request.
    plain, timed : float64 arrays of shape (horizon + 1,)
        Prefix sums of price and of round * price.
    room : float64 array of shape (horizon + 1,)
        Prefix sums of price * memory that good schedules fill.
    order : int64 array of shape (n,), changed in place
    usual : int64 array of shape (n,)
        Start round to be expected at each place of the order, ascending.
    starts : int64 array of shape (n,), changed in place
        By request.
    last_now, level_now, front, value_now : arrays, changed in place
        The front behind what is fixed; number running, last start, number fixed; the value up to there.
    hot, cold : float
        First and last temperature of a window, in units of the priced memory of its mean request.

    Returns
    -------
    float
        The outlook: value at the end of the last window, and usual regrets of what is within reach behind it.
        Orders that come from one order, with equal numbers fixed, may be compared by it.
    """
    np.random.seed(seed)
    n = order.shape[0]
    horizon = plain.shape[0] - 1
    rows, size = window + 1, last_now.shape[0]
    # Only what runs is read of a row; clearing rows for thousands of requests takes longer than the moves.
    last, level = np.empty((rows, size), dtype=np.int64), np.empty((rows, size), dtype=np.int64)
    try_last, try_level = np.empty((rows, size), dtype=np.int64), np.empty((rows, size), dtype=np.int64)
    running, now = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    try_running, try_now = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    value, try_value = np.zeros(rows), np.zeros(rows)
    trial, best = np.zeros(window, dtype=np.int64), np.zeros(window, dtype=np.int64)
    far_place, far_before = np.zeros(steps + 1, dtype=np.int64), np.zeros(steps + 1, dtype=np.int64)
    last[0], level[0], running[0], now[0], value[0] = last_now, level_now, front[0], front[1], value_now[0]
    done = front[2]
    stop = min(n, done + fixed)
    outlook = value[0]
    while done < stop and halt[0] == 0:
        width = min(window, n - done)
        behind = min(reach, n - done - width)
        unit = 0.0
        for k in range(width):
            i = order[done + k]
            a = min(max(usual[done + k], arrival[i]), horizon)
            b = min(a + output[i], horizon)
            unit += ((prompt[i] + 1 - a) * (plain[b] - plain[a]) + timed[b] - timed[a]) / width
        current, best_value, away, changes = np.inf, np.inf, 0.0, 0
        for step in range(-1, steps):
            if step >= 0 and (halt[0] != 0 or width < 2):
                break
            x, y, far = 0, width - 1, -1
            bar, try_away = np.inf, away
            for k in range(width):
                trial[k] = order[done + k]
            if step >= 0:
                temperature = hot * (cold / hot) ** (step / steps)
                bar = current - temperature * unit * np.log(1.0 - np.random.random())
                kind = np.random.random()
                if behind > 0 and kind < 0.4:
                    x = np.random.randint(0, width)
                    far = done + width + np.random.randint(0, behind)
                    i, j, t = order[done + x], order[far], usual[far]
                    if prompt[i] == prompt[j] and output[i] == output[j] and arrival[i] == arrival[j]:
                        continue
                    try_away += regret(prompt[i], output[i], arrival[i], least[i], plain, timed, t)
                    try_away -= regret(prompt[j], output[j], arrival[j], least[j], plain, timed, t)
                    if value[x] + try_away > bar:
                        continue
                    trial[x] = j
                else:
                    x = np.random.randint(0, width - 1)
                    y = x + 1 + np.random.randint(0, min(width - x - 1, 30))
                    if kind < 0.7:
                        trial[x], trial[y] = order[done + y], order[done + x]
                    elif kind < 0.85:
                        trial[x] = order[done + y]
                        for k in range(x, y):
                            trial[k + 1] = order[done + k]
                    else:
                        trial[y] = order[done + x]
                        for k in range(x, y):
                            trial[k] = order[done + k + 1]
            found = np.inf
            for k in range(x, width):
                i = trial[k]
                if k == x:
                    from_last, from_level = last[k], level[k]
                    count, t, total = running[k], now[k], value[k]
                else:
                    from_last, from_level = try_last[k], try_level[k]
                    count, t, total = try_running[k], try_now[k], try_value[k]
                p = first_fit(capacity, from_last, from_level, count, prompt[i], output[i], max(t, arrival[i]))
                if p > t:
                    total += priced_idle(room, from_last, from_level, count, plain, timed, t, p)
                total += regret(prompt[i], output[i], arrival[i], least[i], plain, timed, p)
                try_running[k + 1] = place(
                    from_last, from_level, count, prompt[i], output[i], p, try_last[k + 1], try_level[k + 1]
                )
                try_now[k + 1], try_value[k + 1] = p, total
                found = total + try_away
                if found > bar:
                    break
            if found > bar:
                continue
            for k in range(x + 1, width + 1):
                count = try_running[k]
                for j in range(count):
                    last[k, j] = try_last[k, j]
                    level[k, j] = try_level[k, j]
                running[k], now[k], value[k] = count, try_now[k], try_value[k]
            if far >= 0:
                far_place[changes], far_before[changes] = far, order[far]
                changes += 1
                order[far] = order[done + x]
            order[done : done + width] = trial[:width]
            current, away = found, try_away
            if found < best_value:
                best_value, outlook, changes = found, found - away, 0
                best[:width] = trial[:width]
        # Back to the best order seen, behind the window as well.
        while changes > 0:
            changes -= 1
            order[far_place[changes]] = far_before[changes]
        order[done : done + width] = best[:width]
        for k in range(done + width, min(n, done + width + reach) if done + commit >= stop else 0):
            i = order[k]
            outlook += regret(prompt[i], output[i], arrival[i], least[i], plain, timed, usual[k])
        for k in range(min(commit, stop - done)):
            i = order[done + k]
            t = now[0]
            p = first_fit(capacity, last[0], level[0], running[0], prompt[i], output[i], max(t, arrival[i]))
            if p > t:
                value[0] += priced_idle(room, last[0], level[0], running[0], plain, timed, t, p)
            value[0] += regret(prompt[i], output[i], arrival[i], least[i], plain, timed, p)
            count = place(last[0], level[0], running[0], prompt[i], output[i], p, last[1], level[1])
            last[0, :count] = last[1, :count]
            level[0, :count] = level[1, :count]
            running[0], now[0] = count, p
            starts[i] = p
        done = min(done + commit, stop)
    last_now[: running[0]], level_now[: running[0]] = last[0, : running[0]], level[0, : running[0]]
    front[0], front[1], front[2] = running[0], now[0], done
    value_now[0] = value[0]
    return outlook
