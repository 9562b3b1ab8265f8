"""The formulations as data: which starts they allow, their linear relaxations, coding and decoding of schedules."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve, verify
from kvopt.errors import InputError, SolverError, TooLargeError
from kvopt.mip.formulation import aggregated, indexed
from kvopt.mip.horizon import latest_starts
from kvopt.mip.libraries import mathopt
from kvopt.mip.lp import priced_bound, time_indexed_lp
from kvopt.mip.mathopt import build
from kvopt.mip.running import prepare
from kvopt.model import Schedule
from kvopt.monitor import Monitor


def optimal_schedules(instance: Instance) -> tuple[int, list[tuple[int, ...]]]:
    """The optimum and all schedules that attain it, by listing every tuple of starts."""
    prompt, output, arrival = (c.tolist() for c in (instance.prompt, instance.output, instance.arrival))
    last = max(arrival) + sum(output)
    best, found = None, []
    for starts in product(*(range(a, last + 1) for a in arrival)):
        value = verify.total_latency(output, arrival, starts)
        if (best is None or value <= best) and not verify.schedule_violations(
            instance.capacity, prompt, output, arrival, starts
        ):
            found = [*found, starts] if value == best else [starts]
            best = value
    assert best is not None
    return best, found


@settings(max_examples=40)
@given(instance=instances(max_n=3, max_capacity=9, max_output=4, max_arrival=5), slack=st.integers(0, 3))
def test_no_optimal_schedule_starts_later_than_allowed(instance: Instance, slack: int) -> None:
    """The three arguments for the horizon would otherwise make a model's bound wrong without notice."""
    best, schedules = optimal_schedules(instance)
    latest = latest_starts(instance, best + slack)
    assert all((np.array(starts) <= latest).all() for starts in schedules)


@pytest.mark.parametrize("formulate", [aggregated, indexed])
@given(instance=instances(max_n=6))
def test_schedules_survive_encoding(formulate, instance: Instance) -> None:
    """A warm start must be the same schedule inside the model; equal requests may change places."""
    model, _ = prepare(instance, Monitor(instance), formulate)
    starts = solve(instance, "mc-sf").schedule.starts
    values = model.encode(starts)
    if values is None:
        assert any(starts[m].max() > last for m, last in zip(model.members, model.latest, strict=True))
        return
    decoded = Schedule(instance, model.decode(values))
    assert decoded.total_latency == int(values @ model.cost) == Schedule(instance, starts).total_latency
    row, variable, tokens = model.memory_rows()
    held = np.bincount(row, weights=tokens * values[variable], minlength=decoded.makespan)[: decoded.makespan]
    assert held.tolist() == Schedule(instance, starts).memory.tolist()


@pytest.mark.parametrize("change", [0.5, 1, -1])
def test_decoding_refuses_what_is_no_schedule(change: float) -> None:
    """Fractional values and a wrong number of starts come from relaxations and broken solvers."""
    instance = Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])
    model = aggregated(instance, np.array([3, 3, 4, 4]))
    values = model.encode(np.array([0, 1, 0, 3])).astype(float)
    values[0] += change
    with pytest.raises(SolverError):
        model.decode(values)


@settings(max_examples=40)
@given(instance=instances(max_n=6))
def test_linear_programme_is_the_relaxation_of_the_published_one(instance: Instance) -> None:
    """Telescoped memory rows and a shortened horizon must not change the value; its prices must attain it."""
    best = solve(instance, "svf").total_latency
    horizon = int((latest_starts(instance, best) + instance.output).max()) + 3
    value, prices = time_indexed_lp(instance, horizon)
    problem = build(indexed(instance, horizon - instance.output))
    for variable in problem.variables():
        variable.integer = False
    plain = mathopt.solve(problem, mathopt.SolverType.GLOP).objective_value()
    assert value == pytest.approx(plain, abs=1e-6)
    assert prices.shape == (horizon,)
    assert prices.min() >= 0
    assert priced_bound(instance, prices) == pytest.approx(value, abs=1e-6)
    assert value <= best + 1e-6


def test_linear_programme_needs_a_long_enough_horizon() -> None:
    """Two requests that fill the memory one after the other do not end by round 3."""
    instance = Instance(capacity=3, prompt=[1, 1], output=[2, 2])
    with pytest.raises(InputError, match="horizon of 2 rounds"):
        time_indexed_lp(instance, 2)
    assert time_indexed_lp(instance, 4).value <= solve(instance, "brute-force").total_latency


def test_long_outputs_are_refused_with_the_size_of_the_model() -> None:
    """A horizon of millions of rounds must not end in a machine without memory."""
    instance = Instance(capacity=10**7, prompt=[1] * 3, output=[9 * 10**6, 8 * 10**6, 7 * 10**6])
    with pytest.raises(TooLargeError, match=r"\d\d,\d{3},\d{3} variables"):
        solve(instance, "cp-sat")
    middle = Instance(capacity=10_000, prompt=[1] * 6, output=[5_000, 6_000, 7_000, 8_000, 9_000, 4_000])
    with pytest.raises(TooLargeError, match=r"coefficients in [\d,]+ rounds; it would need about"):
        solve(middle, "highs", memory_limit_gb=1.0)
    assert solve(middle, "cp-sat-starts", time_limit_s=20).status == "optimal"
