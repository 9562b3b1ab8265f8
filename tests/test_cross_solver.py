"""One test for every exact method: a new one joins with its name in the list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from installed import where_installed
from strategies import instances

from kvopt import Instance, Status, solve
from kvopt.solving import EXACT_SOLVERS


@pytest.mark.parametrize("solver", where_installed(name for name in EXACT_SOLVERS if name != "brute-force"))
@settings(max_examples=15)
@given(instance=instances(max_n=4, max_capacity=8, max_output=4, max_arrival=4))
def test_every_exact_method_finds_the_optimum(solver: str, instance: Instance) -> None:
    """Brute force is the judge; each method must claim exactly its value as optimum and bound."""
    truth = solve(instance, "brute-force").total_latency
    result = solve(instance, solver, time_limit_s=60, workers=1)
    assert (result.status, result.total_latency, result.lower_bound) == (Status.OPTIMAL, truth, truth)
