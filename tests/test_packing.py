"""Packing bounds: never above an optimum, exact to the unit, near the optimum where the linear programme is far."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve
from kvopt.bounds import lower_bound
from kvopt.bounds import prices as plain
from kvopt.bounds.packing import (
    DENOMINATOR,
    Packing,
    Rewards,
    certificate,
    first_rewards,
    first_schedule,
    rounded,
    varints,
)
from kvopt.verify import Problem, Refusal, check_certificate, check_packing


@st.composite
def rewards_for(draw: st.DrawFn, instance: Instance) -> Rewards:
    """Rewards that make every, some or no start worth its cost, and prices of any shape."""
    unit = DENOMINATOR // 4
    kinds = len(instance.types)
    reward = draw(st.lists(st.integers(0, 100 * unit), min_size=kinds, max_size=kinds))
    price = draw(st.lists(st.integers(0, 3 * unit), max_size=12))
    return Rewards(np.array(reward, dtype=np.int64), np.array(price, dtype=np.int64))


def largest_gain(instance: Instance, rewards: Rewards) -> int:
    """The best of all packings with at most one start of each request, by enumeration."""
    gains = rewards.gains(instance)
    kind = instance.types.of_request.tolist()
    longest = len(gains) + int(instance.output.max())

    def best(i: int, held: tuple[int, ...]) -> int:
        if i == instance.n:
            return 0
        found = best(i + 1, held)
        s, o = int(instance.prompt[i]), int(instance.output[i])
        for p in np.flatnonzero(gains[:, kind[i]]).tolist():
            more = list(held)
            for j in range(o):
                more[p + j] += s + j + 1
            if max(more) <= instance.capacity:
                found = max(found, int(gains[p, kind[i]]) + best(i + 1, tuple(more)))
        return found

    return best(0, (0,) * longest)


@settings(max_examples=150)
@given(st.data())
def test_never_exceeds_the_optimum(data: st.DataObject) -> None:
    """Whatever rewards and prices, with arrivals and without, and the checker agrees to the unit."""
    instance = data.draw(instances())
    rewards = data.draw(rewards_for(instance))
    packing = Packing(instance)
    swept = packing.sweep(rewards, 0.5)
    value = packing.value(rewards, swept)
    assert value <= solve(instance, "brute-force").total_latency
    assert check_packing(Problem.of(instance), certificate(rewards, swept).data) == value


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_gains_at_least_what_single_runs_can(data: st.DataObject) -> None:
    """The sweep must not lose a packing: enumeration of those that use each request once finds no larger gain."""
    instance = data.draw(instances(max_n=3))
    unit = DENOMINATOR
    reward = [data.draw(st.integers(0, 9 * unit)) for _ in range(len(instance.types))]
    rewards = Rewards(np.array(reward, dtype=np.int64), np.array([unit // 8] * 4, dtype=np.int64))
    assert int(Packing(instance).sweep(rewards, 0.5).best) >= largest_gain(instance, rewards)


@pytest.mark.parametrize("seed", [0, 1])
def test_is_near_the_optimum_of_large_requests(seed: int) -> None:
    """Requests of up to the whole capacity: the linear programme is 20 % below, the packing bound a few per cent."""
    rng = np.random.default_rng(seed)
    prompt = rng.integers(1, 3, 10)
    instance = Instance(14, prompt, [int(rng.integers(1, 15 - s)) for s in prompt])
    optimum = solve(instance, "dp").total_latency
    found = lower_bound(instance, "packing", time_limit_s=3)
    below = lower_bound(instance, "lp").value
    assert optimum - found.value < (optimum - below) / 3
    assert found.certificate.kind == "packing"
    assert check_certificate(Problem.of(instance), found.certificate.as_dict()) == found.value


def test_cells_of_sixteen_bits() -> None:
    """Capacities beyond 127 take wider cells, and long outputs several words."""
    instance = Instance.from_rows(300, [(100, 10, 1), (20, 12, 1), (150, 9, 1)])
    packing = Packing(instance)
    rewards = rounded(*first_rewards(instance, first_schedule(instance), 0.0))
    swept = packing.sweep(rewards, 0.5)
    assert swept.complete
    value = packing.value(rewards, swept)
    assert value <= solve(instance, "dp").total_latency
    assert check_packing(Problem.of(instance), certificate(rewards, swept).data) == value


def test_falls_back_on_prices() -> None:
    """Where packings are too many, or too long to pack, the price bound stands."""
    long = Instance.from_rows(5000, [(10, 900, 3)])
    assert lower_bound(long, "packing", time_limit_s=0.5) == plain.bound(long, time_limit_s=0.5)


def coded(values: list[int]) -> str:
    """Codes of a certificate."""
    return base64.b64encode(zlib.compress(varints(np.array(values)))).decode()


#: One request of two tokens and a reward of 3 rounds: gains of 1 in round 0 alone, 2 candidates there.
SMALL = {"denominator": 1, "drops": [], "rounds": [], "rewards": [3], "codes": coded([0, 0])}


def test_small_certificate_by_hand() -> None:
    """M = 4 takes one (0, 2) alone in round 0; merged labels hold the least and gained the most."""
    instance = Instance.from_rows(4, [(0, 2, 1)])
    assert check_packing(Problem.of(instance), SMALL) == 2
    assert check_packing(Problem.of(instance), {**SMALL, "codes": coded([0, 1])}) == 2
    # With a reward of 4 rounds it may start in round 1 as well. Merging loses that it still runs then: two gains.
    four = {**SMALL, "rewards": [4]}
    assert check_packing(Problem.of(Instance.from_rows(2, [(0, 2, 1)])), {**four, "codes": coded([0] * 5)}) == 2
    assert check_packing(Problem.of(Instance.from_rows(2, [(0, 2, 1)])), {**four, "codes": coded([0, 1, 0, 0])}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"rewards": [3, 3]},
        {"rewards": [-1]},
        {"rewards": [2**61]},
        {"rewards": None},
        {"codes": coded([0])},
        {"codes": coded([0, 0, 0])},
        {"codes": coded([1, 0])},
        {"codes": coded([0, 2])},
        {"codes": "x"},
        {"codes": None},
        {"drops": [-1], "rounds": [1]},
        {"denominator": 0},
    ],
)
def test_bad_certificates_are_refused(change: dict) -> None:
    """Codes that are too few, too many or name no label, and rewards that do not belong to the types."""
    instance = Instance.from_rows(4, [(0, 2, 1)])
    with pytest.raises(Refusal):
        check_packing(Problem.of(instance), {**SMALL, **change})


def test_a_round_of_too_many_candidates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates from elsewhere must not exhaust memory."""
    monkeypatch.setattr("kvopt.verify.MOST_CANDIDATES", 3)
    instance = Instance.from_rows(40, [(0, 2, 4)])
    with pytest.raises(Refusal, match="candidates"):
        check_packing(Problem.of(instance), {**SMALL, "codes": coded([0] * 9)})


@settings(max_examples=40)
@given(st.data())
def test_mutated_certificates_never_prove_too_much(data: st.DataObject) -> None:
    """Another reward, price or label is refused or proves something true."""
    instance = data.draw(instances(max_n=4))
    rewards = data.draw(rewards_for(instance))
    given_ = certificate(rewards, Packing(instance).sweep(rewards, 0.5)).data
    codes = list(zlib.decompress(base64.b64decode(given_["codes"])))
    if codes:
        codes[data.draw(st.integers(0, len(codes) - 1))] = data.draw(st.integers(0, 5))
    changed = {**given_, "codes": base64.b64encode(zlib.compress(bytes(codes))).decode()}
    changed["rewards"] = [max(0, r + data.draw(st.integers(-DENOMINATOR, DENOMINATOR))) for r in given_["rewards"]]
    try:
        value = check_packing(Problem.of(instance), changed)
    except Refusal:
        return
    assert value <= solve(instance, "brute-force").total_latency


def test_dynamic_programme_takes_it_when_stopped() -> None:
    """Many large requests: a run without hope of a proof ends with a bound far above the linear programme's."""
    rng = np.random.default_rng(4)
    prompt = rng.integers(1, 4, 40)
    instance = Instance(20, prompt, [int(rng.integers(1, 21 - s)) for s in prompt])
    assert len(instance.types) > 24
    result = solve(instance, "dp", time_limit_s=5)
    assert result.certificate.kind == "packing"
    assert result.lower_bound > 1.05 * lower_bound(instance, "growth", time_limit_s=1).value
    assert check_certificate(Problem.of(instance), result.certificate.as_dict()) == result.lower_bound
