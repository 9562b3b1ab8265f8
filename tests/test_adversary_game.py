"""The release game against deterministic policies."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import combinations_with_replacement

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance, Schedule, solve
from kvopt.adversary.deterministic import deterministic_value, simplest
from kvopt.adversary.game import Game
from kvopt.adversary.states import States
from kvopt.errors import InputError, TooLargeError
from kvopt.monitor import Monitor

#: N -> values at M = 4, 5, ..., 10 with the menu (1, 1), (1, M - 1) and H = M.
SMALL_AND_LONG = {
    3: "9/7 7/6 8/7 9/8 10/9 11/10 12/11",
    4: "3/2 4/3 4/3 13/10 14/11 5/4 16/13",
    5: "3/2 3/2 17/11 16/11 17/12 18/13 19/14",
    6: "18/11 19/12 22/13 17/11 3/2 25/17 13/9",
}
#: N -> values at M = 6, 8, 10, 16 with the menu (M/2, 1), (M/2, M/2) and H = M/2 + 3.
LARGE_PROMPTS = {4: "6/5 16/11 21/13 2", 5: "5/4 20/13 26/15 42/19"}

menus = st.integers(2, 5).flatmap(
    lambda m: st.tuples(
        st.just(m),
        st.lists(
            st.integers(0, m - 1).flatmap(lambda s: st.tuples(st.just(s), st.integers(1, m - s))),
            min_size=1,
            max_size=2,
            unique=True,
        ),
    )
)


def plainly(game: Game, ratio: Fraction) -> Fraction:
    """min over policies, max over releases of ALG - ratio * OPT, from the definition: whole schedules, no states."""
    capacity, types = game.menu.capacity, game.types

    def instance(released):
        prompt, output = zip(*(types[k] for _, k in released), strict=True)
        return Instance(capacity=capacity, prompt=prompt, output=output, arrival=[a for a, _ in released])

    @cache
    def optimum(released):
        return solve(instance(released), "brute-force").total_latency

    def feasible(released, starts):
        chosen = [i for i, p in enumerate(starts) if p is not None]
        if not chosen:
            return True
        part = instance([released[i] for i in chosen])
        return int(Schedule(part, [starts[i] for i in chosen]).memory.max()) <= capacity

    def choices(released, starts, t):
        """All ways to start some of the waiting requests in round t."""
        open_ = [i for i, p in enumerate(starts) if p is None]
        for picked in range(2 ** len(open_)):
            chosen = {i for b, i in enumerate(open_) if picked >> b & 1}
            then = tuple(t if i in chosen else p for i, p in enumerate(starts))
            if feasible(released, then):
                yield then

    def finish(released, starts, t):
        """Least total latency when nothing more is released."""
        if None not in starts:
            return sum(p + types[k][1] - a for (a, k), p in zip(released, starts, strict=True))
        idle = all(p is None or p + types[k][1] <= t for (_, k), p in zip(released, starts, strict=True))
        return min(finish(released, then, t + 1) for then in choices(released, starts, t) if then != starts or not idle)

    def value(released, starts, t):
        """Releases of round t have just been seen."""
        if len(released) == game.requests or t == game.horizon:
            return finish(released, starts, t) - ratio * optimum(released)
        return min(worst(released, then, t + 1) for then in choices(released, starts, t))

    def worst(released, starts, t):
        return max(
            value(released + tuple((t, k) for k in more), starts + (None,) * len(more), t)
            for size in range(t == 0, game.requests - len(released) + 1)
            for more in combinations_with_replacement(range(len(types)), size)
        )

    return worst((), (), 0)


@pytest.mark.parametrize("requests", [3, 4, 5])
def test_published_values_small_and_long(requests):
    """Every value computed elsewhere for one small and one long type must come out, as a fraction."""
    for capacity, expected in enumerate(SMALL_AND_LONG[requests].split(), start=4):
        game = Game.of(capacity, [(1, 1), (1, capacity - 1)], requests, capacity)
        assert deterministic_value(game).value == Fraction(expected), capacity


@pytest.mark.parametrize("capacity", [4, 6, 8])
def test_published_values_of_six_requests(capacity):
    """The largest games of the table, at some capacities."""
    game = Game.of(capacity, [(1, 1), (1, capacity - 1)], 6, capacity)
    assert deterministic_value(game).value == Fraction(SMALL_AND_LONG[6].split()[capacity - 4])


@pytest.mark.parametrize("requests", [4, 5])
def test_published_values_large_prompts(requests):
    """The second menu, where even one small request blocks the long one."""
    for capacity, expected in zip((6, 8, 10, 16), LARGE_PROMPTS[requests].split(), strict=True):
        half = capacity // 2
        game = Game.of(capacity, [(half, 1), (half, half)], requests, half + 3)
        assert deterministic_value(game).value == Fraction(expected), capacity


@settings(max_examples=25, deadline=None)
@given(menus, st.integers(1, 3), st.integers(0, 2))
def test_value_against_the_definition(menu, requests, horizon):
    """At the value the game is even, by a program that knows schedules only: no states, no frontier, no tree."""
    game = Game.of(*menu, requests, horizon)
    value = deterministic_value(game).value
    assert plainly(game, value) == 0


def test_value_against_the_definition_where_it_exceeds_one():
    """The random games above are often worth 1; this one is not."""
    game = Game.of(4, [(1, 1), (1, 3)], 3, 3)
    assert deterministic_value(game).value == Fraction(9, 7)
    assert plainly(game, Fraction(9, 7)) == 0


@settings(max_examples=20, deadline=None)
@given(menus, st.integers(1, 3), st.integers(0, 3))
def test_value_grows_with_requests_and_horizon(menu, requests, horizon):
    """A larger budget or a later end gives the adversary more, so small games bound large ones from below."""
    value = deterministic_value(Game.of(*menu, requests, horizon)).value
    assert value >= 1
    assert deterministic_value(Game.of(*menu, requests + 1, horizon)).value >= value
    assert deterministic_value(Game.of(*menu, requests, horizon + 1)).value >= value


@settings(max_examples=25, deadline=None)
@given(menus, st.integers(1, 4))
def test_clearing_is_the_optimum_of_a_backlog(menu, requests):
    """Clearing waiting requests with nothing running is the problem that the exact solvers solve."""
    game = Game.of(*menu, requests, 0)
    states = States(game)
    for (size, code), counts in zip(states.releases.tolist(), states.release_counts, strict=True):
        if size:
            rows = [(*kind, count) for kind, count in zip(game.types, counts, strict=True) if count]
            backlog = Instance.from_rows(game.menu.capacity, rows)
            assert states.clearing[code] == solve(backlog, "dp-reference").total_latency


@settings(max_examples=25, deadline=None)
@given(menus, st.integers(1, 3), st.integers(0, 3))
def test_number_of_histories(menu, requests, horizon):
    """Progress is measured against this number, so it must be the number of nodes."""
    game = Game.of(*menu, requests, horizon)

    def nodes(t, left):
        if left == 0 or t == horizon:
            return 1
        return 1 + sum(nodes(t + 1, left - sum(w)) for w in game.waiting(left))

    assert game.histories == sum(nodes(0, requests - sum(w)) for w in game.waiting(requests) if any(w))


@given(st.fractions(0, 20, max_denominator=50), st.fractions(0, 20, max_denominator=50))
def test_simplest_fraction(a, b):
    """Bisection ends at the only fraction with a small denominator: none simpler may lie in between."""
    low, high = min(a, b), max(a, b)
    if low < high:
        found = simplest(low, high)
        assert low < found < high
        for q in range(1, found.denominator):
            assert Fraction((low * q).__floor__() + 1, q) >= high


def test_time_limit_keeps_the_bracket():
    """A stopped search says what it has proved, and claims no value."""
    game = Game.of(10, [(1, 1), (1, 9), (1, 4)], 7, 12)
    found = deterministic_value(game, Monitor(game.menu, time_limit_s=0.3))
    assert found.value is None
    assert found.above < found.below


@pytest.mark.parametrize(
    ("menu", "requests", "horizon", "says"),
    [
        ([(1, 1), (1, 1)], 3, 3, "twice"),
        ([(1, 1)], 0, 3, "requests"),
        ([(1, 1)], 3, -1, "horizon"),
        ([(4, 1)], 3, 3, "exceeds the capacity"),
        ([], 3, 3, "at least one type"),
    ],
)
def test_bad_games(menu, requests, horizon, says):
    """Each bad argument is named."""
    with pytest.raises(InputError, match=says):
        Game.of(4, menu, requests, horizon)


def test_large_games_are_refused():
    """Too many states or too much memory: a message instead of a machine that swaps."""
    with pytest.raises(TooLargeError, match="states"):
        deterministic_value(Game.of(100, [(1, 1), (1, 2), (1, 30), (1, 50)], 20, 5))
    game = Game.of(10, [(1, 1), (1, 9)], 6, 1000)
    with pytest.raises(TooLargeError, match="GB"):
        deterministic_value(game, Monitor(game.menu, memory_limit_gb=0.01))
