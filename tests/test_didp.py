"""CABS on the round-by-round programme: its statement, its bounds, its limits."""

from __future__ import annotations

import threading
import time
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from strategies import instances

from kvopt import Instance, Status, read, solve
from kvopt.errors import InputError, TooLargeError
from kvopt.monitor import Monitor

dp = pytest.importorskip("didppy", reason="didppy is not installed")

from kvopt.mip import didp  # noqa: E402

SMALL = Instance.from_rows(34, [(2, 5, 4), (3, 17, 4)])


@pytest.mark.parametrize("most", [didp.MAX_NUMBER, 300])
@settings(max_examples=20, deadline=None)
@given(instance=instances(max_n=4, max_capacity=12, max_output=6, max_arrival=5))
def test_dual_bounds_never_exceed_the_cost_to_go(most: int, instance: Instance) -> None:
    """CABS believes them, also where large volumes make units coarse. The idle worker costs least to go from."""
    types = instance.types
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(didp, "MAX_NUMBER", most)
        model = didp.build(types, instance.capacity)
    state = model.target_state
    last = int(types.arrival.max())
    for t, left in product(range(last + 1), product(*(range(c + 1) for c in types.count.tolist()))):
        if any(left):
            for k, c in enumerate(left):
                state[model.get_int_var(f"left_{k}")] = c
            if last:
                state[model.get_int_var("round")] = t
            arrival = (types.arrival - t).clip(0).tolist()
            rows = zip(types.prompt.tolist(), types.output.tolist(), left, arrival, strict=True)
            cost = solve(Instance.from_rows(instance.capacity, list(rows)), "dp-reference").total_latency
            assert model.eval_dual_bound(state) <= cost


@pytest.mark.parametrize("threads", [1, 2])
def test_the_schedule_of_a_path_costs_what_cabs_says(threads: int) -> None:
    """The path is read back into starts; a slip there would show as another total latency."""
    claims = list(didp.run(None, SMALL, 10_000, time.time() + 20, 0.0, threads))
    assert claims[-1].status == "optimal"
    latency = int((claims[-1].values + SMALL.output).sum())
    assert latency == claims[-1].bound == solve(SMALL, "dp").total_latency


def test_what_cabs_found_survives_its_end() -> None:
    """CABS cannot be interrupted, only killed: its schedules and bounds have to reach the monitor before."""
    hard = read(Path(__file__).parent.parent / "instances/types/types-k3-n020-1.json")
    monitor = Monitor(hard, workers=1)
    timer = threading.Timer(1.5, monitor.interrupt)
    timer.start()
    result = solve(hard, "didp", monitor=monitor)
    assert (result.status, result.statistics["solver_status"]) == (Status.FEASIBLE, "killed")
    assert result.total_latency < solve(hard, "mc-sf").total_latency
    assert result.lower_bound <= solve(hard, "dp").total_latency


def test_at_a_time_limit_cabs_has_the_last_word() -> None:
    """It knows the limit itself; its last bound, better than that of its last schedule, must not be lost."""
    hard = read(Path(__file__).parent.parent / "instances/types/types-k3-n020-1.json")
    result = solve(hard, "didp", time_limit_s=3, workers=1)
    assert (result.status, result.statistics["solver_status"]) == (Status.FEASIBLE, "feasible")
    assert result.statistics["stopped_by"] == "time limit"
    assert result.statistics["expanded"] > 0


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """didppy is optional."""
    monkeypatch.setattr(didp, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'kvopt\[didp\]'"):
        solve(SMALL, "didp")


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        (Instance(300_000, [1], [250_000]), "types times the longest output are 250,000"),
        (Instance.from_rows(10_000, [(1, 9_000, 400)]), "a total latency may reach 1,440,000,000"),
    ],
)
def test_what_does_not_fit_is_refused(instance: Instance, message: str) -> None:
    """DIDPPy's integers have 32 bits and would wrap."""
    with pytest.raises(TooLargeError, match=message):
        solve(instance, "didp")
