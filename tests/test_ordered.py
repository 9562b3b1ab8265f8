"""The order-restricted dynamic programme against enumeration of all waiting patterns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance
from kvopt.exact.ordered import best_waits
from kvopt.monitor import Monitor
from kvopt.solving import solve
from kvopt.verify import schedule_violations


@st.composite
def instances(draw):
    """Up to five requests with unequal prompts, half of the time with arrivals."""
    capacity = draw(st.integers(2, 12))
    n = draw(st.integers(1, 5))
    output = draw(st.lists(st.integers(1, min(capacity, 5)), min_size=n, max_size=n))
    prompt = [draw(st.integers(0, capacity - o)) for o in output]
    latest = draw(st.sampled_from([0, 7]))
    arrival = draw(st.lists(st.integers(0, latest), min_size=n, max_size=n))
    return Instance(capacity, prompt, output, arrival)


def best_by_enumeration(instance: Instance, order: list[int]) -> int:
    """Smallest sum of starts over all schedules whose starts follow the order."""
    prompt, output = instance.prompt.tolist(), instance.output.tolist()
    arrival = instance.arrival.tolist()
    best = [instance.n * (max(arrival) + sum(output))]

    def extend(starts: list[int]) -> None:
        k = len(starts)
        if k == instance.n:
            best[0] = min(best[0], sum(starts))
            return
        i, placed = order[k], order[:k]
        p = max(arrival[i], starts[-1] if k else 0)
        while sum(starts) + p * (instance.n - k) < best[0]:
            rows = [*placed, i]
            plan = [*starts, p]
            if not schedule_violations(
                instance.capacity, [prompt[j] for j in rows], [output[j] for j in rows], [0] * (k + 1), plan
            ):
                extend(plan)
            p += 1

    extend([])
    return best[0]


@settings(deadline=None, max_examples=150)
@given(instances(), st.randoms(use_true_random=False))
def test_equals_enumeration(instance, random):
    """Gap rule, merging and time-shift dominance must not lose the best waiting pattern of any order."""
    order = list(range(instance.n))
    random.shuffle(order)
    found = best_waits(instance, np.array(order), Monitor(instance))
    assert found.exact
    assert found.starts.sum() == best_by_enumeration(instance, order)
    assert (np.diff(found.starts[order]) >= 0).all()


@pytest.mark.parametrize(("output", "n"), [(3, 12), (5, 12), (7, 60)])
def test_staggers_identical_requests(output, n):
    """With M = volume the one-per-round pattern is optimal, which no list policy finds."""
    result = solve(Instance(output * (output + 1) // 2, [0] * n, [output] * n), "ordered-dp")
    assert result.total_latency == sum(range(n)) + n * output
    assert result.statistics["exact_for_order"]


def test_never_worse_than_shortest_first_within_limits():
    """A run cut short by its time limit still returns a schedule at least as good as mc-sf."""
    rng = np.random.default_rng(5)
    instance = Instance(3000, rng.integers(0, 500, 60), rng.integers(1, 500, 60), rng.integers(0, 100, 60))
    result = solve(instance, "ordered-dp", time_limit_s=0.5, memory_limit_gb=2)
    assert result.total_latency <= solve(instance, "mc-sf").total_latency
    assert result.runtime_s < 5
