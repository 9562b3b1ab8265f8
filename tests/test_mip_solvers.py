"""Every general solver: the optimum where it can, an honest answer where it is stopped."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from installed import where_installed
from strategies import instances

from kvopt import Instance, Status, solve
from kvopt.bounds import lower_bound
from kvopt.errors import SolverError
from kvopt.mip import worker
from kvopt.mip.formulation import aggregated
from kvopt.mip.pulp_cbc import build, run
from kvopt.mip.running import Claim, conclude, prepare
from kvopt.monitor import Monitor
from kvopt.solving import EXACT_SOLVERS

GENERAL = [name for name, home in EXACT_SOLVERS.items() if home.startswith("kvopt.mip.")]
AGGREGATED = ["cp-sat", "cp-sat-starts", "highs", "scip", "cbc", "didp"]
#: Nothing here proves its optimum within seconds.
HARD = Instance.from_rows(30, [(2, 13, 20), (3, 6, 20)])


@pytest.mark.parametrize("solver", where_installed(GENERAL))
@settings(max_examples=12)
@given(instance=instances(max_n=6, max_capacity=12, max_output=6, max_arrival=8))
def test_equals_brute_force(solver: str, instance: Instance) -> None:
    """Arrivals, prompt 0, equal and unequal prompts: the models differ, the optimum must not."""
    truth = solve(instance, "brute-force").total_latency
    result = solve(instance, solver, time_limit_s=60)
    assert (result.status, result.total_latency, result.lower_bound) == (Status.OPTIMAL, truth, truth)


@pytest.mark.parametrize("limit_s", [1e-4, 0.6])
@pytest.mark.parametrize("solver", where_installed(AGGREGATED))
def test_time_limit_gives_a_schedule_and_an_honest_bound(solver: str, limit_s: float) -> None:
    """A limit must never turn into a claim of optimality (PuLP's `status` says optimal even then)."""
    begun = time.perf_counter()
    result = solve(HARD, solver, time_limit_s=limit_s)
    assert time.perf_counter() - begun < limit_s + 6
    assert result.status == Status.FEASIBLE
    assert result.statistics["stopped_by"] == "time limit"
    assert 0 < lower_bound(HARD, "volume").value <= result.lower_bound < result.total_latency
    assert result.total_latency <= solve(HARD, "mc-sf").total_latency


@pytest.mark.parametrize("solver", ["cp-sat", "cp-sat-indexed", "cp-sat-starts", "cbc"])
def test_building_a_model_looks_at_the_clock(solver: str) -> None:
    """Models of a million coefficients take longer to build than a short limit allows."""
    rng = np.random.default_rng(0)
    instance = Instance(120, rng.integers(1, 6, 150), rng.integers(1, 30, 150))
    begun = time.process_time()
    result = solve(instance, solver, time_limit_s=0.05)
    assert time.process_time() - begun < 2
    assert result.statistics["solver_status"] == "not started"
    assert result.statistics["stopped_by"] == "time limit"
    assert result.certificate.kind == "volume"


@pytest.mark.parametrize(("claimed", "own"), [(None, None), (0.0, None), (float("-inf"), None), (743.2, 744)])
def test_a_weak_bound_is_replaced_and_named(claimed: float | None, own: int | None) -> None:
    """A reader must see which bound the solver had, and that the better one is kvopt's, with its certificate."""
    volume = lower_bound(HARD, "volume")
    answer = conclude(Claim("unknown", bound=claimed), lambda values: values, Monitor(HARD))
    assert (answer.lower_bound, answer.certificate) == (volume.value, volume.certificate)
    assert answer.statistics["solver_bound"] == own
    assert answer.statistics["bound_from"] == "kvopt, volume"


def test_a_good_bound_is_the_solvers() -> None:
    """Without a certificate, for the solver gives none."""
    answer = conclude(Claim("feasible", bound=3000.0), lambda values: values, Monitor(HARD))
    assert (answer.lower_bound, answer.certificate, answer.statistics["solver_bound"]) == (3000, None, 3000)
    assert "bound_from" not in answer.statistics
    killed = conclude(None, lambda values: values, Monitor(HARD))
    assert (killed.certificate.kind, killed.statistics["solver_bound"]) == ("volume", None)


@pytest.mark.parametrize("solver", where_installed(["cp-sat", "highs", "cbc", "didp"]))
def test_interrupt_ends_the_run_and_keeps_the_schedule(solver: str) -> None:
    """HiGHS ignores MathOpt's interrupts, so its process is killed; no process may be left behind."""
    monitor = Monitor(HARD)
    timer = threading.Timer(1.0, monitor.interrupt)
    timer.start()
    begun = time.perf_counter()
    result = solve(HARD, solver, monitor=monitor)
    assert 0.9 < time.perf_counter() - begun < 8
    assert result.status == Status.FEASIBLE
    assert result.statistics["stopped_by"] == "interrupted"
    assert not monitor.children


@pytest.mark.parametrize("solver", where_installed(["cp-sat", "scip", "cbc", "didp"]))
def test_memory_limit_ends_the_run(solver: str) -> None:
    """The process already uses more than the limit: the first look at the monitor must end the run."""
    result = solve(HARD, solver, memory_limit_gb=0.03)
    assert result.status == Status.FEASIBLE
    assert result.statistics["stopped_by"] == "memory limit"


@pytest.mark.parametrize("solver", where_installed(["cp-sat", "highs", "cbc", "didp"]))
def test_target_gap_is_the_gap_of_the_result(solver: str) -> None:
    """The solvers measure gaps against the schedule, kvopt against the bound, which is stricter."""
    instance = Instance.from_rows(34, [(2, 5, 4), (3, 17, 4)])
    result = solve(instance, solver, time_limit_s=30, target_gap=0.15)
    assert "stopped_by" not in result.statistics
    assert result.gap <= 0.15
    assert result.lower_bound <= solve(instance, "cp-sat-starts").lower_bound <= result.total_latency


def test_one_worker_and_a_seed_reproduce_the_schedule() -> None:
    """Whoever quotes a schedule of CP-SAT can get it again."""
    instance = Instance.from_rows(20, [(1, 5, 3), (2, 9, 3), (0, 3, 2)])
    runs = [solve(instance, "cp-sat", workers=1, seed=7) for _ in range(2)]
    assert runs[0].schedule.starts.tolist() == runs[1].schedule.starts.tolist()
    assert runs[0].statistics["branches"] == runs[1].statistics["branches"]


def test_cbc_without_a_solution_claims_none() -> None:
    """PuLP leaves values of the relaxation in the variables when CBC found no solution."""
    monitor = Monitor(HARD, time_limit_s=60)
    model, _ = prepare(HARD, monitor, aggregated)
    problem, starts = build(model, Monitor(model.instance))
    monitor.time_limit_s = monitor.elapsed_s + 0.02
    claim = run(problem, starts, False, monitor)
    assert claim is None or claim.values is None or claim.status == "solution found"
    if claim is not None and claim.values is not None:
        assert claim.bound < model.cost @ claim.values


def test_a_crash_of_the_solver_is_an_error_and_the_next_run_works() -> None:
    """Native code that dies must not take the caller with it."""
    instance = Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])
    solve(instance, "highs")
    victim = worker._idle[os.getpid()][-1]
    victim.process.kill()
    victim.process.wait()
    with pytest.raises(SolverError, match="the process of scip ended with exit code -9"):
        solve(instance, "scip")
    assert solve(instance, "scip").total_latency == 12
