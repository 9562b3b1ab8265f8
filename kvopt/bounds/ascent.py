"""Float search for good memory prices: fluid start, then ascent on the smoothed Lagrangian dual (Numba).

Nothing here is certified. Any nonnegative prices give a valid bound (`kvopt.bounds.prices` rounds them and
evaluates them exactly), so this file may use floats freely and only the quality of its answer matters.

The dual of the time-indexed LP in memory prices ``lam`` is ``sum_k n_k min_p c_k(p) - M sum_t lam_t`` with
``c_k(p)`` the latency of a run of type k from round p plus its priced memory. Replacing each minimum by
``-mu log sum_p exp(-c_k(p)/mu)`` makes it smooth (Nesterov, Math. Program. 103, 2005): the gradient is the
memory used when every type spreads its requests over near-minimal starts, minus M. Accelerated projected
gradient steps (Beck and Teboulle, SIAM J. Imaging Sci. 2, 2009) with backtracking and restarts climb it while
``mu`` falls. One evaluation takes O(K H) by suffix sums, whatever the outputs are.
"""

from __future__ import annotations

import heapq
import time

import numba as nb
import numpy as np
import numpy.typing as npt

from kvopt.model import IntArray, RequestTypes

FloatArray = npt.NDArray[np.float64]

#: Smoothing falls geometrically over the stages, from max(3, H/100) rounds to this.
LAST_SMOOTHING_ROUNDS = 0.01
#: Stages of constant smoothing, and steps in each.
STAGES, STEPS = 20, 100
#: Starts dearer than the best by more than this many times the smoothing have no weight.
CUT_OFF = 30.0


@nb.njit(cache=True)
def fluid_prices(volume: FloatArray, arrival: IntArray, count: IntArray, capacity: int, rounds: int) -> FloatArray:
    """Prices of the fluid schedule that serves M token-rounds a round, smallest volume first.

    One more token of memory in round t would bring ``1 / volume`` completions of the request then served
    forward, and with them all later service of the busy period: ``lam_t`` sums ``1/volume`` from t to its end.
    Types must be sorted by arrival. O(K log K + H).
    """
    marginal = np.zeros(rounds)
    waiting = [(np.inf, 0.0)]
    k = 0
    for t in range(rounds):
        while k < len(arrival) and arrival[k] <= t:
            heapq.heappush(waiting, (volume[k], volume[k] * count[k]))
            k += 1
        room = float(capacity)
        while room > 0 and len(waiting) > 1:
            size, left = heapq.heappop(waiting)
            marginal[t] = 1.0 / size
            if left > room:
                heapq.heappush(waiting, (size, left - room))
                room = 0.0
            else:
                room -= left
        if room > 0:
            marginal[t] = 0.0
    prices = np.zeros(rounds)
    level = 0.0
    for t in range(rounds - 1, -1, -1):
        level = level + marginal[t] if marginal[t] > 0 else 0.0
        prices[t] = level
    return prices


@nb.njit(cache=True)
def smoothed_dual(
    prompt: IntArray,
    output: IntArray,
    arrival: IntArray,
    count: IntArray,
    capacity: int,
    prices: FloatArray,
    smoothing: float,
    use: FloatArray,
) -> tuple[float, float]:
    """Smoothed and true dual value at `prices` (float); writes the memory used per round into `use`."""
    rounds = len(prices)
    length = rounds + int(output.max()) + 2
    once = np.zeros(length)
    twice = np.zeros(length)
    for t in range(rounds - 1, -1, -1):
        once[t] = once[t + 1] + prices[t]
        twice[t] = twice[t + 1] + once[t]
    # Memory as sum of lines (slope * t + level) that begin at starts and end at completions.
    slope = np.zeros(length)
    level = np.zeros(length)
    cost = np.empty(rounds + 1)
    smooth, true = 0.0, 0.0
    for k in range(len(prompt)):
        s, o, a = prompt[k], output[k], arrival[k]
        if a >= rounds:
            smooth += count[k] * o
            true += count[k] * o
            continue
        least = np.inf
        for p in range(a, rounds + 1):
            q = p + o
            cost[p] = q - a + s * (once[p] - once[q]) + twice[p] - twice[q] - o * once[q]
            least = min(least, cost[p])
        weight = 0.0
        for p in range(a, rounds + 1):
            excess = (cost[p] - least) / smoothing
            cost[p] = np.exp(-excess) if excess < CUT_OFF else 0.0
            weight += cost[p]
        true += count[k] * least
        smooth += count[k] * (least - smoothing * np.log(weight))
        for p in range(a, rounds):
            if cost[p] > 0:
                share = cost[p] * (count[k] / weight)
                slope[p] += share
                level[p] += share * (s + 1 - p)
                slope[p + o] -= share
                level[p + o] -= share * (s + 1 - p)
    rate, base, total = 0.0, 0.0, 0.0
    for t in range(rounds):
        rate += slope[t]
        base += level[t]
        use[t] = rate * t + base
        total += prices[t]
    return smooth - capacity * total, true - capacity * total


@nb.njit(cache=True)
def climb(
    prompt: IntArray,
    output: IntArray,
    arrival: IntArray,
    count: IntArray,
    capacity: int,
    prices: FloatArray,
    smoothing: float,
    curvature: float,
    steps: int,
) -> tuple[FloatArray, float, float]:
    """Accelerated projected ascent at constant smoothing; returns the best prices seen, their value, curvature."""
    rounds = len(prices)
    use = np.empty(rounds)
    unused = np.empty(rounds)
    best, best_prices = -np.inf, prices.copy()
    at, previous, momentum = prices.copy(), prices.copy(), 1.0
    for _ in range(steps):
        value, true = smoothed_dual(prompt, output, arrival, count, capacity, at, smoothing, use)
        if true > best:
            best, best_prices = true, at.copy()
        while True:
            ahead = np.maximum(0.0, at + (use - capacity) / curvature)
            step = ahead - at
            gain = ((use - capacity) * step).sum()
            square = (step * step).sum()
            reached, true = smoothed_dual(prompt, output, arrival, count, capacity, ahead, smoothing, unused)
            if true > best:
                best, best_prices = true, ahead.copy()
            if reached >= value + gain - curvature / 2 * square - 1e-9 * abs(value):
                break
            curvature *= 2
        if ((use - capacity) * (ahead - previous)).sum() < 0:
            at, momentum = ahead.copy(), 1.0
        else:
            longer = (1 + np.sqrt(1 + 4 * momentum * momentum)) / 2
            at = np.maximum(0.0, ahead + (momentum - 1) / longer * (ahead - previous))
            momentum = longer
        previous = ahead
        curvature *= 0.9
    return best_prices, best, curvature


def horizon(types: RequestTypes, capacity: int) -> int:
    """Rounds that deserve a price: the fluid schedule's last round, 15 % more, and one output."""
    end = 0.0
    order = np.argsort(types.arrival, kind="stable")
    volume = (types.prompt * types.output + types.output * (types.output + 1) // 2) * types.count
    for a, work in zip(types.arrival[order].tolist(), volume[order].tolist(), strict=True):
        end = max(end, a) + work / capacity
    return int(1.15 * end) + int(types.output.max()) + 1


def ascend(types: RequestTypes, capacity: int, rounds: int, time_limit_s: float) -> FloatArray:
    """Prices of rounds 0 .. rounds - 1 that nearly maximise the dual (within 0.01-0.1 % of the LP when done).

    Parameters
    ----------
    types : RequestTypes
    capacity, rounds : int
    time_limit_s : float
        No stage begins after it; the fluid prices are the least that is returned.
    """
    order = np.argsort(types.arrival, kind="stable")
    prompt, output = types.prompt[order], types.output[order]
    arrival, count = types.arrival[order], types.count[order]
    volume = (prompt * output + output * (output + 1) // 2).astype(np.float64)
    best_prices = fluid_prices(volume, arrival, count, capacity, rounds)
    best = smoothed_dual(prompt, output, arrival, count, capacity, best_prices, 1.0, np.empty(rounds))[1]
    # Compiles (or loads) the last kernel before the clock starts.
    climb(prompt, output, arrival, count, capacity, best_prices, 1.0, 1.0, 0)
    begun = time.perf_counter()
    prices, curvature = best_prices, 1e-3
    first = max(3.0, rounds / 100)
    for smoothing in np.geomspace(first, LAST_SMOOTHING_ROUNDS, STAGES):
        if time.perf_counter() - begun > time_limit_s:
            break
        prices, value, curvature = climb(
            prompt, output, arrival, count, capacity, prices, float(smoothing), curvature, STEPS
        )
        if value > best:
            best, best_prices = value, prices
    return best_prices
