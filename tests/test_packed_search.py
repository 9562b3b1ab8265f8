"""The label search with the packing bound: labels follow candidates of a sweep, and the certificate has both."""

from __future__ import annotations

from dataclasses import replace

import certificates
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve
from kvopt.bounds import packing, prices
from kvopt.bounds.packing import DENOMINATOR, Rewards, proved
from kvopt.bounds.packing_sweep import Sweeper
from kvopt.exact.proof import search_certificate
from kvopt.exact.search import Pass, Search
from kvopt.generate import generate
from kvopt.monitor import Monitor


def packed_search(instance: Instance, rewards: Rewards, priced: bool = True) -> Search:
    """A search with a sweep of the given rewards, with or without memory prices of its own."""
    given_ = prices.fluid(instance)
    search = Search(
        instance, given_ if priced else replace(given_, numerators=given_.numerators[:0]), Monitor(instance)
    )
    search.packing = proved(Sweeper(instance), rewards)
    assert search.packing is not None
    return search


def recorded(search: Search, threshold: int) -> tuple[Pass, dict]:
    """A pass and its certificate."""
    done = search.run(threshold, record=True)
    return done, search_certificate(done, search).as_dict()


@st.composite
def any_rewards(draw: st.DrawFn, instance: Instance) -> Rewards:
    """Rewards that make no, some or all starts gain, and prices of any shape."""
    quarter, kinds = DENOMINATOR // 4, len(instance.types)
    reward = draw(st.lists(st.integers(0, 80), min_size=kinds, max_size=kinds))
    price = draw(st.lists(st.integers(0, 3), max_size=12))
    return Rewards(quarter * np.array(reward, dtype=np.int64), quarter * np.array(price, dtype=np.int64))


@settings(max_examples=60)
@given(st.data())
def test_any_rewards_leave_the_search_exact(data: st.DataObject) -> None:
    """Whatever is rewarded, the optimum is found, its proof is accepted, and no label is counted that cannot be."""
    instance = data.draw(instances(max_n=6))
    search = packed_search(instance, data.draw(any_rewards(instance)), priced=data.draw(st.booleans()))
    best = solve(instance, "brute-force").total_latency
    for threshold in (best, best + 1, best + 5):
        done, certificate = recorded(search, threshold)
        assert done.complete
        assert done.bound == best
        assert certificates.proved(instance, certificate) == best


@pytest.mark.parametrize("seed", range(4))
def test_prunes_and_is_checked(seed: int) -> None:
    """Rewards that were climbed to leave fewer labels; an early end has a bound that is accepted."""
    instance = (
        generate("different", requests=13, seed=seed) if seed < 2 else generate("arrivals", requests=13, seed=seed)
    )
    best = solve(instance, "dp")
    plain = Search(instance, prices.fluid(instance), Monitor(instance)).run(best.total_latency)
    search = Search(instance, prices.fluid(instance), Monitor(instance))
    search.packing = packing.search(instance, best.schedule.starts, time_limit_s=1)
    done, certificate = recorded(search, best.total_latency)
    assert done.complete
    assert done.kept < plain.kept
    assert certificates.proved(instance, certificate) == best.total_latency
    early = search.run(best.total_latency, record=True, budget=done.generated // 3)
    assert not early.complete
    cut = search_certificate(early, search).as_dict()
    assert certificates.proved(instance, cut) == early.bound
    assert search.packing.value <= early.bound < best.total_latency


@settings(max_examples=40)
@given(st.data())
def test_touched_packings_prove_nothing_false(data: st.DataObject) -> None:
    """With another reward, price or denominator in its packing a certificate is refused, or what it proves is true."""
    instance = data.draw(instances(max_n=5))
    search = packed_search(instance, data.draw(any_rewards(instance)))
    best = solve(instance, "brute-force").total_latency
    _, certificate = recorded(search, best)
    inner = dict(certificate["packing"])
    key = data.draw(st.sampled_from(["rewards", "drops", "denominator", "codes"]))
    if key == "denominator":
        inner[key] = data.draw(st.sampled_from([0, 1, 3, 2**15, 2**17, 2**21]))
    elif key == "codes":
        inner[key] = certificates.packed(data.draw(st.lists(st.integers(0, 3), max_size=9)))
    elif inner[key]:
        at = data.draw(st.integers(0, len(inner[key]) - 1))
        inner[key] = [*inner[key][:at], inner[key][at] + data.draw(st.integers(-3 * DENOMINATOR, 3 * DENOMINATOR))]
        inner[key] += certificate["packing"][key][at + 1 :]
    bound = certificates.proved(instance, {**certificate, "packing": inner})
    assert bound is None or bound <= best


@pytest.mark.parametrize("malformed", [1, [], {}, {"denominator": 1}])
def test_malformed_packings_are_refused(malformed: object) -> None:
    """Wrong kinds of values end in a refusal, never in a crash."""
    instance = Instance.from_rows(6, [(1, 2), (1, 3), (2, 2)])
    search = Search(instance, prices.fluid(instance), Monitor(instance))
    _, certificate = recorded(search, solve(instance, "brute-force").total_latency)
    assert certificates.proved(instance, {**certificate, "packing": malformed}) is None
