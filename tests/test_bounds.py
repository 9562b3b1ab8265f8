"""Lower bounds: below every optimum, as strong as they claim to be, exact to the unit."""

from __future__ import annotations

import os
import subprocess
import sys
from math import ceil
from pathlib import Path

import msgspec
import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve
from kvopt.bounds import METHODS, growth, lower_bound
from kvopt.bounds import flow as flow_bound
from kvopt.bounds import lp as lp_bound
from kvopt.bounds import prices as price_bounds
from kvopt.bounds.fluid import fluid_length, fluid_prices, marginal_volumes
from kvopt.bounds.prices import MemoryPrices, certificate, certified, evaluate, fluid, memory_prices, rounded
from kvopt.errors import InputError, TooLargeError, UnknownNameError
from kvopt.generate import generate
from kvopt.io.formats import write
from kvopt.mip.lp import time_indexed_lp
from kvopt.model import Certificate, exact_sum
from kvopt.verify import PROVED, Problem, check_certificate, check_flow, check_prices, verify

#: Types, M, requests: from two types to all different.
MIDDLE = [
    Instance.from_rows(46, [(2, 11, 15), (2, 19, 15), (3, 1, 10)]),
    Instance.from_rows(30, [(2, 13, 30), (3, 6, 30)]),
    Instance(capacity=40, prompt=[1 + i % 5 for i in range(16)], output=[2 * i + 1 for i in range(16)]),
    Instance(
        capacity=40,
        prompt=[1 + i % 5 for i in range(16)],
        output=[2 * i + 1 for i in range(16)],
        arrival=[(7 * i) % 40 for i in range(16)],
    ),
]


def price_bound_by_definition(instance: Instance, prices: MemoryPrices) -> int:
    """The Lagrangian bound, every start of every request and every round of its run written out."""
    price = dict(enumerate(prices.numerators.tolist()))
    total = -instance.capacity * sum(price.values())
    for s, o, a in zip(instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist(), strict=True):
        total += min(
            (p + o - a) * prices.denominator + sum(price.get(p + j - 1, 0) * (s + j) for j in range(1, o + 1))
            for p in range(a, max(a, len(price)) + 1)
        )
    return -(-total // prices.denominator)


@st.composite
def price_vectors(draw: st.DrawFn, max_rounds: int = 25) -> MemoryPrices:
    """Arbitrary, falling, convex and blockwise prices."""
    values = draw(st.lists(st.integers(0, draw(st.sampled_from([2, 50, 10**6]))), max_size=max_rounds))
    shape = draw(st.sampled_from(["any", "falling", "convex", "blocks"]))
    if shape == "falling":
        values = sorted(values, reverse=True)
    elif shape == "convex":
        drops = sorted(values)
        values = [sum(drops[: k + 1]) for k in range(len(drops))][::-1]
    elif shape == "blocks":
        values = [value for value in values for _ in range(3)]
    return MemoryPrices(np.array(values, dtype=np.int64), draw(st.sampled_from([1, 7, 64, 2**20])))


@given(instances())
def test_no_bound_exceeds_the_optimum(instance: Instance) -> None:
    """A lower bound above an optimum found by enumeration would be a false proof."""
    optimum = solve(instance, "brute-force").total_latency
    for method in METHODS:
        found = lower_bound(instance, method, time_limit_s=5)
        assert int(instance.output.sum()) <= found.value <= optimum, method
        assert check_certificate(Problem.of(instance), found.certificate.as_dict()) == found.value


@given(instances(max_n=6), price_vectors())
def test_prices_are_evaluated_exactly(instance: Instance, prices: MemoryPrices) -> None:
    """The compiled evaluation, the checker's and the definition agree to the unit, whatever the prices."""
    expected = price_bound_by_definition(instance, prices)
    assert evaluate(instance, prices) == expected
    assert check_prices(Problem.of(instance), certificate(prices).data) == expected


@pytest.mark.parametrize("shape", ["convex", "noisy", "rising"])
def test_evaluation_survives_sums_beyond_64_bits(shape: str) -> None:
    """Sums of sums of prices wrap around in the compiled evaluation; the costs they give must not."""
    rounds = 4000
    values = np.arange(rounds, 0, -1, dtype=np.int64) * 2**33
    if shape == "noisy":
        values += np.arange(rounds) * 7919 % 2**30
    elif shape == "rising":
        values = values[::-1].copy()
    assert sum(int(v) * (t + 1) for t, v in enumerate(values.tolist())) > 2**63
    instance = Instance(capacity=100, prompt=[3, 0, 50], output=[40, 7, 50], arrival=[0, 11, 3])
    found = certified(instance, MemoryPrices(values, 2**30))
    assert found.value == check_prices(Problem.of(instance), found.certificate.data)
    if shape != "noisy":
        assert found.value == price_bound_by_definition(instance, MemoryPrices(values, 2**30))


def test_volume_bound_of_identical_requests() -> None:
    """Fact 4: the published figure, and a staggered schedule that is proved within 3.6 % of it."""
    instance = Instance(capacity=190, prompt=[0] * 1000, output=[19] * 1000)
    assert lower_bound(instance, "volume").value == 500_671
    staggered = sum(k + 19 for k in range(1000))
    assert staggered == 518_500
    for method in ("flow", "lp"):
        assert 500_671 <= lower_bound(instance, method, time_limit_s=60).value <= staggered


def test_volume_bound_is_the_rank_formula_for_a_backlog() -> None:
    """Fact 7: sum over ranks of max(sorted output, sorted prefix volume / M rounded up)."""
    for instance in MIDDLE[:3]:
        prefix = np.cumsum(np.sort(instance.volume))
        ranks = np.maximum(np.sort(instance.output), -(-prefix // instance.capacity))
        assert lower_bound(instance, "volume").value == int(ranks.sum())


def test_volume_bound_uses_arrivals() -> None:
    """Late arrivals must not be served in advance: two full-size requests a thousand rounds apart do not queue."""
    rows = [(0, 4, 1, 0), (0, 4, 1, 1000)]
    assert lower_bound(Instance.from_rows(4, rows), "volume").value == 8
    crowded = [(0, 4, 3, 1000), (0, 4, 1, 0)]
    # 10 token-rounds each at 4 a round: completions 1003, 1005, 1008, but none before 1004.
    assert lower_bound(Instance.from_rows(4, crowded), "volume").value == 4 + 4 + 5 + 8


@pytest.mark.parametrize("instance", MIDDLE, ids=["three", "two", "different", "arrivals"])
def test_order_of_strength(instance: Instance) -> None:
    """Fact 7: flow is below the linear programme, whose value ascent nearly reaches and never exceeds."""
    programme = time_indexed_lp(instance, 2 * fluid_length(instance.types, instance.capacity) + 80).value
    assert lower_bound(instance, "flow").value <= ceil(programme + 1e-6)
    assert ceil(programme - 1e-3) <= lower_bound(instance, "lp").value <= ceil(programme + 1e-6)
    ascent = lower_bound(instance, "prices").value
    assert 0.998 * programme <= ascent <= ceil(programme + 1e-6)
    assert lower_bound(instance, "best", time_limit_s=3).value >= max(ascent, lower_bound(instance, "volume").value)


@given(instances(max_n=6), price_vectors())
def test_flow_is_below_prices_with_the_same_prices(instance: Instance, prices: MemoryPrices) -> None:
    """A run uses consecutive rounds in order; the flow bound lets its tokens choose their rounds."""
    flow = check_flow(Problem.of(instance), {"denominator": prices.denominator, "prices": prices.numerators.tolist()})
    assert flow <= max(evaluate(instance, prices), int(instance.output.sum()))


@settings(max_examples=25)
@given(instances(max_n=5))
def test_flow_agrees_with_networkx(instance: Instance) -> None:
    """OR-Tools' minimum cost is that of an independent network simplex, and the duals certify at least that."""
    net = flow_bound.network(instance)
    flow = flow_bound.cheapest_flow(net)
    graph = networkx.DiGraph()
    for k, supply in enumerate(net.supply.tolist()):
        graph.add_node(("type", k), demand=-supply)
    for k, t in zip(*(index.tolist() for index in net.arcs), strict=True):
        graph.add_edge(("type", k), ("round", t), capacity=int(net.limit[k]), weight=int(net.cost[k, t]))
    for t in range(net.cost.shape[1]):
        graph.add_edge(("round", t), "sink", capacity=net.capacity)
    graph.add_node("sink", demand=int(net.supply.sum()))
    cost = int((flow * net.cost).sum())
    assert networkx.min_cost_flow_cost(graph) == cost
    types = instance.types
    moment = [sum((j - 1) * (s + j) for j in range(1, o + 1)) for s, o in zip(types.prompt, types.output, strict=True)]
    fixed = types.count * (types.output - types.arrival - np.array(moment) / types.volume)
    assert flow_bound.bound(instance).value >= cost / net.denominator + float(fixed.sum()) - 1e-3


def test_flow_prices_refuse_a_costly_flow() -> None:
    """Duals exist for optimal flows only; another flow must be noticed, not certified."""
    net = flow_bound.network(Instance.from_rows(4, [(0, 2, 2), (1, 3, 1)]))
    best = flow_bound.cheapest_flow(net)
    assert (best >= 0).all()
    worse = best[:, ::-1]
    with pytest.raises(flow_bound.SolverError):
        flow_bound.round_prices(net, worse)


def test_prices_of_a_fluid_schedule_are_convex() -> None:
    """What makes a large certificate quick to check: for a backlog the drops never grow, also after rounding."""
    rng = np.random.default_rng(5)
    instance = Instance(capacity=2000, prompt=rng.integers(0, 300, 1500), output=rng.integers(1, 200, 1500))
    prices = fluid(instance)
    drops = -np.diff(prices.numerators, append=0)
    assert (np.diff(drops) <= 0).all()
    assert (drops >= 0).all()
    found = certified(instance, prices)
    assert check_prices(Problem.of(instance), found.certificate.data) == found.value
    assert len(found.certificate.data["drops"]) < len(drops) / 4
    assert found.value > 0.99 * lower_bound(instance, "volume").value


def test_large_instances_get_fluid_prices() -> None:
    """Beyond the budget of an ascent the prices are those of the fluid schedule, and arrivals do not break them."""
    rng = np.random.default_rng(6)
    columns = {"prompt": rng.integers(0, 300, 1000), "output": rng.integers(1, 60, 1000)}
    for arrival in (np.zeros(1000, dtype=np.int64), rng.integers(0, 1000, 1000)):
        instance = Instance(capacity=2000, arrival=arrival, **columns)
        prices = memory_prices(instance, time_limit_s=0.1)
        expected = fluid(instance)
        assert prices.denominator == expected.denominator > 2**20
        assert (prices.numerators == expected.numerators).all()
        found = certified(instance, prices)
        assert check_prices(Problem.of(instance), found.certificate.data) == found.value


def test_marginal_volumes_follow_arrivals() -> None:
    """A smaller request that arrives is served first, and an idle gap carries no price."""
    instance = Instance.from_rows(3, [(0, 3, 2, 0), (0, 2, 1, 1), (0, 1, 3, 9)])
    marginal = marginal_volumes(instance.types, 3, 12)
    # Volumes 6, 6 from round 0; 3 in round 1; nothing left from round 5 to 8; three of volume 1 in round 9.
    assert marginal.tolist() == [6, 3, 6, 6, 6, 0, 0, 0, 0, 1, 0, 0]
    assert fluid_length(instance.types, 3) == 10
    # In round 0 a request of volume 6 is served: round 1 counts for it, who must wait, as 1/6.
    assert fluid_prices(marginal, 6).tolist() == [5, 5, 3, 2, 1, 0, 0, 0, 0, 6, 0, 0]


@given(st.integers(1, 2000), st.integers(1, 40), st.floats(0, 1e9))
def test_denominators_leave_room_for_64_bit_sums(n: int, output: int, price: float) -> None:
    """The range promised to users of prices: every sum of costs stays below 2^61."""
    instance = Instance(capacity=50, prompt=[10] * n, output=[output] * n)
    prices = rounded(instance, np.full(100, price))
    assert prices.denominator in {2**k for k in range(21)}
    top = int(prices.numerators.max(initial=0))
    cost = (100 + output) * prices.denominator + int(instance.volume[0]) * top
    assert n * cost < 2**61
    assert 50 * int(prices.numerators.astype(object).sum()) < 2**61


@pytest.mark.parametrize("method", ["volume", "lp", "prices", "growth", "room", "packing", "flow"])
def test_remote_arrivals_and_long_outputs(method: str) -> None:
    """Rounds beyond any array: a bound or a clear refusal, never gigabytes."""
    late = Instance(capacity=10, prompt=[1, 1], output=[3, 3], arrival=[0, 2**31 - 1])
    long = Instance(capacity=2**31 - 1, prompt=[0, 0], output=[2**31 - 1, 5])
    for instance in (late, long):
        if method in ("flow", "lp"):
            with pytest.raises(TooLargeError):
                lower_bound(instance, method)
        else:
            found = lower_bound(instance, method, time_limit_s=1)
            assert found.value == check_certificate(Problem.of(instance), found.certificate.as_dict())
            assert found.value >= int(instance.output.sum())


def test_wrong_arguments() -> None:
    """Names and limits that make no sense are input errors that say what is allowed."""
    instance = MIDDLE[0]
    with pytest.raises(UnknownNameError, match="volume, lp, prices, growth, room, packing, flow, best"):
        lower_bound(instance, "simplex")
    with pytest.raises(InputError, match="time_limit_s must be a number above 0"):
        lower_bound(instance, "prices", time_limit_s=0)


def test_prices_are_reproducible() -> None:
    """Equal arguments give equal prices, so that a published certificate can be made again."""
    first, second = memory_prices(MIDDLE[0]), memory_prices(MIDDLE[0])
    assert first.denominator == second.denominator
    assert (first.numerators == second.numerators).all()


def test_a_tolerance_costs_little() -> None:
    """An ascent that leaves its stages early proves nearly the same."""
    instance = generate("types", requests=40, types=3, seed=5)
    near, best = (evaluate(instance, memory_prices(instance, tolerance=tolerance)) for tolerance in (0.001, 0.0))
    assert 0.998 * best <= near <= best + 1


def test_lp_bound_of_the_first_counterexample() -> None:
    """Fact 7 on the smallest counterexample: 10 by volume, 21/2 by the linear programme, optimum 12."""
    instance = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    assert time_indexed_lp(instance, 20).value == pytest.approx(21 / 2)
    assert [lp_bound.bound(instance).value, solve(instance, "brute-force").total_latency] == [11, 12]


def test_kernels_stay_within_their_arrays(tmp_path: Path) -> None:
    """Compiled code reads garbage out of bounds without a word; this runs every kernel with the checks on."""
    program = (
        "from kvopt import Instance\n"
        "from kvopt.bounds.prices import bound\n"
        "rows = [(1, 4, 2, 0), (0, 9, 1, 3), (2, 1, 3, 30)]\n"
        "print(bound(Instance.from_rows(11, rows)).value)\n"
    )
    plain = lower_bound(Instance.from_rows(11, [(1, 4, 2, 0), (0, 9, 1, 3), (2, 1, 3, 30)]), "prices").value
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert (shown.stdout, shown.returncode) == (f"{plain}\n", 0), shown.stderr


def test_bound_command(tmp_path: Path) -> None:
    """The result object of `kvopt bound --json` is what `kvopt verify` proves, and the file holds the same."""
    path, result = tmp_path / "three.json", tmp_path / "three.result.json"
    write(MIDDLE[0], path)
    kvopt = [sys.executable, "-c", "from kvopt.cli import main; main()"]
    command = [*kvopt, "bound", str(path), "--method", "flow", "--json", "-o", str(result)]
    shown = subprocess.run(command, capture_output=True, check=True)
    claim = msgspec.json.decode(shown.stdout)
    assert msgspec.json.decode(result.read_bytes()) == claim
    assert (claim["status"], claim["starts"], claim["total_latency"]) == ("unknown", None, None)
    assert claim["lower_bound"] == lower_bound(MIDDLE[0], "flow").value
    checked = subprocess.run([*kvopt, "verify", str(path), str(result)], capture_output=True, text=True, check=True)
    assert checked.stdout.startswith(PROVED)
    refused = subprocess.run([*kvopt, "bound", str(path), "--method", "x"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "unknown bound 'x'" in refused.stderr


def test_certificates_without_prices() -> None:
    """No priced round at all is a certificate too: it proves the sum of the outputs."""
    empty = certificate(MemoryPrices(np.zeros(0, dtype=np.int64), 1))
    assert empty == Certificate("prices", {"denominator": 1, "drops": [], "rounds": []})
    assert check_certificate(Problem.of(MIDDLE[3]), empty.as_dict()) == int(MIDDLE[3].output.sum())


def overloaded(n: int) -> Instance:
    """Requests that arrive half again as fast as memory can serve them."""
    rng = np.random.default_rng(0)
    prompt, output = rng.integers(1, 200, n), rng.integers(1, 100, n)
    rounds = int((prompt * output + output * (output + 1) // 2).sum() / 3000 / 1.5)
    return Instance(3000, prompt, output, rng.integers(0, rounds, n))


def test_prices_that_take_too_long_are_left_out() -> None:
    """Evaluating prices that are not convex goes through every start: hours for 100,000 arrivals."""
    instance = overloaded(300)
    assert len(memory_prices(instance, time_limit_s=1e-6).numerators) == 0
    found = price_bounds.bound(instance, time_limit_s=1e-6)
    assert found.value == exact_sum(instance.output)
    assert check_prices(Problem.of(instance), found.certificate.as_dict()) == found.value


def test_the_prices_solver_knows_at_least_the_volume_bound() -> None:
    """With arrivals, prices of large instances proved less than nothing: their bound was negative."""
    instance = overloaded(300)
    result = solve(instance, "prices", time_limit_s=0.01)
    assert result.lower_bound >= lower_bound(instance, "volume").value
    assert verify(result).verdict == PROVED


def test_growth_obeys_its_budget() -> None:
    """One evaluation takes seconds for 100,000 types; without budget for one, the prices' bound stands."""
    rng = np.random.default_rng(1)
    instance = Instance(5000, rng.integers(100, 900, 400), rng.integers(20, 200, 400))
    given = memory_prices(instance, time_limit_s=0.1)
    assert growth.improved(instance, given, time_limit_s=1e-6) == certified(instance, given)
    assert growth.improved(instance, given, time_limit_s=1.0).value > certified(instance, given).value
