"""Room bounds: never above an optimum, exact to the unit, and above the growth bound where outputs are long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve
from kvopt.bounds import growth, lower_bound, room_ascent
from kvopt.bounds import prices as plain
from kvopt.bounds.prices import MemoryPrices
from kvopt.bounds.room import Room, affordable, certificate, charge_levels, evaluate, improved, rounded
from kvopt.verify import MOST_ROOM_STEPS, Problem, Refusal, check_certificate, check_room


@st.composite
def rooms(draw: st.DrawFn) -> Room:
    """Arbitrary prices of a few rounds, and up to three levels with arbitrary rates."""
    rounds, levels = draw(st.integers(0, 12)), draw(st.integers(0, 3))
    prices = draw(st.lists(st.integers(0, 40), min_size=rounds, max_size=rounds))
    rates = [draw(st.lists(st.integers(0, 12), min_size=rounds, max_size=rounds)) for _ in range(levels)]
    level = draw(st.lists(st.integers(1, 9), min_size=levels, max_size=levels))
    return Room(
        draw(st.sampled_from([1, 7, 64, 2**20])),
        np.array(prices, dtype=np.int64),
        np.array(level, dtype=np.int64),
        np.array(rates, dtype=np.int64).reshape(levels, rounds),
    )


def room_bound_by_definition(instance: Instance, room: Room) -> int:
    """Every start of every request, every round of its run and every term of a credit written out."""
    prices, levels, rates = room.prices.tolist(), room.levels.tolist(), room.rates.tolist()
    rounds, longest = len(prices), int(instance.output.max())

    def charge(t: int, held: int) -> int:
        return sum(rate[t] * min(held, level) for rate, level in zip(rates, levels, strict=True))

    def credit(e: int) -> int:
        terms = []
        for t in range(max(0, e - longest + 1), min(e + 1, rounds)):
            left = [(charge(t, h) - (e - t) * prices[t], h) for h in levels]
            terms.append(max([0, *(-(-instance.capacity * x // (h + e - t)) for x, h in left)]))
        return sum(terms)

    total = -instance.capacity * sum(prices)
    for s, o, a in zip(instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist(), strict=True):
        costs = []
        for p in range(a, a + rounds + longest + 2):
            run = [(t, s + t - p + 1) for t in range(p, min(p + o, rounds))]
            paid = sum(prices[t] * held + charge(t, held) for t, held in run)
            costs.append((p + o - a) * room.denominator + paid - credit(p + o - 1))
        total += min(costs)
    return -(-total // room.denominator)


@settings(max_examples=200)
@given(instances(max_n=6), rooms())
def test_is_evaluated_exactly(instance: Instance, room: Room) -> None:
    """The compiled evaluation, the checker's and the definition agree to the unit, whatever prices and charges."""
    expected = room_bound_by_definition(instance, room)
    assert evaluate(instance, room) == expected
    assert check_room(Problem.of(instance), certificate(room).data) == expected


@settings(max_examples=300)
@given(instances(), rooms())
def test_never_exceeds_the_optimum(instance: Instance, room: Room) -> None:
    """The inequality must hold for every schedule: no prices and charges may prove more than the optimum."""
    assert evaluate(instance, room) <= solve(instance, "brute-force").total_latency


@settings(max_examples=15, deadline=None)
@given(instances(max_n=5, max_capacity=14, max_output=8))
def test_ascent_never_exceeds_the_optimum(instance: Instance) -> None:
    """Good charges come nearer to an optimum than drawn ones: they would pass it if a credit were too small."""
    found = lower_bound(instance, "room", time_limit_s=0.5)
    assert lower_bound(instance, "prices", time_limit_s=0.5).value <= found.value
    assert found.value <= solve(instance, "brute-force").total_latency
    assert check_certificate(Problem.of(instance), found.certificate.as_dict()) == found.value


@settings(max_examples=60)
@given(instances(max_n=6), rooms())
def test_without_charges_it_is_the_price_bound(instance: Instance, room: Room) -> None:
    """Credits are for charges alone, so without these the same prices prove the same bound."""
    bare = Room(room.denominator, room.prices, room.levels, np.zeros_like(room.rates))
    assert evaluate(instance, bare) == plain.evaluate(instance, MemoryPrices(room.prices, room.denominator))


@pytest.mark.parametrize("arrivals", [False, True])
def test_beats_the_growth_bound_where_outputs_are_long(arrivals: bool) -> None:
    """A few runs at a time, each a good part of the schedule: charges by round see more than charges by span."""
    rng = np.random.default_rng(5)
    arrival = np.sort(rng.integers(0, 200, 60)) if arrivals else np.zeros(60, dtype=np.int64)
    instance = Instance(3000, rng.integers(50, 400, 60), rng.integers(20, 150, 60), arrival)
    prices = plain.memory_prices(instance, time_limit_s=2)
    grown = growth.improved(instance, prices, time_limit_s=2)
    found = improved(instance, prices, grown, time_limit_s=2)
    assert found.certificate.kind == "room"
    assert 1.002 * grown.value < found.value <= solve(instance, "svf").total_latency
    assert check_certificate(Problem.of(instance), found.certificate.as_dict()) == found.value


def test_gradient_is_the_slope_of_the_smoothed_bound() -> None:
    """A wrong gradient would still give valid bounds, only poor ones: central differences agree."""
    rng = np.random.default_rng(3)
    instance = Instance(300, rng.integers(0, 60, 12), rng.integers(1, 30, 12))
    types, rounds = instance.types, 40
    level, scale = np.array([2**31 - 1, 20, 50]), np.array([1.0, 3.0, 0.7])
    weights = rng.random((3, rounds)) * np.array([[0.1], [0.05], [0.02]])
    window = np.zeros_like(types.prompt), np.full_like(types.prompt, rounds + 1)
    gradient, unused = np.empty_like(weights), np.empty_like(weights)

    def value(at: np.ndarray, into: np.ndarray) -> float:
        columns = types.prompt, types.output, types.arrival, types.count
        return room_ascent.smoothed_bound(*columns, 300, at, level, scale, 2.0, *window, into)

    value(weights, gradient)
    for row, t in [(0, 3), (0, 25), (1, 0), (1, 17), (2, 9), (2, 39)]:
        step = np.zeros_like(weights)
        step[row, t] = 1e-6
        slope = (value(weights + step, unused) - value(weights - step, unused)) / 2e-6
        assert slope == pytest.approx(gradient[row, t], rel=1e-4, abs=1e-3)


def test_budget_and_size() -> None:
    """Without time for an ascent, or with more starts than the checker takes, the given bound stands."""
    instance = Instance(50, [3] * 6, [20] * 6)
    prices = plain.memory_prices(instance)
    given = plain.certified(instance, prices)
    assert improved(instance, prices, given, time_limit_s=1e-9) is given
    long = Instance(2**31 - 1, [0, 0], [2**31 - 1, 5])
    assert improved(long, prices, given) is given


def test_large_charges_stay_within_64_bits() -> None:
    """The denominator falls so far that neither a cost nor a credit can overflow."""
    instance = Instance(2**31 - 1, [2**30], [5])
    weights = np.array([[3.0], [2.0]])
    room = rounded(instance, weights, np.array([2**30]))
    assert evaluate(instance, room) == room_bound_by_definition(instance, room)


@pytest.mark.parametrize(
    "change",
    [
        {"denominator": 0},
        {"prices": [3, 2]},
        {"prices": [3, -2, 1]},
        {"prices": None},
        {"levels": [0]},
        {"levels": [3, 4]},
        {"levels": [2.5]},
        {"rates": [[1, 1]]},
        {"rates": [[1, -1, 1]]},
        {"rates": [1, 1, 1]},
        {"rates": []},
        {"rates": None},
        {"prices": [0] * 2**22, "rates": [[0] * 2**22]},
    ],
)
def test_bad_certificates_are_refused(change: dict) -> None:
    """Negative charges and lists of unequal lengths are where the proof would break."""
    instance = Instance.from_rows(9, [(1, 3, 5)])
    data = {"denominator": 8, "prices": [3, 2, 1], "levels": [3], "rates": [[1, 1, 0]]}
    assert check_room(Problem.of(instance), data) <= 25
    with pytest.raises(Refusal):
        check_room(Problem.of(instance), {**data, **change})


@pytest.mark.parametrize(
    ("rows", "change"),
    [
        ([(1, 1, 2)], {"prices": [1], "levels": [1] * 65, "rates": [[1]] * 65}),
        ([(0, 10_000, 1), *((s, 1, 1) for s in range(2_000))], {"prices": [], "levels": [], "rates": []}),
    ],
)
def test_work_is_limited_by_what_is_done(rows: list[tuple[int, int, int]], change: dict) -> None:
    """Charges at each level take all levels, and starts reach an output beyond the prices: both are counted."""
    with pytest.raises(Refusal, match="at most"):
        check_room(Problem.of(Instance.from_rows(20_000, rows)), {"denominator": 1, **change})


def test_levels_are_as_many_as_the_checker_takes() -> None:
    """Four, two where the schedule is longer, none where even these are too many: no ascent whose result is refused."""
    instance = Instance(5000, np.arange(100, 900, 4), np.arange(1, 201))
    most = [rounds * (len(instance.types) + 200) for rounds in (8_000, 12_000, 14_000)]
    assert [len(charge_levels(instance, rounds)) for rounds in (8_000, 12_000, 14_000)] == [4, 2, 0]
    assert 5 * most[0] < MOST_ROOM_STEPS < 5 * most[1]
    assert 3 * most[1] < MOST_ROOM_STEPS < 3 * most[2]


def test_affordable_tells_whether_there_is_an_ascent() -> None:
    """Where it says yes little time is given to the prices, so without charges after them the bound would be poor."""
    rng = np.random.default_rng(5)
    instance = Instance(3000, rng.integers(50, 400, 60), rng.integers(20, 150, 60))
    prices = plain.fluid(instance)
    grown = growth.improved(instance, prices, time_limit_s=1)
    for budget_s in (0.001, 1.0):
        found = improved(instance, prices, grown, time_limit_s=budget_s)
        assert affordable(instance, budget_s) == (found.certificate.kind == "room") == (budget_s == 1.0)
