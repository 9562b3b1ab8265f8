"""Float search for good prices and charges of a room bound (`kvopt.bounds.room`): smoothed ascent (Numba).

As in `kvopt.bounds.ascent` nothing here is certified. Prices and charges enter the bound in one way: row r of the
*weights* charges ``weight * scale * min(tokens held, level)`` in each round. Row 0 has a level above every peak: the
memory price. The bound is concave in all weights together, because each credit is a maximum of linear functions of
them; minima over starts and maxima over levels are both smoothed.
"""

from __future__ import annotations

import time

import numba as nb
import numpy as np

from kvopt.bounds.bound import HaltFlag
from kvopt.model import FloatArray, IntArray, RequestTypes

#: Smoothing falls geometrically over the stages, from rounds / 4000 to the last value.
FIRST_SMOOTHING, LAST_SMOOTHING_ROUNDS = 1 / 4000, 0.05
STAGES = 4
#: Steps in a stage; where the budget does not allow the smaller number, there is no ascent.
MIN_STEPS, MAX_STEPS = 15, 60
#: Starts, and levels in a credit, that are worse than the best by more smoothings than this have no weight.
CUT_OFF, CREDIT_CUT_OFF = 25.0, 12.0
#: A credit is a sum over some thirty rounds, so each term is smoothed by less.
CREDIT_SMOOTHING = 1 / 30
#: Charge of a step against that of a memory price, in tokens: about evens out the curvature in both.
SCALE_TOKENS = 150.0
#: Costs of starts evaluated per second on an ordinary core, for each row of weights.
STARTS_PER_S = 1.3e8


@nb.njit(cache=True, nogil=True)
def suffix_sums(weights, longest):
    """Sums of each row from t on, and sums of these, both of shape (R, H + 1 + longest): zeros from H on."""
    rows, rounds = weights.shape
    once, twice = np.zeros((rows, rounds + 1 + longest)), np.zeros((rows, rounds + 1 + longest))
    for r in range(rows):
        for t in range(rounds - 1, -1, -1):
            once[r, t] = once[r, t + 1] + weights[r, t]
            twice[r, t] = twice[r, t + 1] + once[r, t]
    return once, twice


@nb.njit(cache=True, nogil=True)
def start_costs(s, o, a, level, scale, once, twice, credit, first, last, cost):
    """Latency + weighted memory - credit of each start from `first` to `last` - 1, into `cost`; returns the least."""
    # Slices and no conditions, so that the loops compile to vector instructions.
    into, due = cost[first:last], credit[first + o - 1 : last + o - 1]
    for k in range(len(into)):
        into[k] = first + k + o - a - due[k]
    for r in range(len(level)):
        # In the first `part` rounds less than the level is held, then the level counts.
        part = min(max(level[r] - s, 0), o)
        reached = float(level[r]) if part < o else 0.0
        begin, begin_twice = once[r, first:last], twice[r, first:last]
        middle, middle_twice = once[r, first + part : last + part], twice[r, first + part : last + part]
        end = once[r, first + o : last + o]
        for k in range(len(into)):
            small = s * begin[k] + begin_twice[k] - (s + part) * middle[k] - middle_twice[k]
            into[k] += scale[r] * (small + reached * (middle[k] - end[k]))
    return into.min()


@nb.njit(cache=True, nogil=True)
def credits(weights, level, scale, capacity, smoothing, use, credit, gradient):
    """Write each round's credit for a completion; or, with `use`, subtract the gradient of sum(use * credit).

    The term of round t for a completion m rounds later is the largest of zero and, over the levels h,
    ``M (charge of h tokens - m price) / (h + m)``. No completion is further away than the longest output.
    """
    rows, rounds = weights.shape
    levels, longest = rows - 1, len(credit) - rounds
    # In most sums one term alone counts, so few logarithms and powers are taken.
    cut = CREDIT_CUT_OFF * smoothing
    charge, value = np.empty(levels), np.empty(levels)
    largest = np.empty((longest, levels))
    for m in range(longest):
        for k in range(levels):
            largest[m, k] = capacity / (level[k + 1] + m)
    for t in range(rounds):
        for k in range(levels):
            charge[k] = 0.0
            for r in range(1, rows):
                charge[k] += scale[r] * weights[r, t] * min(level[k + 1], level[r])
        for m in range(longest):
            highest = -np.inf
            for k in range(levels):
                value[k] = largest[m, k] * (charge[k] - m * weights[0, t])
                highest = max(highest, value[k])
            if highest < -cut:
                break
            top = max(0.0, highest)
            total = np.exp(-top / smoothing) if top < cut else 0.0
            for k in range(levels):
                below = top - value[k]
                value[k] = 0.0 if below >= cut else 1.0 if below == 0.0 else np.exp(-below / smoothing)
                total += value[k]
            if len(use) == 0:
                credit[t + m] += top + (smoothing * np.log(total) if total != 1.0 else 0.0)
                continue
            for k in range(levels):
                if value[k] > 0.0:
                    part = use[t + m] * value[k] / total * largest[m, k]
                    gradient[0, t] += part * m
                    for r in range(1, rows):
                        gradient[r, t] -= part * scale[r] * min(level[k + 1], level[r])


@nb.njit(cache=True, nogil=True)
def windows(prompt, output, arrival, weights, level, scale, capacity, smoothing, width):
    """For each type the range of starts within `width` of the least cost: first start, last start + 1."""
    rounds = weights.shape[1]
    once, twice = suffix_sums(weights, output.max())
    credit, none = np.zeros(rounds + output.max()), np.empty(0)
    credits(weights, level, scale, capacity, smoothing, none, credit, weights)
    first, last = np.empty_like(prompt), np.empty_like(prompt)
    cost = np.empty(rounds + 1)
    for k in range(len(prompt)):
        a = min(arrival[k], rounds)
        most = start_costs(prompt[k], output[k], arrival[k], level, scale, once, twice, credit, a, rounds + 1, cost)
        first[k], last[k] = a, rounds + 1
        while cost[first[k]] > most + width:
            first[k] += 1
        while cost[last[k] - 1] > most + width:
            last[k] -= 1
    return first, last


@nb.njit(cache=True, nogil=True)
def smoothed_bound(prompt, output, arrival, count, capacity, weights, level, scale, smoothing, first, last, gradient):
    """Smoothed bound at `weights` over the windows; writes its gradient."""
    rows, rounds = weights.shape
    once, twice = suffix_sums(weights, output.max())
    credit, none = np.zeros(rounds + output.max()), np.empty(0)
    credits(weights, level, scale, capacity, smoothing * CREDIT_SMOOTHING, none, credit, gradient)
    # What is charged for, as a sum of lines (slope * t + height) from round to round.
    slope, height = np.zeros((rows, rounds + 1)), np.zeros((rows, rounds + 1))
    completions = np.zeros(len(credit))
    cost = np.empty(rounds + 1)
    total = -capacity * once[0, 0]
    for k in range(len(prompt)):
        s, o, a = prompt[k], output[k], arrival[k]
        least = start_costs(s, o, a, level, scale, once, twice, credit, first[k], last[k], cost)
        weight = 0.0
        for p in range(first[k], last[k]):
            excess = (cost[p] - least) / smoothing
            cost[p] = np.exp(-excess) if excess < CUT_OFF else 0.0
            weight += cost[p]
        total += count[k] * (least - smoothing * np.log(weight))
        for p in range(first[k], last[k]):
            if cost[p] > 0.0:
                share = cost[p] * (count[k] / weight)
                q = min(p + o, rounds)
                for r in range(rows):
                    m = min(p + min(max(level[r] - s, 0), o), rounds)
                    slope[r, p] += share
                    height[r, p] += share * (s + 1 - p)
                    slope[r, m] -= share
                    height[r, m] += share * (level[r] - s - 1 + p)
                    height[r, q] -= share * level[r]
                completions[min(p + o, len(credit)) - 1] += share
    for r in range(rows):
        rate, base = 0.0, 0.0
        for t in range(rounds):
            rate += slope[r, t]
            base += height[r, t]
            gradient[r, t] = scale[r] * (rate * t + base)
    gradient[0] -= capacity
    credits(weights, level, scale, capacity, smoothing * CREDIT_SMOOTHING, completions, credit, gradient)
    return total


@nb.njit(cache=True, nogil=True)
def climb(
    halt, prompt, output, arrival, count, capacity, weights, level, scale, first, last, smoothing, curvature, steps
):
    """Accelerated projected ascent at constant smoothing and windows, as in `kvopt.bounds.ascent`."""
    gradient, unused = np.empty_like(weights), np.empty_like(weights)
    at, previous, momentum = weights, weights, 1.0
    for _ in range(steps):
        if halt[0]:
            break
        value = smoothed_bound(
            prompt, output, arrival, count, capacity, at, level, scale, smoothing, first, last, gradient
        )
        while True:
            ahead = np.maximum(0.0, at + gradient / curvature)
            step = ahead - at
            square = (step * step).sum()
            reached = smoothed_bound(
                prompt, output, arrival, count, capacity, ahead, level, scale, smoothing, first, last, unused
            )
            if reached >= value + (gradient * step).sum() - curvature / 2 * square - 1e-9 * abs(value):
                break
            curvature *= 2
        if square == 0.0:
            break
        if (gradient * (ahead - previous)).sum() < 0:
            at, momentum = ahead, 1.0
        else:
            longer = (1 + np.sqrt(1 + 4 * momentum * momentum)) / 2
            at = np.maximum(0.0, ahead + (momentum - 1) / longer * (ahead - previous))
            momentum = longer
        previous = ahead
        curvature = max(0.9 * curvature, 1e-9)
    return previous, curvature


def steps(types: RequestTypes, rounds: int, levels: IntArray, time_limit_s: float) -> int:
    """Steps of each stage that the budget allows."""
    work = STARTS_PER_S * time_limit_s / (len(types) * max(rounds, 1) * (1 + len(levels)) * STAGES)
    return min(MAX_STEPS, int(work))


def ascend(
    types: RequestTypes,
    capacity: int,
    prices: FloatArray,
    levels: IntArray,
    time_limit_s: float,
    halt: HaltFlag | None = None,
) -> list[FloatArray]:
    """Weights that nearly maximise the room bound, from given prices and no charges: the last of each stage.

    Parameters
    ----------
    types : RequestTypes
    capacity : int
    prices : float64 array of shape (H,), >= 0
        Good memory prices (`kvopt.bounds.prices`).
    levels : int64 array of shape (L,), >= 1
    time_limit_s : float
        Sets the number of steps by a nominal speed, so that equal arguments give equal weights; a machine more
        than twice slower than that ends early.
    halt : int8 array of shape (1,), optional
        Once it is nonzero, the ascent ends with the weights it has.

    Returns
    -------
    list of float64 arrays of shape (1 + L, H)
        Row 0: memory price; the others: charge for each token held up to the level. Empty when the budget is too
        small for an ascent.
    """
    rounds = len(prices)
    each = steps(types, rounds, levels, time_limit_s)
    if each < MIN_STEPS or rounds == 0:
        return []
    level = np.concatenate(([np.iinfo(np.int32).max], levels))
    scale = np.concatenate(([1.0], SCALE_TOKENS / levels))
    halt = np.zeros(1, dtype=np.int8) if halt is None else halt
    columns = types.prompt, types.output, types.arrival
    weights = np.zeros((len(level), rounds))
    weights[0] = prices
    # The curvature grows to what is needed in the first steps, which also load the kernel before the clock starts.
    first, last = windows(*columns, weights, level, scale, capacity, 1.0, 1.0)
    curvature = climb(halt, *columns, types.count, capacity, weights, level, scale, first, last, 1.0, 1.0, 1)[1]
    begun = time.perf_counter()
    found = []
    hot = max(rounds * FIRST_SMOOTHING, LAST_SMOOTHING_ROUNDS)
    for smoothing in np.geomspace(hot, LAST_SMOOTHING_ROUNDS, STAGES).tolist():
        if halt[0] or time.perf_counter() - begun > 2 * time_limit_s:
            break
        width = 2 * CUT_OFF * smoothing
        first, last = windows(*columns, weights, level, scale, capacity, smoothing * CREDIT_SMOOTHING, width)
        weights, curvature = climb(
            halt, *columns, types.count, capacity, weights, level, scale, first, last, smoothing, curvature, each
        )
        found.append(weights * scale[:, None])
    return found
