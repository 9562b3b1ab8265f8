"""Least cost of each type under a room bound's prices and charges (`kvopt.bounds.room`), in 64-bit integers (Numba)."""

from __future__ import annotations

import numba as nb
import numpy as np

from kvopt.model import IntArray


@nb.njit(cache=True, nogil=True)
def least_room_costs(
    prompt: IntArray,
    output: IntArray,
    arrival: IntArray,
    capacity: int,
    denominator: int,
    rates: IntArray,
    levels: IntArray,
) -> IntArray:
    """Minimum over all starts p >= a of latency + memory + charges - credit, times the denominator, shape (K,).

    Row r of the rates charges ``rates[r, t] * min(tokens held, levels[r])``; row 0 has a level above every
    peak, the memory price.
    """
    rows, rounds = rates.shape
    longest = output.max()
    once, twice = np.zeros((rows, rounds + 1), dtype=np.int64), np.zeros((rows, rounds + 1), dtype=np.int64)
    for r in range(rows):
        for t in range(rounds - 1, -1, -1):
            once[r, t] = once[r, t + 1] + rates[r, t]
            twice[r, t] = twice[r, t + 1] + once[r, t]
    credit = np.zeros(rounds + longest, dtype=np.int64)
    charge = np.empty(rows, dtype=np.int64)
    for t in range(rounds):
        for k in range(1, rows):
            charge[k] = 0
            for r in range(1, rows):
                charge[k] += rates[r, t] * min(levels[k], levels[r])
        for m in range(longest):
            most = np.int64(0)
            for k in range(1, rows):
                left = charge[k] - m * rates[0, t]
                if left > 0:
                    most = max(most, -(-capacity * left // (levels[k] + m)))
            if most == 0:
                break
            credit[t + m] += most
    least = np.empty(len(prompt), dtype=np.int64)
    for i in range(len(prompt)):
        s, o, a = prompt[i], output[i], arrival[i]
        found = np.int64(2) ** 62
        # From the last of these starts on there is nothing to pay and no credit.
        for p in range(a, max(a, rounds + longest - o) + 1):
            start, end = min(p, rounds), min(p + o, rounds)
            cost = np.int64(p * denominator)
            for r in range(rows):
                part = min(max(levels[r] - s, 0), o)
                middle = min(p + part, rounds)
                cost += s * (once[r, start] - once[r, middle]) + twice[r, start] - twice[r, middle]
                cost += levels[r] * (once[r, middle] - once[r, end]) - part * once[r, middle]
            if p + o - 1 < len(credit):
                cost -= credit[p + o - 1]
            found = min(found, cost)
        least[i] = found + (o - a) * denominator
    return least
