"""One way into every method: run it under limits, verify what it returns, and only then call it a result."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kvopt import verify
from kvopt.arguments import instance_of
from kvopt.compiling import compiling_apart
from kvopt.errors import SolverError, UnknownNameError
from kvopt.model import Certificate, Instance, IntArray, Result, Schedule, Status
from kvopt.monitor import Monitor, ProgressCallback
from kvopt.versions import versions


@dataclass(frozen=True)
class Answer:
    """What a solver hands back; its schedules went to the monitor.

    Attributes
    ----------
    lower_bound : int or None
        Proven or claimed by the solver.
    certificate : Certificate or None
        Evidence for exactly `lower_bound`.
    statistics : mapping
        JSON-ready figures about the run.
    infeasible : bool
        The solver claims that no schedule exists (never true for a valid instance).
    """

    lower_bound: int | None = None
    certificate: Certificate | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    infeasible: bool = False


#: A solver: reads the instance, obeys the monitor, offers schedules to it, returns its bound.
Solver = Callable[[Instance, Monitor], Answer]

#: name -> "module:function", loaded when first used so that `import kvopt` stays light.
EXACT_SOLVERS: dict[str, str] = {
    "dp": "kvopt.exact.dp:solve",
    "starts": "kvopt.exact.starts:solve",
    "dp-reference": "kvopt.exact.reference:solve",
    "brute-force": "kvopt.exact.brute_force:solve",
    "cp-sat": "kvopt.mip.cp_sat:solve",
    "cp-sat-indexed": "kvopt.mip.cp_sat:solve_indexed",
    "cp-sat-starts": "kvopt.mip.cp_sat_starts:solve",
    "highs": "kvopt.mip.mathopt:solve_highs",
    "highs-indexed": "kvopt.mip.mathopt:solve_highs_indexed",
    "scip": "kvopt.mip.mathopt:solve_scip",
    "scip-indexed": "kvopt.mip.mathopt:solve_scip_indexed",
    "cbc": "kvopt.mip.pulp_cbc:solve",
    "cbc-indexed": "kvopt.mip.pulp_cbc:solve_indexed",
    "didp": "kvopt.mip.didp:solve",
}
HEURISTIC_SOLVERS: dict[str, str] = {
    "mc-sf": "kvopt.policies.backlog:solve_mc_sf",
    "svf": "kvopt.policies.backlog:solve_svf",
    "fcfs": "kvopt.policies.backlog:solve_fcfs",
    "sorted-f": "kvopt.policies.known:solve_sorted_f",
    "gba": "kvopt.policies.known:solve_gba",
    "ordered-dp": "kvopt.exact.ordered:solve",
    "prices": "kvopt.large.prices:solve",
}
SOLVERS: dict[str, str] = {"auto": "kvopt.auto:solve", **EXACT_SOLVERS, **HEURISTIC_SOLVERS}


def load_solver(name: str) -> Solver:
    """The solver function of that name.

    Raises
    ------
    UnknownNameError
        If there is none; the message lists the names.
    """
    if not isinstance(name, str) or name not in SOLVERS:
        raise UnknownNameError("solver", name, list(SOLVERS))
    module, function = SOLVERS[name].split(":")
    return getattr(importlib.import_module(module), function)


def solve(
    instance: Instance,
    solver: str = "auto",
    *,
    time_limit_s: float | None = None,
    memory_limit_gb: float | None = None,
    target_gap: float = 0.0,
    seed: int = 0,
    workers: int = 2,
    on_progress: ProgressCallback | None = None,
    monitor: Monitor | None = None,
) -> Result:
    """Solve an instance and return the verified result.

    Parameters
    ----------
    instance : Instance
    solver : str
        ``auto``, an exact method (``dp``, ``cp-sat``, ``highs``, ``scip``, ``cbc``, ``brute-force``)
        or a policy (``mc-sf``, ``svf``, ``fcfs``, ...); see `SOLVERS`.
    time_limit_s, memory_limit_gb, target_gap, seed, workers, on_progress
        See `kvopt.monitor.Monitor`.
    monitor : Monitor, optional
        A monitor made by the caller (who may interrupt it); then the limits are those of the monitor.

    Returns
    -------
    Result
        With the best schedule found and the lower bound, also after a limit or an interrupt.

    Raises
    ------
    UnknownNameError
        If `solver` is not known.
    ArgumentError
        If another argument is of the wrong type or out of range.
    SolverError
        If the solver fails, or what it returns does not pass verification.

    Examples
    --------
    >>> result = solve(Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3]), "brute-force")
    >>> result.status.value, result.total_latency
    ('optimal', 12)
    """
    instance_of("instance", instance, Instance)
    run = load_solver(solver)
    if monitor is not None:
        instance_of("monitor", monitor, Monitor)
    else:
        monitor = Monitor(
            instance,
            time_limit_s=time_limit_s,
            memory_limit_gb=memory_limit_gb,
            target_gap=target_gap,
            seed=seed,
            workers=workers,
            on_progress=on_progress,
        )
    try:
        with compiling_apart(monitor):
            answer = run(instance, monitor)
    except KeyboardInterrupt:
        # Native solvers may raise it before they look at the monitor; what was offered is kept.
        monitor.interrupt()
        answer = Answer()
    return build_result(instance, solver, monitor, answer)


def build_result(instance: Instance, solver: str, monitor: Monitor, answer: Answer) -> Result:
    """The verified `Result` of a run; raises SolverError where a claim does not hold."""
    statistics: dict[str, Any] = {"runtime_s": round(monitor.elapsed_s, 4)}
    if monitor.paused_s > 0:
        statistics["compile_s"] = round(monitor.paused_s, 4)
    if monitor.stop_reason is not None:
        statistics["stopped_by"] = monitor.stop_reason
    statistics |= answer.statistics
    if len(monitor.trajectory) > 1:
        statistics["trajectory"] = monitor.trajectory
    limits = {
        "time_limit_s": monitor.time_limit_s,
        "memory_limit_gb": monitor.memory_limit_gb,
        "target_gap": monitor.target_gap,
        "seed": monitor.seed,
        "workers": monitor.workers,
    }
    schedule = None
    if monitor.best_starts is not None:
        schedule = checked_schedule(instance, monitor.best_starts, solver)
        if answer.lower_bound is not None and answer.lower_bound > schedule.total_latency:
            raise SolverError(
                f"{solver} claims the lower bound {answer.lower_bound}, yet found a schedule "
                f"with total latency {schedule.total_latency}"
            )
    if schedule is not None:
        optimal = answer.lower_bound == schedule.total_latency
        status = Status.OPTIMAL if optimal else Status.FEASIBLE
    else:
        status = Status.INFEASIBLE if answer.infeasible else Status.UNKNOWN
    return Result(
        instance=instance,
        solver=solver,
        status=status,
        schedule=schedule,
        lower_bound=answer.lower_bound,
        certificate=answer.certificate,
        limits={key: value for key, value in limits.items() if value is not None},
        statistics=statistics,
        versions=versions(),
    )


def checked_schedule(instance: Instance, starts: IntArray, solver: str) -> Schedule:
    """The schedule with these starts; raises SolverError when it breaks a rule."""
    violations = verify.schedule_violations(
        instance.capacity,
        instance.prompt.tolist(),
        instance.output.tolist(),
        instance.arrival.tolist(),
        starts.tolist(),
    )
    if violations:
        raise SolverError(f"{solver} returned a schedule that is not feasible: {violations[0]}")
    return Schedule(instance, starts)
