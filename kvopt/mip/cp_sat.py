"""CP-SAT (OR-Tools) on the two time-indexed formulations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from kvopt.mip.formulation import Formulation, aggregated, indexed
from kvopt.mip.libraries import cp_model
from kvopt.mip.running import (
    NOT_STARTED,
    Claim,
    Stopped,
    conclude,
    prepare,
    refuse,
    relative_gap,
    wait,
    watched,
    whole_bound,
)
from kvopt.model import Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.solving import Answer


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the formulation aggregated by type."""
    return _solve(instance, monitor, aggregated)


def solve_indexed(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the formulation with a binary variable for each request and start."""
    return _solve(instance, monitor, indexed)


def _solve(instance: Instance, monitor: Monitor, formulate: Callable[[Instance, IntArray], Formulation]) -> Answer:
    model, hint = prepare(instance, monitor, formulate)
    try:
        problem, starts = build(model, monitor)
    except Stopped:
        return conclude(NOT_STARTED, model.decode, monitor, **model.size)
    if hint is not None:
        for variable, value in zip(starts, hint.tolist(), strict=True):
            problem.add_hint(variable, value)
    claim = run(problem, starts, monitor, model.decode)
    return conclude(claim, model.decode, monitor, **model.size)


def build(model: Formulation, monitor: Monitor) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """The model in CP-SAT's terms, and its start variables; raises Stopped when the monitor does not allow it."""
    problem = cp_model.CpModel()
    x = [problem.new_int_var(0, upper, "") for upper in watched(model.upper.tolist(), monitor)]
    for g, count in enumerate(model.count.tolist()):
        problem.add(cp_model.LinearExpr.sum(x[model.first[g] : model.first[g + 1]]) == count)
    for _, variables, tokens in watched(model.rounds(), monitor):
        held = cp_model.LinearExpr.weighted_sum([x[c] for c in variables.tolist()], tokens.tolist())
        problem.add(held <= model.instance.capacity)
    problem.minimize(cp_model.LinearExpr.weighted_sum(x, model.cost.tolist()))
    return problem, x


def run(
    problem: cp_model.CpModel,
    variables: Sequence[cp_model.IntVar],
    monitor: Monitor,
    decode: Callable[[npt.ArrayLike], IntArray],
) -> Claim:
    """Run CP-SAT in a thread, watched by the monitor; reproducible with one worker and no time limit."""
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = monitor.workers
    solver.parameters.random_seed = monitor.seed % 2**31
    solver.parameters.relative_gap_limit = relative_gap(monitor)
    solver.parameters.absolute_gap_limit = 0
    solver.parameters.catch_sigint_signal = False  # interrupts are the monitor's
    if monitor.time_limit_s is not None:
        solver.parameters.max_time_in_seconds = monitor.remaining_s
    improved = _Improved(variables, monitor, decode)

    def improve_bound(bound: float) -> None:
        whole = whole_bound(bound)
        if whole is not None:
            monitor.raise_bound(whole)

    solver.best_bound_callback = improve_bound
    ended: list[cp_model.CpSolverStatus | BaseException] = []

    def work() -> None:
        try:
            ended.append(solver.solve(problem, improved))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def finished(timeout_s: float) -> bool:
        thread.join(timeout_s)
        return not thread.is_alive()

    # CP-SAT always heeds a stop, if not always at once: there is nothing to kill.
    wait(monitor, finished, solver.stop_search, thread.join)
    if isinstance(ended[0], BaseException):
        raise ended[0]
    name = solver.status_name(ended[0])
    if ended[0] in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        values = np.array([solver.value(variable) for variable in variables], dtype=np.float64)
    elif ended[0] == cp_model.UNKNOWN:
        values = None
    else:
        raise refuse("CP-SAT", name)
    figures = {"branches": solver.num_branches, "conflicts": solver.num_conflicts}
    return Claim(name.lower(), values, solver.best_objective_bound, figures)


class _Improved(cp_model.CpSolverSolutionCallback):
    """Offers each improving solution to the monitor."""

    def __init__(
        self, variables: Sequence[cp_model.IntVar], monitor: Monitor, decode: Callable[[npt.ArrayLike], IntArray]
    ) -> None:
        super().__init__()
        self._variables, self._monitor, self._decode = variables, monitor, decode

    def on_solution_callback(self) -> None:
        self._monitor.offer(self._decode(np.array([self.value(variable) for variable in self._variables])))
