"""Least cost of each type with charges and credits for growth (`kvopt.bounds.growth`), in 64-bit integers (Numba)."""

from __future__ import annotations

import numba as nb
import numpy as np

from kvopt.model import IntArray


@nb.njit(cache=True, nogil=True)
def _memory(once, twice, prompt, output, start, end):
    """Price of ``prompt + j`` tokens in round ``start + j - 1``, j = 1 .. output; ``end`` is the round after it."""
    return prompt * (once[start] - once[end]) + twice[start] - twice[end] - output * once[end]


@nb.njit(cache=True, nogil=True)
def _cost(once, twice, denominator, prompt, output, part, lead, size, p):
    """Start + memory + charge of a run from p, rounded down; `part` of its rounds hold at most `size` tokens."""
    last = len(once) - 2
    start, middle, end = min(p, last), min(p + part, last), min(p + output, last)
    charge = lead * (once[middle] - once[end]) + lead * _memory(once, twice, prompt, part, start, middle) // size
    return p * denominator + _memory(once, twice, prompt, output, start, end) + charge


@nb.njit(cache=True, nogil=True)
def _rises(once, twice, denominator, prompt, output, part, lead, size, p):
    """Whether `_cost`, not rounded, does not fall from p to p + 1."""
    last = len(once) - 2
    a, b = min(p, last), min(p + 1, last)
    middle, middle_b = min(p + part, last), min(p + 1 + part, last)
    end, end_b = min(p + output, last), min(p + 1 + output, last)
    whole = _memory(once, twice, prompt, output, b, end_b) - _memory(once, twice, prompt, output, a, end)
    whole += lead * (once[middle_b] - once[end_b] - once[middle] + once[end])
    small = _memory(once, twice, prompt, part, b, middle_b) - _memory(once, twice, prompt, part, a, middle)
    return size * (denominator + whole) + lead * small >= 0


@nb.njit(cache=True, nogil=True)
def least_growth_costs(
    prompt: IntArray,
    output: IntArray,
    arrival: IntArray,
    prices: IntArray,
    denominator: int,
    begin: IntArray,
    lead: IntArray,
    size: IntArray,
    credit: IntArray,
) -> IntArray:
    """Minimum over all starts p >= a of latency + memory + charge - credit, times the denominator, shape (K,).

    Starts whose first and last rounds lie in the same spans form a piece. Convex prices make a piece convex, and
    bisection finds its minimum; other prices are evaluated at every start up to the last priced round.
    """
    rounds = len(prices)
    once, twice = np.zeros(rounds + 2, dtype=np.int64), np.zeros(rounds + 2, dtype=np.int64)
    convex = True
    for t in range(rounds - 1, -1, -1):
        once[t] = once[t + 1] + prices[t]
        twice[t] = twice[t + 1] + once[t]
        after = prices[t + 1] if t + 1 < rounds else 0
        later = prices[t + 2] if t + 2 < rounds else 0
        if prices[t] - after < after - later:
            convex = False
    spans = len(begin)
    least = np.empty(len(prompt), dtype=np.int64)
    for i in range(len(prompt)):
        s, o, a = prompt[i], output[i], arrival[i]
        found = np.int64(2) ** 62
        first, k, last = a, 0, 0
        # Behind the last priced round and the last span, earlier is better.
        stop = max(a, rounds, begin[spans - 1]) + 1
        while first < stop:
            while k + 1 < spans and begin[k + 1] <= first:
                k += 1
            while last + 1 < spans and begin[last + 1] <= first + o - 1:
                last += 1
            end = stop
            if k + 1 < spans:
                end = min(end, begin[k + 1])
            if last + 1 < spans:
                end = min(end, begin[last + 1] - o + 1)
            part = min(max(size[k] - s, 0), o)
            if convex:
                below, above = first - 1, end - 1
                while above - below > 1:
                    p = (below + above) // 2
                    if _rises(once, twice, denominator, s, o, part, lead[k], size[k], p):
                        above = p
                    else:
                        below = p
                cost = _cost(once, twice, denominator, s, o, part, lead[k], size[k], above) - credit[last]
                found = min(found, cost)
            else:
                for p in range(first, end):
                    cost = _cost(once, twice, denominator, s, o, part, lead[k], size[k], p) - credit[last]
                    found = min(found, cost)
            first = end
        least[i] = found + (o - a) * denominator
    return least
