"""What is known about the problem (docs/problem.md): each row of its tables, recomputed."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest

from kvopt import Instance, Schedule, solve
from kvopt.verify import schedule_violations, verify

#: prompt, capacity, outputs, shortest-first, optimum, starts of an optimal schedule.
COUNTEREXAMPLES = [
    (1, 5, (1, 1, 3, 3), 13, 12, (0, 1, 0, 3)),
    (2, 8, (1, 1, 3, 3), 12, 11, (0, 1, 0, 2)),
    (0, 4, (2, 2, 3, 3), 16, 15, (0, 1, 1, 3)),
    (1, 6, (2, 2, 3, 3), 16, 15, (0, 2, 0, 3)),
    (1, 9, (3, 3, 3, 3, 3), 27, 25, (0, 1, 2, 3, 4)),
    (0, 6, (3, 3, 3, 3, 3), 27, 25, (0, 1, 2, 3, 4)),
    (1, 7, (1, 1, 1, 2, 2, 2), 14, 13, (0, 0, 1, 0, 1, 2)),
    (2, 10, (2, 2, 3, 3, 3), 22, 21, (0, 2, 0, 3, 3)),
    (0, 12, (3, 3, 3, 3, 6, 6, 6), 45, 39, None),
]


@pytest.mark.parametrize(("prompt", "capacity", "outputs", "greedy", "best", "starts"), COUNTEREXAMPLES)
@pytest.mark.parametrize("solver", ["dp", "dp-reference", "brute-force"])
def test_shortest_first_is_not_optimal(solver, prompt, capacity, outputs, greedy, best, starts) -> None:
    """Fact 1: the optimum of each counterexample, by three independent methods."""
    instance = Instance(capacity=capacity, prompt=[prompt] * len(outputs), output=outputs)
    assert solve(instance, "mc-sf").total_latency == greedy
    assert solve(instance, solver).total_latency == best
    if starts is not None:
        assert not schedule_violations(capacity, instance.prompt.tolist(), list(outputs), [0] * len(outputs), starts)
        assert Schedule(instance, starts).total_latency == best


def test_no_counterexample_with_two_requests() -> None:
    """Fact 1: with few requests of a common prompt, shortest-first is optimal (the small end, exhaustively)."""
    for capacity in range(2, 9):
        for prompt in range(capacity):
            for outputs in combinations_with_replacement(range(1, capacity - prompt + 1), 2):
                instance = Instance(capacity=capacity, prompt=[prompt] * 2, output=outputs)
                assert solve(instance, "mc-sf").total_latency == solve(instance, "brute-force").total_latency


def test_the_long_request_first() -> None:
    """Fact 3: here every optimal schedule completes a long request before a shorter one."""
    instance = Instance(capacity=6, prompt=[1] * 4, output=[2, 2, 3, 3])
    best = solve(instance, "dp")
    assert verify(best).optimal
    completions = best.schedule.completions
    assert completions[2:].min() < completions[:2].max()


def test_identical_requests_are_staggered_by_the_optimum() -> None:
    """Fact 4: with M = vol(s, o), one start a round is feasible and optimal for few identical requests."""
    for prompt, output, n in [(0, 3, 6), (1, 3, 6), (2, 4, 7)]:
        volume = prompt * output + output * (output + 1) // 2
        result = solve(Instance.from_rows(volume, [(prompt, output, n)]), "dp")
        assert verify(result).optimal
        assert result.total_latency <= sum(j + output for j in range(n))
