"""HiGHS and SCIP through MathOpt (OR-Tools) on the two time-indexed formulations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from kvopt.errors import SolverError
from kvopt.mip import worker
from kvopt.mip.formulation import Formulation, aggregated, indexed
from kvopt.mip.libraries import mathopt, model_pb2
from kvopt.mip.running import Claim, conclude, prepare, refuse, relative_gap
from kvopt.model import Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.solving import Answer

if TYPE_CHECKING:
    from ortools.util.python.solve_interrupter import SolveInterrupter

#: kvopt's name of a solver -> MathOpt's.
SOLVERS = {"highs": "HIGHS", "scip": "GSCIP"}


def solve_highs(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the formulation aggregated by type with HiGHS."""
    return _solve(instance, monitor, aggregated, "highs")


def solve_highs_indexed(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the formulation with a binary variable for each request and start with HiGHS."""
    return _solve(instance, monitor, indexed, "highs")


def solve_scip(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the formulation aggregated by type with SCIP."""
    return _solve(instance, monitor, aggregated, "scip")


def solve_scip_indexed(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the formulation with a binary variable for each request and start with SCIP."""
    return _solve(instance, monitor, indexed, "scip")


def _solve(
    instance: Instance,
    monitor: Monitor,
    formulate: Callable[[Instance, IntArray], Formulation],
    solver: str,
) -> Answer:
    model, hint = prepare(instance, monitor, formulate)
    limit_s = None if monitor.time_limit_s is None else monitor.remaining_s
    arguments = (model, hint, limit_s, relative_gap(monitor), monitor.seed % 2**31)
    claim = worker.call(monitor, solver, "kvopt.mip.mathopt:run", solver, *arguments)
    return conclude(claim, model.decode, monitor, **model.size)


def build(model: Formulation) -> mathopt.Model:
    """The model in MathOpt's terms: variables in order, rows of the groups, then of the rounds."""
    size, groups = len(model.group), len(model.count)
    row, variable, tokens = model.memory_rows()
    rounds, row = np.unique(row, return_inverse=True)
    proto = model_pb2.ModelProto()
    proto.variables.ids.extend(range(size))
    proto.variables.lower_bounds.extend(np.zeros(size))
    proto.variables.upper_bounds.extend(model.upper.astype(np.float64))
    proto.variables.integers.extend([True] * size)
    proto.objective.linear_coefficients.ids.extend(range(size))
    proto.objective.linear_coefficients.values.extend(model.cost.astype(np.float64))
    proto.linear_constraints.ids.extend(range(groups + len(rounds)))
    proto.linear_constraints.lower_bounds.extend(
        np.concatenate((model.count.astype(np.float64), np.full(len(rounds), -np.inf)))
    )
    proto.linear_constraints.upper_bounds.extend(
        np.concatenate((model.count, np.full(len(rounds), model.instance.capacity))).astype(np.float64)
    )
    matrix = proto.linear_constraint_matrix
    matrix.row_ids.extend(np.concatenate((model.group, groups + row)))
    matrix.column_ids.extend(np.concatenate((np.arange(size), variable)))
    matrix.coefficients.extend(np.concatenate((np.ones(size), tokens)))
    return mathopt.Model.from_model_proto(proto)


def run(
    interrupter: SolveInterrupter,
    solver: str,
    model: Formulation,
    hint: IntArray | None,
    limit_s: float | None,
    gap: float,
    seed: int,
) -> Claim:
    """Solve with gap 0 unless told otherwise (MathOpt's HiGHS stops at 1e-4 by default and says OPTIMAL).

    Runs in the process of `kvopt.mip.worker`. SCIP and HiGHS use one thread: MathOpt refuses to set HiGHS's
    number of threads.
    """
    problem = build(model)
    variables = list(problem.variables())
    parameters = mathopt.SolveParameters(
        time_limit=None if limit_s is None else timedelta(seconds=limit_s),
        relative_gap_tolerance=gap,
        absolute_gap_tolerance=0.0,
        random_seed=seed,
    )
    start = mathopt.ModelSolveParameters()
    if hint is not None:
        values = {variable: float(value) for variable, value in zip(variables, hint, strict=True)}
        start.solution_hints.append(mathopt.SolutionHint(variable_values=values))
    result = mathopt.solve(
        problem,
        mathopt.SolverType[SOLVERS[solver]],
        params=parameters,
        model_params=start,
        interrupter=interrupter,
    )
    reason = result.termination.reason
    name = reason.name.lower()
    Reason = mathopt.TerminationReason
    if reason in (Reason.INFEASIBLE, Reason.UNBOUNDED, Reason.INFEASIBLE_OR_UNBOUNDED):
        raise refuse(solver, name)
    if reason not in (Reason.OPTIMAL, Reason.FEASIBLE, Reason.NO_SOLUTION_FOUND):
        raise SolverError(f"{solver} failed: {name} ({result.termination.detail or 'no details'})")
    found = None
    if result.has_primal_feasible_solution():
        values = result.variable_values()
        found = np.array([values[variable] for variable in variables])
    limit = result.termination.limit
    status = name if limit is None else f"{name} ({limit.name.lower()} limit)"
    figures = {"nodes": result.solve_stats.node_count}
    return Claim(status, found, result.termination.objective_bounds.dual_bound, figures)
