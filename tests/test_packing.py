"""Packing bounds: never above an optimum, exact to the unit, near the optimum where the linear programme is far."""

from __future__ import annotations

import base64
import zlib

import certificates
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve
from kvopt.bounds import lower_bound, packing
from kvopt.bounds import prices as plain
from kvopt.bounds.packing import (
    DENOMINATOR,
    Found,
    Replay,
    Rewards,
    certificate,
    first_rewards,
    first_schedule,
    proved,
    rounded,
    varints,
)
from kvopt.bounds.packing_sweep import Sweeper
from kvopt.verify import Problem, Refusal, check_certificate, check_packing


def checked(instance: Instance, data: dict) -> int | None:
    """The bound that the data of a certificate prove, as both checkers say, or None for a refusal."""
    return certificates.proved(instance, {"kind": "packing", **data})


def followed(instance: Instance, rewards: Rewards, found: Found, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Profiles and gains of the labels after a round of a sweep, by following what it recorded."""
    types, swept_ = instance.types, found.swept
    longest = int(types.output.max())
    runs = np.zeros((len(types), longest), dtype=np.int64)
    for k, (s, o) in enumerate(zip(types.prompt.tolist(), types.output.tolist(), strict=True)):
        runs[k, :o] = s + 1 + np.arange(o)
    gains, now = rewards.gains(instance), 0
    labels = [(np.zeros(longest, dtype=np.int64), 0)]
    for r, t in enumerate(swept_.round_of[: last + 1].tolist()):
        candidates: list[tuple[np.ndarray, int]] = []
        named: dict[int, list[tuple[np.ndarray, int]]] = {}
        for x in range(int(swept_.first[r]), int(swept_.first[r + 1])):
            parent, kind = int(swept_.parent[x]), int(swept_.kind[x])
            if kind < 0:
                profile = np.append(labels[parent][0][t - now :], np.zeros(t - now, dtype=np.int64))[-longest:]
                candidates.append((profile, labels[parent][1]))
            else:
                profile, gain = candidates[parent]
                candidates.append((profile + runs[kind], gain + int(gains[t, kind])))
            named.setdefault(int(swept_.group[x]), []).append(candidates[-1])
        labels = [
            (np.append(np.min([p for p, _ in members], axis=0)[1:], 0), max(g for _, g in members))
            for _, members in sorted(named.items())
        ]
        now = t + 1
    return np.array([p for p, _ in labels]), np.array([g for _, g in labels])


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


def swept(instance: Instance, rewards: Rewards, workers: int = 1) -> Found:
    """A sweep that is allowed any cost."""
    found = proved(Sweeper(instance, workers), rewards)
    assert found is not None
    return found


@settings(max_examples=150)
@given(st.data())
def test_never_exceeds_the_optimum(data: st.DataObject) -> None:
    """Whatever rewards and prices, with arrivals and without, and the checker agrees to the unit."""
    instance = data.draw(instances())
    rewards = data.draw(rewards_for(instance))
    found = swept(instance, rewards)
    assert found.value <= solve(instance, "brute-force").total_latency
    assert checked(instance, certificate(rewards, found.swept).data) == found.value


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_gains_at_least_what_single_runs_can(data: st.DataObject) -> None:
    """The sweep must not lose a packing: enumeration of those that use each request once finds no larger gain."""
    instance = data.draw(instances(max_n=3))
    unit = DENOMINATOR
    reward = [data.draw(st.integers(0, 9 * unit)) for _ in range(len(instance.types))]
    rewards = Rewards(np.array(reward, dtype=np.int64), np.array([unit // 8] * 4, dtype=np.int64))
    assert swept(instance, rewards).swept.best >= largest_gain(instance, rewards)


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
    assert certificates.proved(instance, found.certificate.as_dict()) == found.value


def test_cells_of_sixteen_bits() -> None:
    """Capacities beyond 127 take wider cells, and long outputs several words."""
    instance = Instance.from_rows(300, [(100, 10, 1), (20, 12, 1), (150, 9, 1)])
    rewards = rounded(*first_rewards(instance, first_schedule(instance), 0.0))
    found = swept(instance, rewards)
    assert found.value <= solve(instance, "dp").total_latency
    assert checked(instance, certificate(rewards, found.swept).data) == found.value


def large_requests(seed: int, n: int, capacity: int) -> Instance:
    """Requests of up to the whole capacity."""
    rng = np.random.default_rng(seed)
    prompt = rng.integers(1, 4, n)
    return Instance(capacity, prompt, [int(rng.integers(1, capacity + 1 - s)) for s in prompt])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_replay_is_below_a_sweep(data: st.DataObject) -> None:
    """What the labels of one sweep prove for other rewards, a sweep of these proves too; for its own, just as much."""
    instance = data.draw(instances(max_n=5))
    here, there = data.draw(rewards_for(instance)), data.draw(rewards_for(instance))
    gains = here.gains(instance)
    replay = Replay(instance, gains, swept(instance, here).swept)
    for rewards in (here, there):
        point = rewards.reward / DENOMINATOR, rewards.price / DENOMINATOR
        exact = replay.narrow(*point, np.inf)
        assert exact <= swept(instance, rewards).value + 1e-6
        assert rewards is there or exact > swept(instance, rewards).value - 1 - 1e-6
        value, slope = replay.bound(*point, 1e-3)
        assert exact - 0.1 < value <= exact + 1e-6
        assert len(slope) == len(rewards.reward) + len(rewards.price)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.floats(0, 3))
def test_narrowed_replays_lose_what_is_far(data: st.DataObject, margin: float) -> None:
    """Where it was narrowed a replay proves the same; elsewhere at least as much as all candidates do."""
    instance = data.draw(instances(max_n=5))
    here, there = data.draw(rewards_for(instance)), data.draw(rewards_for(instance))
    narrow = Replay(instance, here.gains(instance), swept(instance, here).swept)
    whole = Replay(instance, here.gains(instance), swept(instance, here).swept)
    point, other = ((each.reward / DENOMINATOR, each.price / DENOMINATOR) for each in (here, there))
    value = narrow.narrow(*point, margin)
    assert whole.narrow(*point, np.inf) == value
    assert len(narrow.graph[0]) <= len(whole.graph[0]) == len(narrow.whole[0])
    assert narrow.bound(*point, 1e-3)[0] == pytest.approx(value, abs=0.1)
    assert narrow.bound(*other, 1e-3)[0] >= whole.bound(*other, 1e-3)[0] - 1e-6


def test_replay_slopes_are_derivatives() -> None:
    """Differences of the smoothed bound in each reward and price."""
    instance = large_requests(1, 6, 12)
    kinds = len(instance.types)
    point = np.concatenate(first_rewards(instance, first_schedule(instance), 0.6))
    rewards = rounded(point[:kinds], point[kinds:])
    replay = Replay(instance, rewards.gains(instance), swept(instance, rewards).swept)
    replay.narrow(point[:kinds], point[kinds:], np.inf)
    value, slope = replay.bound(point[:kinds], point[kinds:], 0.5)
    for i in range(0, len(point), 3):
        moved = point.copy()
        moved[i] += 1e-5
        assert replay.bound(moved[:kinds], moved[kinds:], 0.5)[0] - value == pytest.approx(1e-5 * slope[i], abs=1e-7)


def test_a_search_begins_where_a_shorter_one_ended() -> None:
    """What was found is never lost, not even in no time; and going on is proved as well."""
    instance = large_requests(1, 10, 40)
    short = packing.search(instance, time_limit_s=0.05)
    assert short is not None
    kept = packing.search(instance, time_limit_s=1e-6, before=short)
    assert kept is short
    longer = packing.search(instance, time_limit_s=0.5, before=short)
    assert longer is not None
    assert longer.value > short.value
    assert check_certificate(Problem.of(instance), longer.bound.certificate.as_dict()) == longer.value


def test_a_sweep_given_up_costs_what_it_took() -> None:
    """Too many candidates end a sweep early: that must not use up the budget of the ascent."""
    instance = large_requests(2, 24, 28)
    rewards = rounded(*first_rewards(instance, first_schedule(instance), 0.15))
    sweeper = Sweeper(instance)
    assert sweeper.sweep(rewards.gains(instance), 1.0, np.inf, most=1000) is None
    early = sweeper.spent_ns
    assert proved(sweeper, rewards) is not None
    assert 0 < early < 0.1 * sweeper.spent_ns


def test_threads_change_nothing() -> None:
    """Rounds of thousands of candidates, compared by one thread and by two."""
    instance = large_requests(2, 24, 28)
    rewards = rounded(*first_rewards(instance, first_schedule(instance), 0.15))
    one, two = swept(instance, rewards), swept(instance, rewards, workers=2)
    assert np.diff(one.swept.first).max() > 5000
    assert one.value == two.value
    assert all(np.array_equal(x, y) for x, y in zip(one.swept, two.swept, strict=True))


def test_kept_labels_do_not_dominate_each_other() -> None:
    """Nothing is lost to blocks and families: every pair of labels of a round, compared cell by cell, is needed."""
    instance = large_requests(2, 24, 24)
    rewards = rounded(*first_rewards(instance, first_schedule(instance), 0.1))
    found = swept(instance, rewards)
    busiest = int(np.argmax(np.diff(found.swept.first)))
    profile, gained = followed(instance, rewards, found, busiest)
    assert len(gained) > 1500
    for x in range(0, len(gained), 7):
        below = (profile <= profile[x]).all(axis=1) & (gained >= gained[x])
        assert below.sum() == 1


@pytest.mark.parametrize("rows", [[(0, 1, 3), (1, 1, 1)], [(0, 1, 1)], [(0, 5, 1)], [(3, 1, 4)]])
def test_a_search_may_come_to_where_nothing_gains(rows: list[tuple[int, int, int]]) -> None:
    """Sweeps without a round then, of which the next ones were measured in parts: a division by zero."""
    instance = Instance.from_rows(max(s + o for s, o, _ in rows), rows)
    found = lower_bound(instance, "packing", time_limit_s=0.05)
    assert found.value <= solve(instance, "brute-force").total_latency
    assert certificates.proved(instance, found.certificate.as_dict()) == found.value


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
    assert checked(instance, SMALL) == 2
    assert checked(instance, {**SMALL, "codes": coded([0, 1])}) == 2
    # With a reward of 4 rounds it may start in round 1 as well. Merging loses that it still runs then: two gains.
    four = {**SMALL, "rewards": [4]}
    assert checked(Instance.from_rows(2, [(0, 2, 1)]), {**four, "codes": coded([0] * 5)}) == 2
    assert checked(Instance.from_rows(2, [(0, 2, 1)]), {**four, "codes": coded([0, 1, 0, 0])}) == 1


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
    assert checked(instance, {**SMALL, **change}) is None


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
    given_ = certificate(rewards, swept(instance, rewards).swept).data
    codes = list(zlib.decompress(base64.b64decode(given_["codes"])))
    if codes:
        codes[data.draw(st.integers(0, len(codes) - 1))] = data.draw(st.integers(0, 5))
    changed = {**given_, "codes": base64.b64encode(zlib.compress(bytes(codes))).decode()}
    changed["rewards"] = [max(0, r + data.draw(st.integers(-DENOMINATOR, DENOMINATOR))) for r in given_["rewards"]]
    value = checked(instance, changed)
    assert value is None or value <= solve(instance, "brute-force").total_latency


def test_dynamic_programme_takes_it_when_stopped() -> None:
    """Many large requests: a run without hope of a proof ends with a bound far above the linear programme's."""
    rng = np.random.default_rng(4)
    prompt = rng.integers(1, 4, 40)
    instance = Instance(20, prompt, [int(rng.integers(1, 21 - s)) for s in prompt])
    assert len(instance.types) > 24
    result = solve(instance, "dp", time_limit_s=10)
    # Alone, or in a search that followed it and proved more.
    assert result.certificate.kind == "packing" or result.certificate.data["packing"] is not None
    assert result.lower_bound > 1.05 * lower_bound(instance, "growth", time_limit_s=1).value
    assert check_certificate(Problem.of(instance), result.certificate.as_dict()) == result.lower_bound


def test_long_profiles_leave_room_for_fewer_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is what counts: a short certificate could ask for millions of profiles of thousands of rounds."""
    monkeypatch.setattr("kvopt.verify.MOST_BYTES", 1 << 20)
    instance = Instance.from_rows(10**6, [(s, 3_000, 1) for s in range(12)])
    data = {"denominator": 1, "drops": [], "rounds": [], "rewards": [3_001] * 12, "codes": coded([0])}
    with pytest.raises(Refusal, match="candidates"):
        check_packing(Problem.of(instance), data)
