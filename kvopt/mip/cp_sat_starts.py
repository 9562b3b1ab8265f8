"""CP-SAT (OR-Tools) on start rounds alone: its size depends on the number of requests, not on tokens or rounds.

Memory only grows between completions, so it is limited in the last round of each request i alone. There,
every other request j is in one of three states: it has completed before (*done*), starts later (*later*), or
runs and holds ``s_j + c_i - p_j`` tokens, with p the starts and c the completions::

    done[i, j] + later[i, j] + runs[i, j] = 1
    done[i, j]  =>  c_j <= c_i - 1
    later[i, j] =>  p_j >= c_i
    runs[i, j]  =>  held[i, j] >= s_j + c_i - p_j
    peak_i + sum_j held[i, j] <= M

Two implied constraints help the search: a cumulative one on a staircase of `STEPS` steps below each request's
memory, and `completion_bound` below the sum of completions. For capacities of tens of thousands of tokens this is
the only model of this package that fits into memory; its bound is weak until the search closes.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kvopt.errors import TooLargeError
from kvopt.mip.cp_sat import run
from kvopt.mip.horizon import completion_bound, latest_starts
from kvopt.mip.libraries import cp_model
from kvopt.mip.running import NOT_STARTED, Stopped, conclude, warm_start, watched
from kvopt.model import Instance, IntArray, exact_sum
from kvopt.monitor import Monitor
from kvopt.solving import Answer

#: Largest number of requests: the model is quadratic in it.
MAX_REQUESTS = 300
#: Steps of the staircase below a request's memory.
STEPS = 4


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the model over starts; raises TooLargeError above `MAX_REQUESTS` requests."""
    if instance.n > MAX_REQUESTS:
        raise TooLargeError(f"the model over starts takes at most {MAX_REQUESTS} requests, got {instance.n}")
    known = sorted_within_types(instance, warm_start(instance, monitor))
    assert monitor.incumbent is not None
    latest = latest_starts(instance, monitor.incumbent)
    try:
        problem, starts = build(instance, latest, monitor)
    except Stopped:
        return conclude(NOT_STARTED, whole, monitor)
    if (known <= latest).all():
        for variable, value in zip(starts, known.tolist(), strict=True):
            problem.add_hint(variable, value)
    claim = run(problem, starts, monitor, whole)
    size = {"variables": len(problem.proto.variables), "horizon": int((latest + instance.output).max())}
    return conclude(claim, whole, monitor, **size)


def whole(values: npt.ArrayLike) -> IntArray:
    """Values of the start variables as integers."""
    return np.rint(values).astype(np.int64)


def sorted_within_types(instance: Instance, starts: IntArray) -> IntArray:
    """The same schedule with equal requests starting in index order.

    >>> inst = Instance(capacity=5, prompt=[1] * 3, output=[1, 1, 3])
    >>> sorted_within_types(inst, np.array([4, 3, 0])).tolist()
    [3, 4, 0]
    """
    starts = starts.copy()
    for members in instance.types.members:
        starts[members] = np.sort(starts[members])
    return starts


def build(instance: Instance, latest: IntArray, monitor: Monitor) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """The model of this file's head, and its start variables; equal requests start in index order; raises Stopped."""
    n, capacity = instance.n, instance.capacity
    prompt, output, peak = instance.prompt.tolist(), instance.output.tolist(), instance.peak.tolist()
    problem = cp_model.CpModel()
    start = [
        problem.new_int_var(a, last, "") for a, last in zip(instance.arrival.tolist(), latest.tolist(), strict=True)
    ]
    done = {(i, j): problem.new_bool_var("") for i in range(n) for j in range(n) if i != j}
    for i in watched(range(n), monitor):
        held = []
        for j in range(n):
            if i == j:
                continue
            later = problem.new_bool_var("")
            problem.add(start[j] + output[j] <= start[i] + output[i] - 1).only_enforce_if(done[i, j])
            problem.add(start[j] >= start[i] + output[i]).only_enforce_if(later)
            problem.add_implication(later, done[j, i])
            if peak[i] + prompt[j] + 1 > capacity:
                problem.add_exactly_one(done[i, j], later)
                continue
            runs = problem.new_bool_var("")
            tokens = problem.new_int_var(0, min(peak[j], capacity - peak[i]), "")
            problem.add_exactly_one(done[i, j], later, runs)
            problem.add(tokens >= prompt[j] + start[i] + output[i] - start[j]).only_enforce_if(runs)
            # Whoever runs holds its prompt and a token: this row is what the relaxation knows of memory.
            problem.add(tokens >= (prompt[j] + 1) * runs)
            held.append(tokens)
        problem.add(cp_model.LinearExpr.sum(held) <= capacity - peak[i])
    for members in instance.types.members:
        for i, j in zip(members[:-1].tolist(), members[1:].tolist(), strict=True):
            problem.add(start[i] <= start[j])
    steps = [(i, q) for i in range(n) for q in sorted({output[i] * k // STEPS for k in range(STEPS)})]
    rises = [prompt[i] + 1 if q == 0 else q - before for (_, before), (i, q) in pairwise([(0, 0), *steps])]
    intervals = [problem.new_fixed_size_interval_var(start[i] + q, output[i] - q, "") for i, q in steps]
    problem.add_cumulative(intervals, rises, capacity)
    ready, volumes = np.sort(instance.arrival + instance.output), np.sort(instance.volume)
    total = cp_model.LinearExpr.sum(start)
    problem.add(total >= completion_bound(ready, volumes, capacity) - exact_sum(instance.output))
    problem.minimize(total + exact_sum(instance.output) - exact_sum(instance.arrival))
    return problem, start
