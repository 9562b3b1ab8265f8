"""Effective capacity and hindsight optimum: proofs on both sides, agreement with the exact solvers."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kvopt
from kvopt.errors import InputError, TooLargeError, UnknownNameError
from kvopt.model import Schedule
from kvopt.regret.effective_capacity import effective_capacity, rate_bound, rate_of_walks
from kvopt.regret.hindsight import hindsight_curve, hindsight_waiting
from kvopt.regret.load import Capacities
from kvopt.regret.mix import Mix
from kvopt.regret.paths import PROCESSES, ArrivalPath, draw_path
from kvopt.regret.profiles import profile_graph

TWO = Mix(8, [1, 1], [2, 6], [0.7, 0.3])


@st.composite
def mixes(draw: st.DrawFn) -> Mix:
    """Small mixes of one to three types."""
    capacity = draw(st.integers(2, 9))
    pairs = [(s, o) for s in range(capacity) for o in range(1, capacity - s + 1)]
    types = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=3, unique=True))
    shares = [draw(st.integers(1, 5)) for _ in types]
    return Mix(capacity, [s for s, _ in types], [o for _, o in types], shares)


@given(mixes())
@settings(max_examples=60, deadline=None)
def test_both_bounds_are_proved_and_meet(mix):
    """The point of the certificate: replaying it gives the two bounds, and here they coincide."""
    found = effective_capacity(mix)
    assert rate_of_walks(found.graph, found.walks) == found.lower
    assert rate_bound(found.graph, found.price, found.potential) == found.upper
    assert found.lower <= found.upper <= mix.volume_capacity
    assert found.upper - found.lower <= Fraction(1, 10**6)


@pytest.mark.parametrize(
    ("mix", "rate"),
    [
        (Mix(4, [0], [2], [1]), Fraction(1)),  # profiles 1, 2: one start a round holds 3; a second one would need 6
        (Mix(5, [4], [1], [1]), Fraction(1)),  # fills the worker for its one round
        (Mix(4, [1], [3], [1]), Fraction(1, 3)),  # peak 4 leaves no room for anybody else
        (Mix(6, [5, 0], [1, 1], [1, 1]), Fraction(12, 7)),  # six rounds of one long, one round of six short
        (TWO, Fraction(15, 28)),
    ],
)
def test_effective_capacity_by_hand(mix, rate):
    """Rates that can be worked out on paper (the last one is a computed value)."""
    found = effective_capacity(mix)
    assert (found.lower, found.upper) == (rate, rate)


def quoted_capacities():
    """The rows of the table of effective capacities in docs/regret.md."""
    page = (Path(__file__).parent.parent / "docs/regret.md").read_text()
    return re.findall(
        r"^\| (\d+) \| ([(),\d ]+) \| ([\d., ]+) \| ([\d,]+) \| ([\d/]+) \| ([\d.]+) % \|$", page, re.MULTILINE
    )


@pytest.mark.parametrize("rounds", [0, 2**31 - 1, 1.5])
def test_paths_of_odd_length(rounds):
    """Random numbers for two thousand million rounds would take all memory there is, however rare the arrivals."""
    with pytest.raises(InputError, match=r"rounds must be an integer within 1\.\.10000000, got"):
        draw_path(TWO, Fraction(1, 10**9), rounds, 0, 0)


def test_huge_outputs_are_refused_before_they_are_listed():
    """A ramp of two thousand million tokens would take all memory there is before any limit is looked at."""
    with pytest.raises(TooLargeError, match="outputs of 2,147,483,000 tokens"):
        profile_graph(Mix(2**31 - 1, [1, 1], [2, 2_147_483_000], [1, 1]))


def test_table_of_the_page():
    """Every figure that docs/regret.md quotes as proved."""
    rows = quoted_capacities()
    assert len(rows) == 9
    for capacity, types, shares, profiles, rate, part in rows:
        pairs = [(int(s), int(o)) for s, o in re.findall(r"\((\d+),(\d+)\)", types)]
        mix = Mix(int(capacity), [s for s, _ in pairs], [o for _, o in pairs], shares.split(", "))
        found = effective_capacity(mix)
        assert (found.lower, found.upper) == (Fraction(rate), Fraction(rate))
        assert len(found.graph) == int(profiles.replace(",", ""))
        assert f"{100 * float(found.volume_share):.2f}" == part


def test_plan_of_the_lower_bound_is_a_schedule():
    """A closed walk repeated ten times is a feasible schedule to the independent checker's memory profile."""
    found = effective_capacity(TWO)
    for walk in found.walks:
        kinds, starts, now = [], [], 0
        for move in walk.moves * 10:
            if move == -1:
                now += 1
            else:
                kinds.append(move)
                starts.append(now)
        prompt, output = TWO.columns
        inst = kvopt.Instance(TWO.capacity, prompt[kinds], output[kinds])
        assert Schedule(inst, np.array(starts)).memory.max() <= TWO.capacity


def test_broken_proofs_are_refused():
    """A checker that accepts anything proves nothing."""
    found = effective_capacity(TWO)
    walk = found.walks[0]
    with pytest.raises(ValueError, match="gains"):
        rate_bound(found.graph, found.price, [0] * len(found.graph))
    with pytest.raises(ValueError, match="prices"):
        rate_bound(found.graph, [0, 0], found.potential)
    with pytest.raises(ValueError, match="ends in"):
        rate_of_walks(found.graph, [dataclasses.replace(walk, moves=(*walk.moves, 0))])
    with pytest.raises(ValueError, match="does not fit"):
        rate_of_walks(found.graph, [dataclasses.replace(walk, moves=(1,) * 9)])
    with pytest.raises(ValueError, match="negative"):
        rate_of_walks(found.graph, [dataclasses.replace(walk, weight=Fraction(-1))])


@given(mixes(), st.integers(0, 10**6), st.sampled_from(PROCESSES))
@settings(max_examples=40, deadline=None)
def test_hindsight_agrees_with_the_exact_solvers(mix, seed, process):
    """The forward programme against the dynamic programme and, where it is small enough, brute force."""
    rate = min(effective_capacity(mix).lower, Fraction(1))
    path = draw_path(mix, rate, 8, seed, 0, process)
    if len(path.arrival) == 0:
        assert hindsight_waiting(profile_graph(mix), path) == 0
        return
    inst = path.instance(mix)
    value = hindsight_waiting(profile_graph(mix), path) + int(inst.output.sum())
    best = kvopt.solve(inst, "dp")
    assert (best.status, best.total_latency) == ("optimal", value)
    if inst.n <= 5:
        assert kvopt.solve(inst, "brute-force").total_latency == value


def test_hindsight_curve_is_each_horizon_alone():
    """One pass over the path must give what separate runs give."""
    graph = profile_graph(TWO)
    path = draw_path(TWO, Fraction(1, 2), 120, 3, 1, "poisson")
    horizons = np.array([1, 17, 60, 120])
    alone = [hindsight_waiting(graph, path.until(int(h))) for h in horizons]
    assert hindsight_curve(graph, path, horizons).tolist() == alone


def test_paths_are_the_same_for_a_seed_and_differ_by_index():
    """Common random numbers: policies and horizons are compared on equal arrivals."""
    first, again, other = (draw_path(TWO, Fraction(2, 5), 200, 5, index) for index in (0, 0, 1))
    assert first.arrival.tolist() == again.arrival.tolist()
    assert first.kind.tolist() == again.kind.tolist()
    assert first.arrival.tolist() != other.arrival.tolist()
    assert first.until(50).counts(2).tolist() == first.counts(2)[:50].tolist()


@pytest.mark.parametrize("process", PROCESSES)
def test_arrival_rates(process):
    """Every process brings the stated rate and shares, within five standard deviations."""
    rounds, rate = 40_000, Fraction(1, 2)
    counts = draw_path(TWO, rate, rounds, 0, 0, process).counts(2)
    for k, share in enumerate(TWO.share):
        mean = float(rate * share)
        assert abs(counts[:, k].sum() - rounds * mean) < 5 * (rounds * mean) ** 0.5
    if process != "poisson":
        assert counts.max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, [1], [2], [float("nan")]), "share must be a positive number, got nan"),
        ((8, [1], [2], [-1]), "share must be a positive number, got -1"),
        ((8, [1], [2], [0]), "share must be a positive number"),
        ((8, [1], [8], [1]), "peak 9 exceeds the capacity 8"),
        ((8, [1, 1], [2, 2], [1, 1]), "listed twice"),
        ((8, [1, 1], [2], [1, 1]), "2 prompts, 1 outputs and 2 shares"),
        ((8, [], [], []), "at least one type"),
        ((8, [1], [0], [1]), "output must be an integer within 1"),
        ((0, [1], [1], [1]), "capacity must be an integer within 1"),
        ((8, [1.5], [2], [1]), "prompt must be an integer"),
    ],
)
def test_bad_mixes(arguments, message):
    """Nonsense is named, not computed with."""
    with pytest.raises(InputError, match=message):
        Mix(*arguments)


def test_impossible_paths():
    """A process that cannot bring the rate says so."""
    with pytest.raises(InputError, match="at most 1 request a round"):
        draw_path(TWO, Fraction(3, 2), 10, 0, 0, "bernoulli")
    with pytest.raises(InputError, match="type 0 would arrive"):
        draw_path(TWO, Fraction(2), 10, 0, 0, "types")
    with pytest.raises(UnknownNameError, match="bernoulli"):
        draw_path(TWO, Fraction(1, 2), 10, 0, 0, "weekly")
    with pytest.raises(InputError, match="the rate must be a positive number, got nan"):
        draw_path(TWO, float("nan"), 10, 0, 0)
    with pytest.raises(InputError, match="the rate must be a positive number, got -1"):
        draw_path(TWO, -1, 10, 0, 0)
    with pytest.raises(InputError, match="rounds must be an integer within"):
        draw_path(TWO, Fraction(1, 2), 0, 0, 0)


def test_vanishing_shares_have_no_effective_capacity():
    """A share beyond the programme's precision leaves 0 as all that is proved; a load of that is no load."""
    known = Capacities.of(Mix(8, [1, 1], [2, 3], ["1e-12", 1]))
    with pytest.raises(InputError, match="known from above only"):
        known.rate(Fraction(1, 2))
    assert known.rate(Fraction(1, 2), "volume") > 0


def test_large_capacities_are_refused():
    """The exact methods name their limit instead of filling the memory."""
    with pytest.raises(TooLargeError, match="more than 1,000 running configurations"):
        profile_graph(Mix(64, [1, 1], [2, 6], [1, 1]), most=1_000)


def test_no_arrivals():
    """An empty path costs nothing."""
    nobody = ArrivalPath(5, np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert hindsight_waiting(profile_graph(TWO), nobody) == 0
