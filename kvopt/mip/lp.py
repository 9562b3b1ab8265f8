"""The time-indexed linear programme: the root bound of the general solvers and the memory prices of the others."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from kvopt.errors import InputError
from kvopt.mip.formulation import Formulation, aggregated
from kvopt.mip.libraries import mathopt
from kvopt.mip.linear import Entries, linear_model, solve_linear
from kvopt.model import FloatArray, Instance, exact_sum


class Relaxation(NamedTuple):
    """Optimum of the linear programme and its dual solution."""

    #: Total latency of the best fractional schedule, in rounds.
    value: float
    #: Memory price per round, float64 >= 0 of shape (horizon,).
    prices: FloatArray


def time_indexed_lp(instance: Instance, horizon: int, time_limit_s: float | None = None) -> Relaxation:
    """Solve the time-indexed linear programme aggregated by type.

    Minimise ``sum (p + o_k - a_k) x[k, p]`` over ``x >= 0`` such that each type k starts ``n_k`` times and no
    round holds more than the capacity. The prices are the duals of the memory rows; by linear programming
    duality they are the best multipliers of the Lagrangian bound in memory prices, and its value is that of the
    programme (Geoffrion 1974; time-indexed models: Dyer and Wolsey 1990).

    The memory rows are telescoped: the tokens ``m_t`` of round t and the number ``r_t`` of running requests are
    variables, ``r_t`` changes with starts and completions and ``m_t = m_{t-1} + r_t + (prompts started) - (peaks
    completed)``. Same optimum and prices, but five coefficients for each start instead of ``o_k``.

    Parameters
    ----------
    instance : Instance
    horizon : int
        Number of rounds; requests must complete by it.
    time_limit_s : float, optional
        Seconds for the whole call.

    Returns
    -------
    Relaxation
        ``(value, prices)``. The prices give a valid bound by themselves, whatever the horizon and however
        rounded; `value` is a float and bounds only the schedules that end by the horizon.

    Raises
    ------
    TooLargeError
        If the programme would have more than five million start variables.
    InputError
        If not even a fractional schedule ends by the horizon.
    SolverError
        If the time runs out or GLOP gives up.

    Notes
    -----
    Rounds far behind the end of the fractional schedule have price 0, so a shorter programme is solved first; it
    is accepted if its prices, padded with zeros, prove its value for the whole horizon.

    Examples
    --------
    >>> inst = Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3])
    >>> lp = time_indexed_lp(inst, 12)
    >>> round(lp.value, 6), lp.prices.shape
    (10.5, (12,))
    """
    deadline = None if time_limit_s is None else time.perf_counter() + time_limit_s
    fluid = -(-exact_sum(instance.volume) // instance.capacity)
    short = int(instance.arrival.max()) + fluid + fluid // 8 + 2 * int(instance.output.max())
    while short < horizon:
        lp = _solve(instance, short, deadline)
        if lp is not None:
            padded = np.concatenate((lp.prices, np.zeros(horizon - short)))
            if priced_bound(instance, padded) >= lp.value - 1e-6 * max(1.0, lp.value):
                return Relaxation(lp.value, padded)
        short *= 2
    lp = _solve(instance, horizon, deadline)
    if lp is None:
        raise InputError(f"no schedule, not even a fractional one, ends within a horizon of {horizon} rounds")
    return lp


def priced_bound(instance: Instance, prices: FloatArray) -> float:
    """The Lagrangian bound of memory prices in floating point: a check of the solver, not a certificate.

    ``sum_i min_p [p + o_i - a_i + sum_j prices[p+j-1] (s_i + j)] - M sum_t prices[t]``, prices 0 from
    round ``len(prices)`` on; O(K * len(prices)).
    """
    types = instance.types
    horizon = len(prices)
    plain = np.concatenate(([0.0], np.cumsum(prices)))
    timed = np.concatenate(([0.0], np.cumsum(prices * np.arange(horizon))))
    total = -instance.capacity * plain[-1]
    for s, o, a, count in zip(
        *(c.tolist() for c in (types.prompt, types.output, types.arrival, types.count)), strict=True
    ):
        p = np.arange(a, max(a, horizon) + 1)
        q, b = np.minimum(p + o, horizon), np.minimum(p, horizon)
        cost = p + o - a + (s + 1 - p) * (plain[q] - plain[b]) + timed[q] - timed[b]
        total += count * cost.min()
    return float(total)


def _solve(instance: Instance, horizon: int, deadline: float | None) -> Relaxation | None:
    """Solve the telescoped programme with GLOP; None if it is infeasible."""
    latest = horizon - instance.output
    if (latest < instance.arrival).any():
        return None
    model = _telescoped(aggregated(instance, latest), horizon)
    limit_s = None if deadline is None else max(0.0, deadline - time.perf_counter())
    infeasible = (mathopt.TerminationReason.INFEASIBLE, mathopt.TerminationReason.INFEASIBLE_OR_UNBOUNDED)
    result = solve_linear(model, limit_s, none_if=infeasible)
    if result is None:
        return None
    # The limit on memory is the upper bound of the last `horizon` variables, so its price is their reduced cost.
    tokens = list(model.variables())[-horizon:]
    prices = -np.array(result.reduced_costs(tokens))
    return Relaxation(result.objective_value(), np.maximum(prices, 0.0))


def _telescoped(model: Formulation, horizon: int) -> mathopt.Model:
    """Variables x, then running requests r_t, then tokens m_t; rows: r_t, then m_t, then the groups' counts."""
    starts, rounds = np.arange(len(model.group)), np.arange(horizon)
    running, tokens = len(starts) + rounds, len(starts) + horizon + rounds
    completion = model.start + model.output[model.group]
    prompt, peak = model.prompt[model.group], (model.prompt + model.output)[model.group]
    inside = completion < horizon
    entries: list[Entries] = [
        (rounds, running, 1),
        (rounds[1:], running[:-1], -1),
        (model.start, starts, -1),
        (completion[inside], starts[inside], 1),
        (horizon + rounds, tokens, 1),
        (horizon + rounds[1:], tokens[:-1], -1),
        (horizon + rounds, running, -1),
        (horizon + model.start, starts, -prompt),
        (horizon + completion[inside], starts[inside], peak[inside]),
        (2 * horizon + model.group, starts, 1),
    ]
    cost = np.concatenate((model.cost, np.zeros(2 * horizon))).astype(np.float64)
    upper = np.full(len(cost), np.inf)
    upper[tokens] = model.instance.capacity
    right = np.concatenate((np.zeros(2 * horizon), model.count)).astype(np.float64)
    return linear_model(cost, upper, entries, right, right)
