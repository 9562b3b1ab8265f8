"""The release game against randomised policies, and its certificate."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance, solve
from kvopt.adversary.deterministic import deterministic_value
from kvopt.adversary.families import LargePrompts, Stream
from kvopt.adversary.game import Game
from kvopt.adversary.mix import Mix, Play, certified_ratio, least_latency
from kvopt.adversary.random_start import random_start
from kvopt.adversary.randomised import randomised_value
from kvopt.errors import InputError, TooLargeError
from kvopt.monitor import Monitor

releases = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=5).map(
    lambda rows: tuple(sorted(rows, key=lambda row: row[0]))
)


@pytest.mark.parametrize(
    ("capacity", "large", "requests", "horizon", "published"),
    [
        (4, False, 4, 4, Fraction(9, 7)),
        (5, False, 4, 4, "1.2320"),
        (6, False, 5, 5, "1.3045"),
        (8, False, 4, 6, "1.1722"),
        (10, True, 4, 8, "1.3404"),
    ],
)
def test_published_values(capacity, large, requests, horizon, published):
    """Values computed elsewhere, here with a lower bound that holds exactly and an upper bound next to it."""
    menu = [(capacity // 2, 1), (capacity // 2, capacity // 2)] if large else [(1, 1), (1, capacity - 1)]
    found = randomised_value(Game.of(capacity, menu, requests, horizon))
    if isinstance(published, Fraction):
        assert found.lower == published
    else:
        assert f"{float(found.lower):.4f}" == published
    assert found.lower <= found.upper
    assert found.upper - found.lower < Fraction(1, 10**7)
    assert certified_ratio(found.mix) == found.lower


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 5), st.integers(1, 3), st.integers(0, 3))
def test_randomisation_helps_the_policy(capacity, requests, horizon):
    """The value lies between 1 and the deterministic value of the same game."""
    game = Game.of(capacity, [(1, 1), (1, capacity - 1)], requests, horizon)
    found = randomised_value(game)
    assert 1 <= found.lower <= deterministic_value(game).value


@settings(max_examples=40, deadline=None)
@given(releases)
def test_least_latency_of_one_play_is_the_optimum(play):
    """The checker's own programme must agree with the exact solvers in hindsight."""
    arrival, prompt, output = zip(*play, strict=True)
    instance = Instance(capacity=5, prompt=prompt, output=output, arrival=arrival)
    assert least_latency(5, (Play(3, play),)) == 3 * solve(instance, "brute-force").total_latency


@settings(max_examples=25, deadline=None)
@given(st.lists(releases, min_size=1, max_size=3, unique=True), st.integers(2, 5))
def test_knowing_less_costs_more(plays, factor):
    """A policy that knows only the mix pays at least the expected optimum; scaling all weights changes nothing."""
    mix = Mix(5, tuple(Play(k + 1, play) for k, play in enumerate(plays)))
    ratio = certified_ratio(mix)
    assert ratio >= 1
    assert certified_ratio(Mix(5, tuple(Play(factor * p.weight, p.releases) for p in mix.plays))) == ratio


def test_another_mix_certifies_less():
    """The certificate is sensitive: other weights on the same sequences prove a smaller ratio."""
    mix = randomised_value(Game.of(4, [(1, 1), (1, 3)], 4, 4)).mix
    first, *others = mix.plays
    worse = Mix(4, (Play(50 * first.weight, first.releases), *others))
    assert certified_ratio(worse) < certified_ratio(mix)


@pytest.mark.parametrize(
    ("family", "last"), [(LargePrompts(8), 10), (LargePrompts(16), 24), (Stream(4), 12), (Stream(6), 9)]
)
def test_random_start_by_the_general_check(family, last):
    """The matrix of latencies rests on an argument; the checker of mixes plays every round of every policy."""
    found = random_start(family, last)
    [(prompt, output, _, _)] = family.respond(None)
    plays = []
    for begin, weight in found.weights.items():
        stream = [] if begin is None else family.stream(begin)
        releases = [(0, prompt, output), *((a, s, o) for s, o, count, a in stream for _ in range(count))]
        plays.append(Play(weight, tuple(releases)))
    assert certified_ratio(Mix(family.capacity, tuple(plays))) == found.lower
    assert found.lower > 1.25
    assert float(found.lower) == pytest.approx(found.value, abs=1e-6)


@pytest.mark.parametrize(
    ("family", "last", "quoted"),
    [
        *((LargePrompts(2 * s), 6 * s, quoted) for s, quoted in ((8, 1.59), (16, 2.03), (32, 2.61))),
        (Stream(16), 64, 2.22),
        (Stream(32), 128, 2.85),
    ],
)
def test_random_start_in_the_literature(family, last, quoted):
    """Bounds computed elsewhere; the best distribution proves a little more."""
    assert quoted < random_start(family, last).lower < 1.15 * quoted


def test_random_start_grows_with_its_freedom():
    """More rounds to begin in never prove less; too many are refused."""
    coarse, fine = random_start(LargePrompts(16), 24, 4), random_start(LargePrompts(16), 24, 2)
    assert random_start(LargePrompts(16), 12, 2).lower <= fine.lower
    assert coarse.lower <= fine.lower
    with pytest.raises(TooLargeError, match="entries"):
        random_start(LargePrompts(16), 10_000)
    with pytest.raises(TooLargeError, match="2,147,483,648 beginnings"):  # before they are listed
        random_start(LargePrompts(16), 2**31 - 1)


@pytest.mark.parametrize(
    ("play", "says"),
    [
        (Play(0, ((0, 1, 1),)), "weight"),
        (Play(1, ()), "nothing"),
        (Play(1, ((2, 1, 1), (0, 1, 1))), "decrease"),
        (Play(1, ((0, 4, 1),)), "out of range"),
        (Play(1, ((900, 1, 1),)), "at most 800"),
    ],
)
def test_bad_mixes(play, says):
    """A mix is read from others, so each way to be wrong is named."""
    with pytest.raises(InputError, match=says):
        Mix(4, (play,))


def test_long_plays():
    """Plays up to the limit are checked, whatever the depth of the interpreter's stack; longer games are refused."""
    alone, late = ((0, 1, 3), (790, 1, 1)), ((0, 1, 3), (780, 1, 3), (780, 1, 3))
    assert certified_ratio(Mix(4, (Play(1, alone), Play(1, late)))) == 1
    with pytest.raises(TooLargeError, match="1,006 rounds"):
        randomised_value(Game.of(4, [(1, 1), (1, 3)], 2, 1000))


def test_limits(monkeypatch):
    """A stopped run claims nothing; a programme that needs too much memory is refused while it is built."""
    game = Game.of(8, [(1, 1), (1, 7)], 6, 8)
    found = randomised_value(game, Monitor(game.menu, time_limit_s=0.05))
    assert found.value is found.lower is found.upper is found.mix is None
    monkeypatch.setattr("kvopt.adversary.randomised.BYTES_PER_COEFFICIENT", 10**5)
    with pytest.raises(TooLargeError, match=r"more than 2\.0 GB"):
        randomised_value(game)
