"""Large backlogs: every result is verified, bad cases are survived, limits are kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import instances

from kvopt import Instance
from kvopt.bench.large import bound_table, large_suite
from kvopt.bounds import prices as price_bounds
from kvopt.errors import InputError
from kvopt.generate import generate
from kvopt.large import kernels
from kvopt.large.annealing import IDLE_OUTPUTS, Annealer
from kvopt.large.prices import anneal, staggered
from kvopt.model import Result
from kvopt.monitor import Monitor
from kvopt.solving import solve
from kvopt.verify import Problem, check_certificate, schedule_violations, total_latency


def solved(instance: Instance, time_limit_s: float = 0.5, **more: float) -> Result:
    """A result that the checker accepts whole: schedule, objective and bound."""
    result = solve(instance, "prices", time_limit_s=time_limit_s, **more)
    assert result.schedule is not None
    assert result.certificate is not None
    parts = columns(instance)
    assert schedule_violations(instance.capacity, *parts, result.schedule.starts.tolist()) == []
    bound = check_certificate(Problem(instance.capacity, *parts), result.certificate.as_dict())
    assert bound == result.lower_bound <= result.total_latency
    return result


def columns(instance: Instance) -> tuple[list[int], list[int], list[int]]:
    """Prompt, output and arrival as lists."""
    return instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist()


@settings(max_examples=20, deadline=None)
@given(instances())
def test_tiny_instances(instance: Instance) -> None:
    """One to five requests, with and without arrivals: windows shorter than their width, bounds below the optimum."""
    result = solved(instance, 0.05)
    assert result.lower_bound <= solve(instance, "brute-force").total_latency <= result.total_latency


def test_finds_optima_of_small_instances() -> None:
    """Where the best order without waits is optimal, the annealer finds it."""
    instance = Instance(5, [1] * 4, [1, 1, 3, 3])
    assert solved(instance).total_latency == 12


def annealed(instance: Instance, seed: int, workers: int) -> list[int]:
    """Starts after one pass of a fixed number of moves."""
    monitor = Monitor(instance, workers=workers)
    # No ascent: its budget is in seconds.
    prices = price_bounds.fluid(instance)
    Annealer(instance, prices, monitor).run(np.cumsum(instance.output), 20_000, seed)
    assert monitor.best_starts is not None
    return monitor.best_starts.tolist()


def test_is_reproducible() -> None:
    """Equal seeds give equal schedules, other seeds others: published figures can be had again."""
    instance = generate("azure-like", requests=60, seed=3)
    first = annealed(instance, 1, 2)
    assert first == annealed(instance, 1, 2)
    assert first != annealed(instance, 2, 2)


@pytest.mark.parametrize("seed", range(3))
def test_annealed_schedules_are_feasible(seed: int) -> None:
    """The kernel's own memory test is the checker's, with arrivals as well."""
    random = np.random.default_rng(seed)
    n = 80
    arrival = random.integers(0, 200, n) * (seed % 2)
    instance = Instance(300, random.integers(0, 200, n), random.integers(1, 100, n), arrival)
    starts = annealed(instance, seed, 2)
    assert schedule_violations(300, *columns(instance), starts) == []


def test_value_is_the_total_latency() -> None:
    """Regrets plus priced idle memory are total latency less the Lagrangian value, whatever the prices."""
    instance = generate("azure-like", requests=30, seed=1)
    prices = price_bounds.memory_prices(instance, time_limit_s=0.2)
    monitor = Monitor(instance)
    annealer = Annealer(instance, prices, monitor)
    order = np.argsort(instance.volume)
    rival = annealer._start(order)
    *_, least, plain, timed = annealer.columns
    whole = instance.capacity * plain
    kernels.anneal(*annealer._call(rival, np.zeros(30, dtype=np.int64), whole, 30, 1, 0))
    running, last_start = int(rival.front[0]), int(rival.front[1])
    idle = kernels.priced_idle(
        whole, rival.last, rival.level, running, plain, timed, last_start, len(plain) + instance.output.max()
    )
    lagrangian = least.sum() - whole[-1]
    _, output, arrival = columns(instance)
    assert rival.value[0] + idle + lagrangian == pytest.approx(total_latency(output, arrival, rival.starts.tolist()))


def test_memory_that_idles_anyway_follows_the_requests_served() -> None:
    """Where long outputs are served more memory has to stay free than where short ones are."""
    instance = Instance(1000, [100] * 200, [10] * 100 + [200] * 100)
    annealer = Annealer(instance, price_bounds.fluid(instance), Monitor(instance))
    room = np.diff(annealer.room(np.arange(200), np.arange(200) * 10))
    filled = room[[500, 1500]] / np.diff(annealer.columns[4])[[500, 1500]]
    assert filled == pytest.approx([1000 - IDLE_OUTPUTS * 10, 1000 - IDLE_OUTPUTS * 200])


def test_beats_the_policies() -> None:
    """A backlog at the capacity of real GPUs: far below smallest volume first, which is near the bound already."""
    instance = generate("azure-like", requests=200, seed=0)
    policy = solve(instance, "svf")
    monitor = Monitor(instance)
    prices = price_bounds.memory_prices(instance, time_limit_s=1.0)
    Annealer(instance, prices, monitor).run(policy.schedule.starts, 300_000, 0)
    assert monitor.incumbent < 0.97 * policy.total_latency
    assert price_bounds.evaluate(instance, prices) > 0.94 * monitor.incumbent


@pytest.mark.parametrize(("n", "passes"), [(1000, [5e5, 25e6, 67.5e6]), (200_000, [5e5, 98e6])])
def test_thin_passes_are_left_out(n: int, passes: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge backlog must not spend a quarter of its time on a pass whose schedule the next one hardly uses."""
    instance = Instance(1000, [10] * n, [10] * n)
    monitor = Monitor(instance, time_limit_s=100.0)
    monitor.offer(list(range(n)))
    planned: list[float] = []

    class Pretended:
        """A million moves a second, on a clock of its own."""

        moves, seconds, most_moves = 1e6, 1.0, float("inf")

        def __init__(self, *arguments: object) -> None:
            pass

        def run(self, starts: object, moves: float, seed: int, deadline_s: float = float("inf")) -> None:
            planned.append(moves)
            if deadline_s < float("inf"):
                monitor.time_limit_s -= deadline_s - monitor.elapsed_s

    monkeypatch.setattr("kvopt.large.prices.Annealer", Pretended)
    anneal(instance, price_bounds.fluid(instance), monitor)
    assert planned[: len(passes)] == pytest.approx(passes, rel=0.1)
    assert sum(planned) < 1.01e8


def test_one_request_as_large_as_the_capacity() -> None:
    """It can only run alone: neither it nor the thousands of small ones may be starved or priced out of 64 bits."""
    random = np.random.default_rng(0)
    prompt, output = random.integers(1, 50, 2001), random.integers(1, 40, 2001)
    prompt[0], output[0] = 9_000, 1_000
    result = solved(Instance(10_000, prompt, output), 2.0)
    assert result.gap < 0.1


def test_identical_requests_are_staggered() -> None:
    """Shortest-first starts them in waves; one a round nearly halves the total latency."""
    instance = Instance(190, [0] * 1000, [19] * 1000)
    assert solve(instance, "mc-sf").total_latency == 959_500
    result = solved(instance, 5.0)
    assert result.total_latency == 518_500
    assert result.lower_bound >= 500_671


@pytest.mark.parametrize(("prompt", "output", "capacity"), [(0, 1, 1), (5, 1, 6), (0, 7, 8), (3, 50, 400), (9, 2, 37)])
def test_staggered_is_feasible(prompt: int, output: int, capacity: int) -> None:
    """The distance is the least that fits in the steady state, so any number of requests fits."""
    instance = Instance(capacity, [prompt] * 40, [output] * 40)
    assert schedule_violations(capacity, *columns(instance), staggered(instance).tolist()) == []


def test_horizon_of_ten_million_rounds() -> None:
    """Requests that nearly fill the memory run one after the other; time and memory follow requests, not rounds."""
    random = np.random.default_rng(0)
    result = solved(Instance(70_000, np.full(11_000, 69_000), random.integers(900, 1001, 11_000)), 1.0)
    assert result.schedule.makespan > 10**7
    assert result.gap < 0.01


def test_everything_starts_at_once() -> None:
    """A capacity that holds all requests: proved optimal without a search."""
    instance = generate("azure-like", requests=3000, seed=0, capacity=2**31 - 1)
    begun = time.perf_counter()
    result = solved(instance, 60.0)
    assert result.total_latency == int(instance.output.sum()) == result.lower_bound
    assert time.perf_counter() - begun < 30


def test_many_run_at_once() -> None:
    """Thousands running at once make every move dear; limits hold all the same."""
    instance = Instance(400_000, np.full(6000, 1), np.arange(1, 6001) % 97 + 1)
    begun = time.perf_counter()
    solved(instance, 2.0)
    assert time.perf_counter() - begun < 12


def test_capacity_below_some_requests() -> None:
    """Requests that can never run are refused, by number."""
    with pytest.raises(InputError, match=r"request 1: .* exceeds the capacity 100"):
        Instance(100, [10, 90] * 50, [20, 20] * 50)


def test_stops_at_the_target_gap() -> None:
    """A gap that the first schedules reach ends the search long before the time limit."""
    instance = generate("azure-like", requests=200, seed=0)
    begun = time.perf_counter()
    result = solved(instance, 100.0, target_gap=0.2)
    assert result.gap <= 0.2
    assert time.perf_counter() - begun < 30


def test_real_arrivals_are_bounded_too() -> None:
    """The hindsight bound for online runs holds for every schedule with the same arrivals."""
    random = np.random.default_rng(0)
    n = 300
    instance = Instance(16_492, random.integers(10, 3000, n), random.integers(10, 500, n), random.integers(0, 3000, n))
    result = solved(instance, 2.0)
    assert result.lower_bound <= result.total_latency <= solve(instance, "fcfs").total_latency


def test_bench_suite(tmp_path: Path) -> None:
    """One command gives the table: backlogs and arrivals of the user's trace, ratios to the certified bound."""
    trace = tmp_path / "trace.csv"
    rows = [f"2023-11-16 18:17:0{i}.9799600,{100 * i},{10 + 40 * (i % 3)}" for i in range(10)]
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    cases = large_suite(str(trace)).cases
    assert [(case.group, case.instance.n) for case in cases] == [
        *[("backlog", 10)] * 3,
        ("backlog", 10_000),
        *[("arrivals", 10)] * 3,
    ]
    assert len({case.instance.name for case in cases}) == len(cases)
    known = {"digest": "d", "instance": "i", "requests": 10, "capacity": 5, "outcome": "finished"}
    records = [
        SimpleNamespace(**known, solver="prices", total_latency=105, lower_bound=100, verdict="PROVED"),
        SimpleNamespace(**known, solver="svf", total_latency=120, lower_bound=None, verdict="FEASIBLE"),
        SimpleNamespace(**known, solver="mc-sf", total_latency=None, lower_bound=110, verdict="FEASIBLE"),
    ]
    assert bound_table(records).rows == [("i", "10", "5", "100", "5.00 %", "20.00 %", "-")]


def test_results_are_json() -> None:
    """Statistics hold nothing that a result file cannot."""
    instance = generate("azure-like", requests=50, seed=0)
    json.dumps(dict(solved(instance, 0.5).statistics))
