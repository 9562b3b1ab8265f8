"""The bound beside the search: what is found is kept, limits end both, errors are raised."""

from __future__ import annotations

import time

import pytest

from kvopt import Instance, solve
from kvopt.bounds import growth, room, volume
from kvopt.bounds import prices as price_bounds
from kvopt.bounds.bound import Bound
from kvopt.generate import generate
from kvopt.large.bounding import PRICE_SHARE, Bounding
from kvopt.monitor import Monitor
from kvopt.verify import Problem, check_certificate

INSTANCE = generate("azure-like", requests=120, seed=7)


def test_finds_what_the_parts_find() -> None:
    """Another thread, the same bound; the budget is far above the most steps, so that no clock ends them early."""
    instance = generate("azure-like", requests=20, seed=7)
    assert room.affordable(instance, 20.0)
    prices = price_bounds.memory_prices(instance, time_limit_s=40.0 * PRICE_SHARE)
    grown = growth.improved(instance, prices, time_limit_s=40.0 * PRICE_SHARE)
    expected = room.improved(instance, prices, grown, time_limit_s=20.0)
    monitor = Monitor(instance)
    with Bounding(instance, monitor, volume.bound(instance), 40.0) as bounding:
        assert bounding.collect()
        bounding.wait(float("inf"))
        assert not bounding.collect()
    assert bounding.best == expected
    assert monitor.bound == expected.value


def test_an_interrupt_ends_it_with_a_certified_bound() -> None:
    """Minutes of ascent are given up within a step, and what they have reached is a bound."""
    instance = generate("azure-like", requests=300, seed=7)
    monitor = Monitor(instance)
    begun = time.perf_counter()
    with Bounding(instance, monitor, volume.bound(instance), 300.0) as bounding:
        bounding.wait(0.5)
        monitor.interrupt()
        bounding.wait(float("inf"))
    assert time.perf_counter() - begun < 20
    assert bounding.best.value > volume.bound(instance).value
    columns = instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist()
    problem = Problem(instance.capacity, *columns)
    assert check_certificate(problem, bounding.best.certificate.as_dict()) == bounding.best.value


def test_leaving_the_block_ends_it() -> None:
    """A search that is over waits for no more than a step."""
    instance = generate("azure-like", requests=300, seed=7)
    begun = time.perf_counter()
    with Bounding(instance, Monitor(instance), volume.bound(instance), 300.0):
        pass
    assert time.perf_counter() - begun < 20


def test_errors_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in the other thread must not pass for a weak bound."""

    def fail(*arguments: object, **options: object) -> Bound:
        raise ZeroDivisionError

    monkeypatch.setattr("kvopt.bounds.room.improved", fail)
    with pytest.raises(ZeroDivisionError):
        solve(INSTANCE, "prices", time_limit_s=2.0)


def test_the_search_gets_the_thread_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more threads than allowed: one less for the search while the bound is sought, all of them after."""
    used: list[int] = []

    def noted(self: Bounding) -> bool:
        goes_on = collect(self)
        used.append(2 - goes_on)
        return goes_on

    collect = Bounding.collect
    monkeypatch.setattr(Bounding, "collect", noted)
    solve(generate("azure-like", requests=200, seed=7), "prices", time_limit_s=5.0)
    assert used == sorted(used)
    assert {used[0], used[-1]} == {1, 2}


def test_equal_seeds_give_equal_results_without_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a gap ends the search: it does not depend on when the bound is there."""
    monkeypatch.setattr("kvopt.large.polishing.MOVES", 2_000)
    instance = generate("azure-like", requests=40, seed=7)
    first, again = (solve(instance, "prices", target_gap=0.05, seed=3) for _ in range(2))
    assert first.schedule is not None
    assert again.schedule is not None
    assert first.schedule.starts.tolist() == again.schedule.starts.tolist()
    assert first.lower_bound == again.lower_bound


def test_a_gap_that_is_reached_ends_the_search() -> None:
    """While the search runs and the bound comes later."""
    begun = time.perf_counter()
    result = solve(generate("azure-like", requests=100, seed=0), "prices", time_limit_s=100.0, target_gap=0.06)
    assert result.gap is not None
    assert result.gap <= 0.06
    assert time.perf_counter() - begun < 60


def test_small_instances_need_no_search() -> None:
    """The bound is there at once, and closes the gap."""
    assert solve(Instance(100, [1, 2], [3, 4]), "prices", time_limit_s=30.0).gap == 0
