"""List policies against a round-by-round simulation and the published values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance, Schedule
from kvopt.policies.backlog import list_schedule
from kvopt.solving import solve
from kvopt.verify import schedule_violations

#: prompt, capacity, outputs, total latency of shortest-first (computed, docs of the counterexamples).
SHORTEST_FIRST = [
    (1, 5, [1, 1, 3, 3], 13),
    (2, 8, [1, 1, 3, 3], 12),
    (0, 4, [2, 2, 3, 3], 16),
    (1, 6, [2, 2, 3, 3], 16),
    (1, 9, [3, 3, 3, 3, 3], 27),
    (0, 6, [3, 3, 3, 3, 3], 27),
    (1, 7, [1, 1, 1, 2, 2, 2], 14),
    (2, 10, [2, 2, 3, 3, 3], 22),
    (0, 12, [3, 3, 3, 3, 6, 6, 6], 45),
]


@st.composite
def instances(draw, max_n=8, max_arrival=6):
    """Small instances with unequal prompts and arrivals."""
    capacity = draw(st.integers(2, 14))
    n = draw(st.integers(1, max_n))
    output = draw(st.lists(st.integers(1, capacity), min_size=n, max_size=n))
    prompt = [draw(st.integers(0, capacity - o)) for o in output]
    arrival = draw(st.lists(st.integers(0, max_arrival), min_size=n, max_size=n))
    return Instance(capacity, prompt, output, arrival)


def by_rounds(instance: Instance, order: list[int]) -> list[int]:
    """The list policy as its definition reads, one round after the other."""
    starts: dict[int, int] = {}
    round_ = 0
    while len(starts) < instance.n:
        for i in order:
            if i in starts or instance.arrival[i] > round_:
                continue
            trial = {**starts, i: round_}
            chosen = list(trial)
            if schedule_violations(
                instance.capacity,
                instance.prompt[chosen].tolist(),
                instance.output[chosen].tolist(),
                [0] * len(chosen),
                list(trial.values()),
            ):
                break
            starts = trial
        round_ += 1
    return [starts[i] for i in range(instance.n)]


@settings(deadline=None)
@given(instances())
def test_list_schedule_is_the_rule(instance):
    """The event-based kernel starts every request in the round in which the plain rule does."""
    for key in (instance.arrival, instance.output, instance.volume, -instance.output):
        order = np.argsort(key, kind="stable")
        assert list_schedule(instance, order).tolist() == by_rounds(instance, order.tolist())


@pytest.mark.parametrize(("prompt", "capacity", "outputs", "value"), SHORTEST_FIRST)
def test_mc_sf_values_of_the_counterexamples(prompt, capacity, outputs, value):
    """The instances that refute shortest-first need its exact value beside the optimum."""
    assert solve(Instance(capacity, [prompt] * len(outputs), outputs), "mc-sf").total_latency == value


def test_mc_sf_synchronises_identical_requests():
    """A thousand identical requests: shortest-first starts them ten at a time and pays almost twice the optimum."""
    assert solve(Instance(190, [0] * 1000, [19] * 1000), "mc-sf").total_latency == 959_500


@pytest.mark.parametrize(("policy", "key"), [("fcfs", "arrival"), ("mc-sf", "output"), ("svf", "volume")])
def test_solvers_use_their_order(policy, key):
    """Each name stands for its own priority, ties by index."""
    instance = Instance(60, [3, 30, 1, 1, 9, 2], [9, 2, 40, 9, 4, 9], [4, 3, 2, 1, 0, 0])
    expected = list_schedule(instance, np.argsort(getattr(instance, key), kind="stable"))
    assert solve(instance, policy).schedule.starts.tolist() == expected.tolist()


def test_long_horizon_and_large_capacity():
    """Rounds and tokens cost nothing: a horizon above 10^7 rounds, and everything at once, end at once."""
    rng = np.random.default_rng(1)
    output = rng.integers(10_000, 60_000, 600)
    slow = Instance(70_000, rng.integers(0, 10_000, 600), output)
    plan = solve(slow, "svf").schedule
    assert plan.makespan > 10_000_000
    at_once = Instance(2**31 - 1, [1000] * 20_000, rng.integers(1, 2000, 20_000))
    assert Schedule(at_once, list_schedule(at_once, np.arange(20_000))).makespan == at_once.output.max()
