"""CBC through PuLP on the two time-indexed formulations, and their export as LP or MPS files.

PuLP writes the model and reads the solution; its CBC is run here, since PuLP offers neither the dual bound
(it stands in the log only) nor a way to stop a run.
"""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kvopt.errors import SolverError, UnknownNameError
from kvopt.mip.formulation import Formulation, aggregated, indexed
from kvopt.mip.libraries import pulp
from kvopt.mip.running import NOT_STARTED, Claim, Stopped, conclude, prepare, refuse, relative_gap, wait, watched
from kvopt.model import Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.solving import Answer

#: Seconds that PuLP needs to write a model, for each second it took to build it.
WRITING_SHARE = 2.0
#: Name of a formulation -> function that makes it.
FORMULATIONS: dict[str, Callable[[Instance, IntArray], Formulation]] = {"aggregated": aggregated, "indexed": indexed}


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the formulation aggregated by type."""
    return _solve(instance, monitor, aggregated)


def solve_indexed(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the formulation with a binary variable for each request and start."""
    return _solve(instance, monitor, indexed)


def _solve(instance: Instance, monitor: Monitor, formulate: Callable[[Instance, IntArray], Formulation]) -> Answer:
    model, hint = prepare(instance, monitor, formulate)
    begun_s = monitor.elapsed_s
    try:
        problem, starts = build(model, monitor)
        if monitor.remaining_s < WRITING_SHARE * (monitor.elapsed_s - begun_s):
            raise Stopped
    except Stopped:
        return conclude(NOT_STARTED, model.decode, monitor, **model.size)
    if hint is not None:
        for variable, value in zip(starts, hint.tolist(), strict=True):
            variable.setInitialValue(value)
    claim = run(problem, starts, hint is not None, monitor)
    return conclude(claim, model.decode, monitor, **model.size)


def build(model: Formulation, monitor: Monitor) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    """The model in PuLP's terms, and its start variables ``x_group_start``; raises Stopped as `watched` does."""
    problem = pulp.LpProblem("kvopt", pulp.LpMinimize)
    x = [
        problem.add_variable(f"x_{g}_{p}", 0, upper, cat=pulp.LpInteger)
        for g, p, upper in watched(
            zip(model.group.tolist(), model.start.tolist(), model.upper.tolist(), strict=True), monitor
        )
    ]
    problem += pulp.LpAffineExpression(list(zip(x, model.cost.tolist(), strict=True)))
    for g, count in enumerate(model.count.tolist()):
        problem += pulp.lpSum(x[model.first[g] : model.first[g + 1]]) == count, f"starts_{g}"
    for t, variables, tokens in watched(model.rounds(), monitor):
        held = pulp.LpAffineExpression([(x[c], k) for c, k in zip(variables.tolist(), tokens.tolist(), strict=True)])
        problem += held <= model.instance.capacity, f"memory_{t}"
    return problem, x


def run(problem: pulp.LpProblem, variables: list[pulp.LpVariable], warm: bool, monitor: Monitor) -> Claim | None:
    """Run CBC, watched by the monitor; an interrupt makes it write what it has, None if it had to be killed."""
    solver = pulp.COIN_CMD(path=pulp.PULP_CBC_CMD.pulp_cbc_path)
    with tempfile.TemporaryDirectory() as folder:
        model, start, solution, log = (str(Path(folder, name)) for name in ("m.mps", "m.mst", "m.sol", "cbc.log"))
        columns, names, rows, _ = problem.writeMPS(model, rename=True)
        command = [solver.path, model]
        if warm:
            solver.writesol(start, problem, columns, names, rows)
            command += ["-mips", start]
        if monitor.time_limit_s is not None:
            command += ["-timeMode", "elapsed", "-sec", str(max(monitor.remaining_s, 0.01))]
        command += ["-ratio", str(relative_gap(monitor)), "-allow", "0", "-threads", str(monitor.workers)]
        command += ["-randomCbcSeed", str(monitor.seed % 2**31)]
        command += ["-solve", "-printingOptions", "all", "-solution", solution]
        with open(log, "w") as output:
            # A session of its own: Ctrl-C in a terminal must not reach it before the monitor asks it to stop.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
            monitor.children.add(process.pid)

            def finished(timeout_s: float) -> bool:
                try:
                    process.wait(timeout_s)
                except subprocess.TimeoutExpired:
                    return False
                return True

            try:
                came_back = wait(monitor, finished, lambda: process.send_signal(signal.SIGINT), process.kill)
            finally:
                process.wait()
                monitor.children.discard(process.pid)
        if not came_back:
            return None
        text = Path(log).read_text(errors="replace")
        if process.returncode != 0 or not Path(solution).exists():
            raise SolverError(f"CBC ended with exit code {process.returncode}: {text[-300:].strip()}")
        status, values, _, _, _, ending = solver.readsol_MPS(solution, problem, columns, names, rows)
    # PuLP's `status` says optimal at a time limit too; and where there is no solution, the values are the relaxation's.
    name = pulp.LpSolution[ending].lower()
    if status == pulp.LpStatusInfeasible and not monitor.stopped:
        raise refuse("CBC", name)  # out of time in its preprocessing, it says infeasible too
    if ending not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return Claim(name, None, bound_in(text))
    found = np.array([values[variable.name] for variable in variables])
    bound = bound_in(text)
    if bound is None and ending == pulp.LpSolutionOptimal:
        bound = sum(coefficient * values[variable.name] for variable, coefficient in problem.objective.items())
    return Claim(name, found, bound)


def bound_in(log: str) -> float | None:
    """The dual bound at the end of CBC's log, which names it only if it is below the solution's value.

    >>> bound_in("Result - Stopped on time limit\\n\\nLower bound:                    1915.652\\n")
    1915.652
    """
    match = re.search(r"^Lower bound:\s+(\S+)$", log, re.MULTILINE)
    return None if match is None else float(match[1])


def export(instance: Instance, format: str, formulation: str = "aggregated") -> bytes:
    """The integer programme of an instance as a file for other solvers.

    Parameters
    ----------
    instance : Instance
    format : str
        ``lp`` (CPLEX LP) or ``mps`` (free MPS).
    formulation : str
        ``aggregated`` or ``indexed``; variable ``x_g_p`` is the number of starts of group g in round p. Groups are
        types (sorted by prompt, output, arrival) or requests. Starts that are in no optimal schedule are left out.

    Returns
    -------
    bytes

    Raises
    ------
    UnknownNameError
        For another format or formulation.
    TooLargeError
        If the model is too large.
    """
    if format not in ("lp", "mps"):
        raise UnknownNameError("format", format, ["lp", "mps"])
    if formulation not in FORMULATIONS:
        raise UnknownNameError("formulation", formulation, list(FORMULATIONS))
    model, _ = prepare(instance, Monitor(instance), FORMULATIONS[formulation])
    problem, _ = build(model, Monitor(instance))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"model.{format}")
        (problem.writeLP if format == "lp" else problem.writeMPS)(str(path))
        return path.read_bytes()
