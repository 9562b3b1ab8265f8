"""Numba kernels of the polisher: annealing of a whole start order, from some schedule that is not bad.

A move changes two places of the order, near to each other as a rule; behind the later one the same requests
follow. Few moves are followed to the end of the schedule:

- Regrets of the two requests at each other's starts tell what a move between distant places will cost.
- The value (priced regrets and idle memory so far, as in `kvopt.large.kernels`) tells early how the move will end.
- Where the same requests run as before, from the same rounds, all later starts stay as they are, and so does
  what they add to the total latency.

A front has a row in `last`, `level` (as in `kvopt.large.kernels`) and `peak`: the memory in that last round, of equal
last rounds in the first one. So tests in last rounds do not depend on each other, and compile to vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from kvopt.large.kernels import regret

#: A round after all others.
NEVER = 2**62


@njit(cache=True, nogil=True)
def first_fit(capacity, last, level, peak, row, running, prompt, output, t):
    """First round p >= t in which a request can start beside the running ones of a row until its completion."""
    p = t
    while True:
        moved = p
        own_end = p + output - 1
        beside, following = np.int64(0), np.int64(NEVER)
        for j in range(running):
            e = last[row, j]
            # Each round later it holds a token less in round e; past e it is out of the way.
            over = peak[row, j] + prompt + e - p + 1 - capacity
            if e >= p and e <= own_end and over > 0:
                moved = max(moved, min(p + over, e + 1))
            if e >= own_end:
                beside += level[row, j] + own_end
                following = min(following, e)
        if beside + prompt + output > capacity:
            # Until the next completion the others only grow.
            moved = max(moved, following + 2 - output)
        if moved == p:
            return p
        p = moved


@njit(cache=True, nogil=True)
def place(last, level, peak, row, running, completed, prompt, output, p, into):
    """Write the front behind a start in round p into a row, without what has completed by then.

    Equal last rounds are in the order of their levels, so that equal fronts have equal rows.
    """
    end, own = p + output - 1, prompt + 1 - p
    total = own + end
    # Numba tests signed indices for being negative; that would take a third of the time.
    one, gone, k, old, new = np.uint64(1), np.uint64(completed), np.uint64(running), np.uint64(row), np.uint64(into)
    while k > gone:
        e, constant = last[old, k - one], level[old, k - one]
        if e < end or (e == end and constant <= own):
            break
        last[new, k - gone], level[new, k - gone], peak[new, k - gone] = e, constant, peak[old, k - one]
        total += constant + end
        k -= one
    last[new, k - gone], level[new, k - gone], peak[new, k - gone] = end, own, total
    for j in range(gone, k):
        e = last[old, j]
        last[new, j - gone], level[new, j - gone], peak[new, j - gone] = e, level[old, j], peak[old, j] + own + e


@njit(cache=True, nogil=True)
def same_front(last, level, row, other, running):
    """Whether the first `running` entries of two rows are equal."""
    for j in range(running):
        if last[row, j] != last[other, j] or level[row, j] != level[other, j]:
            return False
    return True


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
    apart,
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
    apart : float
        A move is not tried if regrets at each other's starts make it worse by more temperatures than this.
    margin : float
        A move is refused where its value is so many temperatures behind the bar.

    Returns
    -------
    int
        Total latency of the order at the end.
    """
    np.random.seed(seed)
    n = order.shape[0]
    # Arrays unpacked from one would count as strided, and loops over them would not compile to vector instructions.
    rows = 2 * n + 2
    last, level = np.empty((rows, size), dtype=np.int64), np.empty((rows, size), dtype=np.int64)
    peak = np.empty((rows, size), dtype=np.int64)
    running, now = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    # Sums over the running requests: levels, and level * plain + timed at the end, for the priced memory still to come.
    levels, ahead = np.zeros(rows, dtype=np.int64), np.zeros(rows)
    # The front behind the first k requests of the order is in row at[k], of the order tried in row try_at[k].
    at, try_at = np.arange(n + 1), np.arange(n + 1, rows)
    latency, try_latency = np.zeros(n + 1, dtype=np.int64), np.zeros(n + 1, dtype=np.int64)
    value, try_value = np.zeros(n + 1), np.zeros(n + 1)
    cheapest, try_cheapest = np.zeros(n + 1), np.zeros(n + 1)
    horizon = plain.shape[0] - 1
    trial = order.copy()
    best = np.int64(NEVER)
    for step in range(-1, steps):
        if step % 64 == 0 and halt[0] != 0:
            break
        # The move before the first only places the order as it is.
        x, y, drawn = 0, 0, np.inf
        if step >= 0:
            x = np.random.randint(0, n - 1)
            y = min(n - 1, x + 1 + int(np.random.random() ** 5 * n))
            i, j = order[x], order[y]
            if prompt[i] == prompt[j] and output[i] == output[j] and arrival[i] == arrival[j]:
                continue
            kind = np.random.random()
            early, late = now[at[x + 1]], now[at[y + 1]]
            worse = 0.0
            if kind < 0.75:
                worse += regret(prompt[j], output[j], arrival[j], least[j], plain, timed, early)
                worse -= regret(prompt[j], output[j], arrival[j], least[j], plain, timed, late)
            if kind < 0.5 or kind >= 0.75:
                worse += regret(prompt[i], output[i], arrival[i], least[i], plain, timed, late)
                worse -= regret(prompt[i], output[i], arrival[i], least[i], plain, timed, early)
            if worse > apart * heat:
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
            drawn = -heat * np.log(1.0 - np.random.random())
        most = drawn + margin * heat
        joined = n
        row, late, floor = at[x], latency[x], cheapest[x]
        for k in range(x, n):
            i, c = trial[k], k + 1
            count, t = running[row], now[row]
            p = first_fit(capacity, last, level, peak, row, count, prompt[i], output[i], max(t, arrival[i]))
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
            # Values nearly always grow along the order: before the later place, too, they tell what will be refused.
            if step >= 0 and total > value[max(c, y + 1)] + most:
                joined = -1
                break
            place(last, level, peak, row, count, completed, prompt[i], output[i], p, into)
            running[into], now[into], levels[into], ahead[into] = alive, p, held, later
            try_value[c], try_latency[c], try_cheapest[c] = total, late, floor
            row = into
            was = at[c]
            if step < 0 or k < y or p != now[was] or alive != running[was]:
                continue
            if same_front(last, level, row, was, alive):
                joined = c
                break
        if joined >= 0:
            change = late - latency[joined]
            if step < 0 or change <= drawn:
                for c in range(x + 1, joined + 1):
                    at[c], try_at[c] = try_at[c], at[c]
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
