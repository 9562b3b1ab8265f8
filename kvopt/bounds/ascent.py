"""Float search for good memory prices: fluid start, then ascent on the smoothed Lagrangian dual (Numba).

Nothing here is certified. Any nonnegative prices give a valid bound (`kvopt.bounds.prices` rounds them and
evaluates them exactly), so this file may use floats freely and only the quality of its answer matters.

The dual of the time-indexed LP in memory prices ``lam`` is ``sum_k n_k min_p c_k(p) - M sum_t lam_t`` with
``c_k(p)`` the latency of a run of type k from round p plus its priced memory. Replacing each minimum by
``-mu log sum_p exp(-c_k(p)/mu)`` makes it smooth (Nesterov, Math. Program. 103, 2005): the gradient is the
memory used when every type spreads its requests over near-minimal starts, minus M. Accelerated projected
gradient steps (Beck and Teboulle, SIAM J. Imaging Sci. 2, 2009) with backtracking and restarts climb it while
``mu`` falls. Suffix sums make the cost of a start O(1), whatever the output; as ``mu`` falls, only a narrowing
window of starts has weight, so late stages are cheap.
"""

from __future__ import annotations

import time

import numba as nb
import numpy as np

from kvopt.bounds.bound import HaltFlag
from kvopt.bounds.fluid import fluid_prices, marginal_volumes
from kvopt.model import FloatArray, IntArray, RequestTypes

#: Smoothing falls geometrically over the stages, from max(3, H/200) rounds to the last value.
LAST_SMOOTHING_ROUNDS = 0.01
#: Stages; fewer where they may end early, which with few types takes two thirds of the time for the same bound.
STAGES, SHORT_STAGES = 14, 4
#: Steps in a stage; where the budget does not allow the smaller number, the fluid prices stand.
MIN_STEPS, MAX_STEPS = 20, 300
#: Starts dearer than the best by more than this many times the smoothing have no weight.
CUT_OFF = 30.0
#: Costs of starts that this file evaluates per second on an ordinary core, windows taken into account.
STARTS_PER_S = 2e8


@nb.njit(cache=True, nogil=True)
def suffix_sums(prices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of prices from t on, and sums of these, shape (H + 1,); a completion after round H counts as H.

    A run of (s, o) from p pays ``s (once[p] - once[p+o]) + twice[p] - twice[p+o] - o once[p+o]``.
    """
    once = np.zeros(len(prices) + 1)
    twice = np.zeros(len(prices) + 1)
    for t in range(len(prices) - 1, -1, -1):
        once[t] = once[t + 1] + prices[t]
        twice[t] = twice[t + 1] + once[t]
    return once, twice


@nb.njit(cache=True, nogil=True)
def windows(
    prompt: IntArray,
    output: IntArray,
    arrival: IntArray,
    count: IntArray,
    capacity: int,
    prices: FloatArray,
    width: float,
) -> tuple[float, IntArray, IntArray]:
    """True dual value at `prices`, and for each type the range of starts within `width` of the least cost.

    A range is given by its first start and its last start + 1; equal if no priced round matters to the type.
    """
    rounds = len(prices)
    once, twice = suffix_sums(prices)
    value = -capacity * once[0]
    first = np.full(len(prompt), rounds)
    last = np.full(len(prompt), rounds)
    cost = np.empty(rounds + 1)
    for k in range(len(prompt)):
        s, o, a = prompt[k], output[k], arrival[k]
        if a >= rounds:
            value += count[k] * o
            continue
        for p in range(a, rounds + 1):
            q = min(p + o, rounds)
            cost[p] = p + o - a + s * (once[p] - once[q]) + twice[p] - twice[q] - o * once[q]
        least = cost[a:].min()
        value += count[k] * least
        first[k] = a
        while cost[first[k]] > least + width:
            first[k] += 1
        last[k] = rounds + 1
        while cost[last[k] - 1] > least + width:
            last[k] -= 1
    return value, first, last


@nb.njit(cache=True, nogil=True)
def smoothed_dual(
    prompt: IntArray,
    output: IntArray,
    arrival: IntArray,
    count: IntArray,
    capacity: int,
    prices: FloatArray,
    smoothing: float,
    first: IntArray,
    last: IntArray,
    use: FloatArray,
) -> tuple[float, float]:
    """Smoothed and true dual value at `prices` over the windows; writes the memory used per round into `use`."""
    rounds = len(prices)
    once, twice = suffix_sums(prices)
    # Memory as a sum of lines (slope * t + level) that begin at starts and end at completions.
    slope = np.zeros(rounds + 1)
    level = np.zeros(rounds + 1)
    cost = np.empty(rounds + 1)
    smooth, true = 0.0, 0.0
    for k in range(len(prompt)):
        s, o, a = prompt[k], output[k], arrival[k]
        if first[k] == last[k]:
            smooth += count[k] * o
            true += count[k] * o
            continue
        least = np.inf
        for p in range(first[k], last[k]):
            q = min(p + o, rounds)
            cost[p] = p + o - a + s * (once[p] - once[q]) + twice[p] - twice[q] - o * once[q]
            least = min(least, cost[p])
        weight = 0.0
        for p in range(first[k], last[k]):
            excess = (cost[p] - least) / smoothing
            cost[p] = np.exp(-excess) if excess < CUT_OFF else 0.0
            weight += cost[p]
        true += count[k] * least
        smooth += count[k] * (least - smoothing * np.log(weight))
        for p in range(first[k], last[k]):
            if cost[p] > 0:
                share = cost[p] * (count[k] / weight)
                slope[p] += share
                level[p] += share * (s + 1 - p)
                q = min(p + o, rounds)
                slope[q] -= share
                level[q] -= share * (s + 1 - p)
    rate, base, total = 0.0, 0.0, 0.0
    for t in range(rounds):
        rate += slope[t]
        base += level[t]
        use[t] = rate * t + base
        total += prices[t]
    return smooth - capacity * total, true - capacity * total


@nb.njit(cache=True, nogil=True)
def climb(
    halt: HaltFlag,
    prompt: IntArray,
    output: IntArray,
    arrival: IntArray,
    count: IntArray,
    capacity: int,
    prices: FloatArray,
    first: IntArray,
    last: IntArray,
    smoothing: float,
    curvature: float,
    steps: int,
    least_gain: float,
) -> tuple[FloatArray, float, float]:
    """Accelerated projected ascent at constant smoothing and windows, until a step promises less than `least_gain`.

    Returns the best prices seen, their value as the windows show it (never below the true one), the curvature.
    """
    use = np.empty(len(prices))
    unused = np.empty(len(prices))
    best, best_prices = -np.inf, prices
    at, previous, momentum = prices, prices, 1.0
    for _ in range(steps):
        if halt[0]:
            break
        value, true = smoothed_dual(prompt, output, arrival, count, capacity, at, smoothing, first, last, use)
        if true > best:
            best, best_prices = true, at
        while True:
            ahead = np.maximum(0.0, at + (use - capacity) / curvature)
            step = ahead - at
            square = (step * step).sum()
            reached, true = smoothed_dual(
                prompt, output, arrival, count, capacity, ahead, smoothing, first, last, unused
            )
            if true > best:
                best, best_prices = true, ahead
            promised = ((use - capacity) * step).sum() - curvature / 2 * square
            if reached >= value + promised - 1e-9 * abs(value):
                break
            curvature *= 2
        if square == 0.0 or promised < least_gain:
            break
        if ((use - capacity) * (ahead - previous)).sum() < 0:
            at, momentum = ahead, 1.0
        else:
            longer = (1 + np.sqrt(1 + 4 * momentum * momentum)) / 2
            at = np.maximum(0.0, ahead + (momentum - 1) / longer * (ahead - previous))
            momentum = longer
        previous = ahead
        curvature = max(0.9 * curvature, 1e-9)
    return best_prices, best, curvature


def ascend(
    types: RequestTypes,
    capacity: int,
    rounds: int,
    time_limit_s: float,
    tolerance: float = 0.0,
    halt: HaltFlag | None = None,
) -> FloatArray | None:
    """Prices of rounds 0 .. rounds - 1 that nearly maximise the dual.

    Parameters
    ----------
    types : RequestTypes
    capacity, rounds : int
    time_limit_s : float
        Sets the number of steps by a nominal speed, so that equal arguments give equal prices; a machine more
        than twice slower than that ends early.
    tolerance : float
        A stage ends when a step promises less than this many times its smoothing, in rounds: with few types 0.001 takes
        a tenth of the time and loses at most a tenth of a percent of the bound, mostly a hundredth.
    halt : int8 array of shape (1,), optional
        Once it is nonzero, the ascent ends with the best prices so far.

    Returns
    -------
    float64 array of shape (rounds,), or None
        None when the budget is too small for an ascent.
    """
    stages = STAGES if tolerance == 0 else SHORT_STAGES
    work = STARTS_PER_S * time_limit_s / (len(types) * rounds * stages)
    steps = min(MAX_STEPS, int(work))
    if steps < MIN_STEPS:
        return None
    halt = np.zeros(1, dtype=np.int8) if halt is None else halt
    columns = types.prompt, types.output, types.arrival, types.count
    prices = fluid_prices(marginal_volumes(types, capacity, rounds))
    best, first, last = windows(*columns, capacity, prices, np.inf)
    # The curvature grows to what is needed in the first steps, which also load the kernel before the clock starts.
    curvature = climb(halt, *columns, capacity, prices, first, last, 1.0, 1.0, 1, 0.0)[2]
    begun = time.perf_counter()
    reach = 2 * CUT_OFF
    for smoothing in np.geomspace(max(3.0, rounds / 200), LAST_SMOOTHING_ROUNDS, stages).tolist():
        if halt[0] or time.perf_counter() - begun > 2 * time_limit_s:
            break
        _, first, last = windows(*columns, capacity, prices, reach * smoothing)
        ahead, shown, bent = climb(
            halt, *columns, capacity, prices, first, last, smoothing, curvature, steps, tolerance * smoothing
        )
        value = windows(*columns, capacity, ahead, 0.0)[0]
        if value < shown - smoothing:
            reach *= 4  # starts beyond the windows have become better than those within
        if value > best:
            best, prices, curvature = value, ahead, bent
    return prices
