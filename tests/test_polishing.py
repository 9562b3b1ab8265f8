"""Polishing of whole orders: feasible, reproducible, never worse than what it begins with."""

from __future__ import annotations

import numpy as np
import pytest

from kvopt import Instance, Schedule, solve
from kvopt.bounds import prices as price_bounds
from kvopt.generate import generate
from kvopt.large import kernels, polishing
from kvopt.large.annealing import Annealer
from kvopt.large.polish_kernel import polish
from kvopt.monitor import Monitor
from kvopt.policies import backlog
from kvopt.verify import schedule_violations


def polished(instance: Instance, seed: int, workers: int = 2, moves: int = 300) -> Monitor:
    """The monitor behind a run from smallest volume first."""
    monitor = Monitor(instance, workers=workers)
    backlog.solve_svf(instance, monitor)
    assert monitor.best_starts is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polishing, "MOVES", moves)
        polishing.run(Annealer(instance, price_bounds.fluid(instance), monitor), monitor.best_starts, seed)
    return monitor


@pytest.mark.parametrize("seed", range(4))
def test_schedules_are_feasible_and_better(seed: int) -> None:
    """Rows kept from earlier moves must be those of the order: a wrong one would overfill some round."""
    random = np.random.default_rng(seed)
    arrival = random.integers(0, 200, 60) * (seed % 2)
    instance = Instance(300, random.integers(0, 200, 60), random.integers(1, 100, 60), arrival)
    monitor = polished(instance, seed)
    assert monitor.best_starts is not None
    columns = instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist()
    assert schedule_violations(300, *columns, monitor.best_starts.tolist()) == []
    assert monitor.incumbent is not None
    assert monitor.incumbent < 0.99 * solve(instance, "svf").total_latency


def decoded(instance: Instance, order: list[int]) -> list[int]:
    """Starts of an order: each in the first round, not before the one before it, from which it fits."""
    last, level = np.empty((2, instance.n + 1), dtype=np.int64)
    running, now, starts = 0, 0, [0] * instance.n
    for i in order:
        s, o, a = int(instance.prompt[i]), int(instance.output[i]), int(instance.arrival[i])
        now = kernels.first_fit(instance.capacity, last, level, running, s, o, max(now, a))
        running = kernels.place(last.copy(), level.copy(), running, s, o, now, last, level)
        starts[i] = now
    return starts


@pytest.mark.parametrize("seed", range(4))
def test_latency_is_that_of_the_order(seed: int) -> None:
    """What is kept of earlier moves, and added to rows behind the place where a move ends, must not drift."""
    random = np.random.default_rng(seed)
    # Few different sizes: fronts with equal last rounds, and moves that end early, are frequent.
    prompt, output = random.integers(0, 20, 60) * 10, random.integers(1, 12, 60) * 8
    instance = Instance(300, prompt, output, random.integers(0, 200, 60) * (seed % 2))
    annealer = Annealer(instance, price_bounds.fluid(instance), Monitor(instance))
    order = np.argsort(instance.volume)
    starts = np.zeros_like(order)
    room = annealer.room(order, np.array(decoded(instance, order.tolist()))[order])
    states = [(order.copy(), starts.copy()) for _ in polishing.FRONTS]
    for heat in (20.0, 3.0):
        given = np.zeros(1, np.int8), 300, *annealer.columns, room
        limits = polishing.APART, polishing.WITHIN, polishing.MARGIN
        reached = [
            polish(*given, *state, annealer.most_running, np.empty(0, like), 10_000, 5_000, heat, *limits, seed)
            for state, like in zip(states, polishing.FRONTS, strict=True)
        ]
        for latency, *state in zip(reached, *zip(*states, strict=True), strict=True):
            assert latency == reached[0]
            assert [column.tolist() for column in state] == [column.tolist() for column in states[0]]
        order, starts = states[0]
        assert sorted(order.tolist()) == list(range(60))
        expected = decoded(instance, order.tolist())
        assert reached[0] == Schedule(instance, expected).total_latency
        assert Schedule(instance, starts).total_latency <= reached[0]


def test_no_start_is_later_than_fronts_have_room_for() -> None:
    """Where numbers of a front would not fit into their type, the move is refused."""
    instance = generate("azure-like", requests=40, seed=3)
    annealer = Annealer(instance, price_bounds.fluid(instance), Monitor(instance))
    order = np.argsort(instance.volume)
    starts = backlog.list_schedule(instance, order)
    room = annealer.room(order, starts[order])
    _, most = polishing.fronts(instance, [order])
    assert most >= polishing.ROOM * starts.max()

    def latest_starts(limit: int) -> list[int]:
        """Of the orders at the end of some hot walks."""
        latest = []
        for seed in range(20):
            end, found = order.copy(), starts.copy()
            shape = annealer.most_running, np.empty(0, np.int32), limit, 200, 500.0
            polish(np.zeros(1, np.int8), instance.capacity, *annealer.columns, room, end, found, *shape, 9, 9, 9, seed)
            latest.append(int(backlog.list_schedule(instance, end).max()))
        return latest

    assert max(latest_starts(int(starts.max()))) <= starts.max() < max(latest_starts(most))


def test_is_reproducible() -> None:
    """Equal seeds give equal schedules, other seeds others."""
    instance = generate("azure-like", requests=60, seed=3)
    first, again, other = (polished(instance, seed).best_starts for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.tolist() == again.tolist() != other.tolist()


def test_a_stop_keeps_what_was_found() -> None:
    """Halted kernels return at once, and the schedules they leave behind are whole."""
    instance = generate("azure-like", requests=60, seed=3)
    monitor = Monitor(instance, workers=2, time_limit_s=1e-9)
    backlog.solve_svf(instance, monitor)
    assert monitor.best_starts is not None
    before = monitor.incumbent
    polishing.run(Annealer(instance, price_bounds.fluid(instance), monitor), monitor.best_starts, 0, deadline_s=1e9)
    assert monitor.incumbent is not None
    assert before is not None
    assert monitor.incumbent <= before
    assert Schedule(instance, monitor.best_starts).total_latency == monitor.incumbent


@pytest.mark.parametrize("n", [1, 2])
def test_one_and_two_requests(n: int) -> None:
    """There is no pair of places to change, or a single one."""
    instance = Instance(5, [1] * n, list(range(1, n + 1)))
    assert polished(instance, 0).incumbent == solve(instance, "brute-force").total_latency
