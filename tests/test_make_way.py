"""Rule 2 with a run that makes way: optima stay, proofs hold, and what names no such run is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from certificates import packed, proved
from hypothesis import given
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve
from kvopt.bounds.prices import MemoryPrices, memory_prices
from kvopt.exact.kernels import Rules
from kvopt.exact.proof import search_certificate
from kvopt.exact.search import ALL_RULES, Pass, Search
from kvopt.generate import generate
from kvopt.monitor import Monitor
from kvopt.verify import Problem, Refusal, Replay, read_varints


@contextmanager
def everywhere() -> Iterator[None]:
    """Runs are asked to make way in every layer, whether it pays or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kvopt.exact.search.SMALL_LABELS", 0)
        patch.setattr("kvopt.exact.search.MOVE_FROM", 0)
        patch.setattr("kvopt.exact.search.MOVE_PAYS", np.inf)
        yield


def closed(instance: Instance, prices: MemoryPrices, rules: Rules = ALL_RULES) -> tuple[Search, Pass]:
    """A search that nothing but its rules and these prices restricts, and its recorded pass."""
    search = Search(instance, prices, Monitor(instance), rules)
    with everywhere():
        return search, search.run(2**20, record=True)


def moves(done: Pass) -> int:
    """Labels whose gap rule names a run that makes way."""
    return sum(int((trace.gap[:, 2] >= 0).sum()) for trace in done.traces)


NO_PRICES = MemoryPrices(np.zeros(0, dtype=np.int64), 1)


@given(instances(max_n=6))
def test_no_optimum_is_lost(instance: Instance) -> None:
    """Without any bound, for arrivals and equal shapes as well; and the certificate proves it."""
    search, done = closed(instance, NO_PRICES)
    truth = solve(instance, "brute-force").total_latency
    assert (done.complete, done.bound) == (True, truth)
    assert proved(instance, search_certificate(done, search).as_dict()) == truth


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arrivals", [False, True])
def test_fewer_labels_and_the_same_optimum(seed: int, arrivals: bool) -> None:
    """On instances on which runs do make way; the rule alone, and with the others."""
    instance = generate("different", requests=8, capacity=24, seed=seed)
    if arrivals:
        arrival = np.random.default_rng(seed).integers(0, 12, instance.n)
        instance = Instance(instance.capacity, instance.prompt, instance.output, arrival)
    _, without = closed(instance, memory_prices(instance), Rules(move=False))
    search, done = closed(instance, memory_prices(instance))
    assert moves(without) == 0 < moves(done)
    assert done.generated <= without.generated
    assert done.bound == without.bound == solve(instance, "dp").total_latency
    assert proved(instance, search_certificate(done, search).as_dict()) == done.bound


@given(instances(max_n=5), st.data())
def test_altered_moves_prove_nothing_false(instance: Instance, data: st.DataObject) -> None:
    """Numbers of codes in which each label names a run to make way, altered, never prove more than the optimum."""
    search, done = closed(instance, NO_PRICES)
    certificate = search_certificate(done, search).as_dict()
    numbers = list(read_varints(certificate["codes"]))
    types = len(instance.types)
    at = data.draw(st.integers(0, max(0, len(numbers) - 1)))
    k = data.draw(st.integers(0, types - 1))
    numbers[at : at + 2] = [types + k, *data.draw(st.lists(st.integers(0, 9), min_size=3, max_size=3))]
    bound = proved(instance, certificate | {"codes": packed(numbers)})
    assert bound is None or bound <= solve(instance, "brute-force").total_latency


def test_what_makes_way_is_checked() -> None:
    """Run, places, memory and arrivals of a named move: each of them off by one is refused."""
    # Two tokens in round 0 and three in round 1 are held: type 0 runs from round 0; type 1 is to start.
    instance = Instance(capacity=4, prompt=[1, 2], output=[2, 1], arrival=[0, 0])
    replay = Replay(Problem.of(instance), 100, 1, [])
    label = next(child for child in replay.children(replay.root(), (0, 0, -1, 0), 1) if child[12][0] == 0)
    assert (label[2], label[12]) == (2, (0, 0, None))
    # Type 1 runs in round 0 once type 0 starts in round 1: both are over in round 2, and starts sum up to 1.
    assert replay.last_wait(label, (1, -2, 0, -1)) == 0
    for gap, rule in (
        ((1, -2, 1, -1), "not in the window"),
        ((1, -2, 0, -2), "does not fit"),
        ((1, -3, 0, -1), "no remaining request"),
        ((0, -2, 0, -1), "no remaining request"),
        ((1, -2, -1, 0), "does not fit"),
    ):
        with pytest.raises(Refusal, match=rule):
            replay.last_wait(label, gap)
    later = Replay(Problem.of(Instance(capacity=4, prompt=[1, 2], output=[2, 1], arrival=[0, 1])), 100, 1, [])
    with pytest.raises(Refusal, match="does not fit"):
        later.last_wait((*label[:1], later.left((0, 1)), *label[2:]), (1, -2, 0, -1))
