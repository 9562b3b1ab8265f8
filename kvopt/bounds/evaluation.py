"""Least priced cost of each type, in 64-bit integers (Numba).

A run of (s, o) from round p pays ``s (A(p) - A(p+o)) + B(p) - B(p+o) - o A(p+o)`` for its memory, where A are the
sums of prices from a round on and B the sums of A. B may exceed 64 bits on long horizons: integers wrap around,
and the difference is exact all the same, because the cost itself fits.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from kvopt.model import IntArray


@nb.njit(cache=True, nogil=True)
def least_costs(prompt: IntArray, output: IntArray, arrival: IntArray, prices: IntArray, denominator: int) -> IntArray:
    """Minimum over all starts p >= a of ``(p + o - a) denominator + priced memory``, shape (K,).

    Convex prices make the cost convex in p: bisection, O(log H). Otherwise every start is covered by
    evaluation or by a bound: with the running minimum of the prices in place of the prices, memory is no
    dearer and gets no dearer with p, so a start m rounds earlier costs at least that much less m rounds.
    """
    rounds = len(prices)
    once = np.zeros(rounds + 2, dtype=np.int64)
    twice = np.zeros(rounds + 2, dtype=np.int64)
    low_once = np.zeros(rounds + 2, dtype=np.int64)
    low_twice = np.zeros(rounds + 2, dtype=np.int64)
    low = np.empty(rounds, dtype=np.int64)
    convex = True
    for t in range(rounds):
        low[t] = prices[t] if t == 0 else min(low[t - 1], prices[t])
    for t in range(rounds - 1, -1, -1):
        once[t] = once[t + 1] + prices[t]
        twice[t] = twice[t + 1] + once[t]
        low_once[t] = low_once[t + 1] + low[t]
        low_twice[t] = low_twice[t + 1] + low_once[t]
        after = prices[t + 1] if t + 1 < rounds else 0
        later = prices[t + 2] if t + 2 < rounds else 0
        if prices[t] - after < after - later:
            convex = False
    least = np.empty(len(prompt), dtype=np.int64)
    for k in range(len(prompt)):
        s, o, a = prompt[k], output[k], arrival[k]
        if a >= rounds:
            least[k] = o * denominator
            continue
        # Bisection for the first start after which the cost does not fall: the minimum if prices are convex.
        below, above = a - 1, rounds
        while above - below > 1:
            p = (below + above) // 2
            q = min(p + o, rounds)
            rise = denominator - s * (once[p] - once[p + 1]) + s * (once[q] - once[q + 1])
            rise += twice[p + 1] - twice[p] - twice[q + 1] + twice[q] + o * (once[q] - once[q + 1])
            if rise >= 0:
                above = p
            else:
                below = p
        q = min(above + o, rounds)
        best = (above + o - a) * denominator + s * (once[above] - once[q]) + twice[above] - twice[q] - o * once[q]
        p = rounds if not convex else a - 1
        while p >= a:
            q = min(p + o, rounds)
            cost = (p + o - a) * denominator + s * (once[p] - once[q]) + twice[p] - twice[q] - o * once[q]
            best = min(best, cost)
            bound = (p + o - a) * denominator + s * (low_once[p] - low_once[q])
            bound += low_twice[p] - low_twice[q] - o * low_once[q]
            p -= 1 + max(0, (bound - best) // denominator)
        least[k] = best
    return least
