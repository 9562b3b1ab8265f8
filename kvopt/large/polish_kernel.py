"""Numba kernels of the polisher: annealing of a whole start order, from some schedule that is not bad.

A move changes two places of the order, near to each other as a rule; behind the later one the same requests
follow. Few moves are followed to the end of the schedule:

- Regrets of the two requests at each other's starts tell what a move between distant places will cost.
- The value (priced regrets and idle memory so far, as in `kvopt.large.kernels`) tells early how the move will end.
- Once all requests whose starts differ have completed, in both orders, all later starts stay as they are, and so does
  what they add to the total latency.

A front has a row in `last`, `level` (as in `kvopt.large.kernels`) and `peak`: the memory in that last round, of equal
last rounds in the first one. So tests in last rounds do not depend on each other, and compile to vector instructions.
For these, rows end with entries that are long over, up to a multiple of `LANES`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from kvopt.large.kernels import regret

#: A round after all others.
NEVER = 2**62
#: Entries of a row that vector instructions may take at once.
LANES = 16


# Compiled into the kernel that calls them for each place: passing the arrays takes as long as the work.
@njit(nogil=True, inline="always")
def first_fit(capacity, last, level, peak, row, width, prompt, output, t):
    """First round p >= t in which a request can start beside the running ones of a row until its completion.

    Also returns what those that run on hold in its last round; `width` is a multiple of `LANES`.
    """
    kind = last.dtype.type
    p, one, own_output = kind(t), kind(1), kind(output)
    need, most = kind(prompt + 1 - capacity), kind(capacity - prompt - output)
    # Numba tests signed indices for being negative; that would take a third of the time.
    row = np.uint64(row)
    while True:
        moved, own_end = p, kind(p + own_output - one)
        beside, following = kind(0), kind(np.iinfo(last.dtype).max)
        for j in range(np.uint64(width)):
            e = last[row, j]
            # Each round later it holds a token less in round e; past e it is out of the way.
            clear = min(kind(kind(peak[row, j] + need) + e), kind(e + one))
            if e >= p and e <= own_end:
                moved = max(moved, clear)
            if e >= own_end:
                beside = kind(beside + kind(level[row, j] + own_end))
                following = min(following, e)
        if beside > most:
            # Until the next completion the others only grow.
            moved = max(moved, kind(following + kind(2) - own_output))
        if moved == p:
            return np.int64(p), beside
        p = moved


@njit(nogil=True, inline="always")
def place(last, level, peak, row, width, running, completed, prompt, output, p, beside, into):
    """Write the front behind a start in round p into a row, without what has completed by then."""
    kind = last.dtype.type
    end, own = kind(p + output - 1), kind(prompt + 1 - p)
    old, new, gone = np.uint64(row), np.uint64(into), np.uint64(completed)
    earlier = kind(0)
    for j in range(np.uint64(width)):
        earlier = kind(earlier + kind(last[old, j] < end))
    # What lies behind the running ones is over, so it was counted too.
    k = np.uint64(earlier - (width - running))
    lanes = np.uint64(LANES - 1)
    # Whole vectors are copied: what is written too far is overwritten.
    for j in range((k - gone + lanes) & ~lanes):
        e = last[old, gone + j]
        last[new, j], level[new, j] = e, level[old, gone + j]
        peak[new, j] = kind(kind(peak[old, gone + j] + own) + e)
    to = k - gone
    last[new, to], level[new, to], peak[new, to] = end, own, kind(beside + kind(own + end))
    to += np.uint64(1)
    rest = np.uint64(running) - k
    for j in range((rest + lanes) & ~lanes):
        last[new, to + j], level[new, to + j], peak[new, to + j] = last[old, k + j], level[old, k + j], peak[old, k + j]
    for j in range(np.uint64(LANES)):
        last[new, to + rest + j] = -1


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
    like,
    latest,
    steps,
    heat,
    apart,
    within,
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
    like : int16, int32 or int64 array
        Of the type in which fronts are kept.
    latest : int
        No request starts later: moves that would start one later are refused.
    apart, within, margin : float
        A move is refused if it is so many temperatures behind the bar: by the regrets at each other's starts, by its
        value up to the later place, by its value from there on.

    Returns
    -------
    int
        Total latency of the order at the end.
    """
    np.random.seed(seed)
    n = order.shape[0]
    # Arrays unpacked from one would count as strided, and loops over them would not compile to vector instructions.
    rows, places = 2 * n + 2, size + 3 * LANES
    last, level = np.full((rows, places), -1, dtype=like.dtype), np.zeros((rows, places), dtype=like.dtype)
    peak = np.zeros((rows, places), dtype=like.dtype)
    running, now = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    # Sums over the running requests: levels, and level * plain + timed at the end, for the priced memory still to come.
    levels, ahead = np.zeros(rows, dtype=np.int64), np.zeros(rows)
    # The front behind the first k requests of the order is in row at[k], of the order tried in row try_at[k].
    at, try_at = np.arange(n + 1), np.arange(n + 1, rows)
    latency, try_latency = np.zeros(n + 1, dtype=np.int64), np.zeros(n + 1, dtype=np.int64)
    value, try_value = np.zeros(n + 1), np.zeros(n + 1)
    cheapest, try_cheapest = np.zeros(n + 1), np.zeros(n + 1)
    horizon = plain.shape[0] - 1
    # In the order as it is, by request.
    begins = np.zeros(n, dtype=np.int64)
    trial = order.copy()
    best = np.int64(NEVER)
    for step in range(-1, steps):
        if step % 64 == 0 and halt[0] != 0:
            break
        # The move before the first only places the order as it is.
        x, y, drawn = 0, 0, np.inf
        shift, second = 0, 0.0
        if step >= 0:
            x = np.random.randint(0, n - 1)
            y = min(n - 1, x + 1 + int(np.random.random() ** 5 * n))
            i, j = order[x], order[y]
            if prompt[i] == prompt[j] and output[i] == output[j] and arrival[i] == arrival[j]:
                continue
            early, late = now[at[x + 1]], now[at[y + 1]]
            kind = np.random.random()
            drawn = -heat * np.log(1.0 - np.random.random())
            # What regrets change at the two places, and by how many places the order moves in between.
            first, second = 0.0, 0.0
            if kind < 0.75:
                first += regret(prompt[j], output[j], arrival[j], least[j], plain, timed, early)
                second -= regret(prompt[j], output[j], arrival[j], least[j], plain, timed, late)
                shift -= 1
            if kind < 0.5 or kind >= 0.75:
                first -= regret(prompt[i], output[i], arrival[i], least[i], plain, timed, early)
                second += regret(prompt[i], output[i], arrival[i], least[i], plain, timed, late)
                shift += 1
            if first + second > drawn + apart * heat:
                continue
            if kind < 0.5:
                trial[x], trial[y] = j, i
            elif kind < 0.75:
                trial[x] = j
                for k in range(x, y):
                    trial[k + 1] = order[k]
            else:
                trial[y] = i
                for k in range(x, y):
                    trial[k] = order[k + 1]
        near, most = drawn + within * heat - second, drawn + margin * heat
        joined, apart_until = n, np.int64(0)
        row, late, floor = at[x], latency[x], cheapest[x]
        for k in range(x, n):
            i, c = trial[k], k + 1
            count, t = running[row], now[row]
            width = (count + LANES - 1) // LANES * LANES
            p, beside = first_fit(capacity, last, level, peak, row, width, prompt[i], output[i], max(t, arrival[i]))
            if p > latest:
                joined = -1
                break
            late += p + output[i] - arrival[i]
            floor += least[i]
            into, a = try_at[c], min(p, horizon)
            completed, held, later = 0, levels[row], ahead[row]
            while completed < count and last[row, completed] < p:
                e = min(last[row, completed] + 1, horizon)
                held -= level[row, completed]
                later -= level[row, completed] * plain[e] + timed[e]
                completed += 1
            own, e = prompt[i] + 1 - p, min(p + output[i], horizon)
            held += own
            later += own * plain[e] + timed[e]
            alive = count - completed + 1
            total = late - floor + room[a] + later - held * plain[a] - alive * timed[a]
            # Before the later place, too, it is known what the requests up to there add in the order as it is.
            if step >= 0 and (total > value[c] + most if c > y else total > value[c + shift] + near):
                joined = -1
                break
            place(last, level, peak, row, width, count, completed, prompt[i], output[i], p, beside, into)
            running[into], now[into], levels[into], ahead[into] = alive, p, held, later
            try_value[c], try_latency[c], try_cheapest[c] = total, late, floor
            row = into
            if step >= 0:
                if p != begins[i]:
                    apart_until = max(apart_until, max(p, begins[i]) + output[i])
                if k >= y and p == now[at[c]] and p >= apart_until:
                    joined = c
                    break
        if joined >= 0:
            change = late - latency[joined]
            if step < 0 or change <= drawn:
                for c in range(x + 1, joined + 1):
                    at[c], try_at[c] = try_at[c], at[c]
                    begins[trial[c - 1]] = now[at[c]]
                    value[c], latency[c], cheapest[c] = try_value[c], try_latency[c], try_cheapest[c]
                for c in range(joined + 1, n + 1 if change != 0 else 0):
                    value[c] += change
                    latency[c] += change
                for k in range(x, y + 1):
                    order[k] = trial[k]
                if latency[n] < best:
                    best = latency[n]
                    for c in range(n):
                        starts[order[c]] = now[at[c + 1]]
        for k in range(x, y + 1):
            trial[k] = order[k]
    return latency[n]
