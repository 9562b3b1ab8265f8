"""Numba kernel of the polisher: annealing of a whole start order, from some schedule that is not bad.

A move changes two places of the order, near to each other as a rule; behind the later one the same requests
follow. There the value (priced regrets and idle memory so far, as in `kvopt.large.kernels`) tells early how the
move will end: moves that are behind by some temperatures are refused at once, and those after which the same
requests run in the same rounds as before change nothing. Few moves are followed to the end, where the total latency
decides.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from kvopt.large.kernels import first_fit, place, priced_idle, regret


@njit(cache=True, nogil=True)
def polish(
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
    starts,
    size,
    steps,
    heat,
    margin,
    seed,
):
    """Try `steps` moves at a temperature of `heat` rounds; ends early, with all results in order, when halted.

    Parameters
    ----------
    least, plain, timed, room : float64 arrays
        As for `kvopt.large.kernels.anneal`.
    order : int64 array of shape (n,), changed in place
        The order at the end, which need not be the best one.
    starts : int64 array of shape (n,), written
        Starts of the best schedule seen, by request.
    size : int
        No more requests than this can ever run at once.
    margin : float
        Moves are refused that are so many temperatures behind where the requests are the same again.
    """
    np.random.seed(seed)
    n = order.shape[0]
    # Row k: the front behind the first k requests of the order.
    last, level = np.empty((n + 1, size), dtype=np.int64), np.empty((n + 1, size), dtype=np.int64)
    try_last, try_level = np.empty((n + 1, size), dtype=np.int64), np.empty((n + 1, size), dtype=np.int64)
    running, now, latency = np.zeros((3, n + 1), dtype=np.int64)
    try_running, try_now, try_latency = np.zeros((3, n + 1), dtype=np.int64)
    value, try_value = np.zeros(n + 1), np.zeros(n + 1)
    trial = order.copy()
    best, refused = np.int64(2) ** 62, False
    for step in range(-1, steps):
        if step % 64 == 0 and halt[0] != 0:
            break
        # The move before the first only places the order as it is.
        x, y, bar = 0, 0, np.inf
        if step >= 0:
            x = np.random.randint(0, n - 1)
            y = min(n - 1, x + 1 + int(np.random.random() ** 5 * n))
            i, j = order[x], order[y]
            if prompt[i] == prompt[j] and output[i] == output[j] and arrival[i] == arrival[j]:
                continue
            kind = np.random.random()
            if kind < 0.5:
                trial[x], trial[y] = j, i
            elif kind < 0.75:
                trial[x] = j
                trial[x + 1 : y + 1] = order[x:y]
            else:
                trial[y] = i
                trial[x:y] = order[x + 1 : y + 1]
            bar = latency[n] - heat * np.log(1.0 - np.random.random())
        refused = False
        for k in range(x, n):
            i = trial[k]
            if k == x:
                from_last, from_level = last[k], level[k]
                count, t, total, late = running[k], now[k], value[k], latency[k]
            else:
                from_last, from_level = try_last[k], try_level[k]
                count, t, total, late = try_running[k], try_now[k], try_value[k], try_latency[k]
            p = first_fit(capacity, from_last, from_level, count, prompt[i], output[i], max(t, arrival[i]))
            if p > t:
                total += priced_idle(room, from_last, from_level, count, plain, timed, t, p)
            total += regret(prompt[i], output[i], arrival[i], least[i], plain, timed, p)
            c = k + 1
            try_running[c] = place(from_last, from_level, count, prompt[i], output[i], p, try_last[c], try_level[c])
            try_now[c], try_value[c], try_latency[c] = p, total, late + p + output[i] - arrival[i]
            if step < 0:
                continue
            # Values nearly always grow along the order: before the later place, too, they tell what will be refused.
            if total > value[max(c, y + 1)] + margin * heat:
                refused = True
                break
            if k >= y and p == now[c] and try_latency[c] == latency[c] and try_running[c] == running[c]:
                same = True
                for j in range(running[c]):
                    if try_last[c, j] != last[c, j] or try_level[c, j] != level[c, j]:
                        same = False
                        break
                if same:
                    refused = True
                    break
        if not refused and (step < 0 or try_latency[n] <= bar):
            for c in range(x + 1, n + 1):
                for j in range(try_running[c]):
                    last[c, j], level[c, j] = try_last[c, j], try_level[c, j]
                running[c], now[c] = try_running[c], try_now[c]
                value[c], latency[c] = try_value[c], try_latency[c]
            order[x : y + 1] = trial[x : y + 1]
            if latency[n] < best:
                best = latency[n]
                for c in range(n):
                    starts[order[c]] = now[c + 1]
        trial[x : y + 1] = order[x : y + 1]
