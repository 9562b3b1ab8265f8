"""Growth bounds: never above an optimum, exact to the unit, and above the linear programme where growth binds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve
from kvopt.bounds import lower_bound
from kvopt.bounds import prices as plain
from kvopt.bounds.growth import Leads, certificate, evaluate, fluid_leads, fluid_with_leads, pooled
from kvopt.bounds.prices import MemoryPrices
from kvopt.verify import Problem, Refusal, check_certificate, check_growth


@st.composite
def price_vectors(draw: st.DrawFn) -> MemoryPrices:
    """Convex, falling and arbitrary prices of a few rounds."""
    values = draw(st.lists(st.integers(0, 40), min_size=1, max_size=14))
    shape = draw(st.sampled_from(["convex", "falling", "any"]))
    if shape == "falling":
        values = sorted(values, reverse=True)
    elif shape == "convex":
        values = np.cumsum(sorted(values)).tolist()[::-1]
    return MemoryPrices(np.array(values, dtype=np.int64), draw(st.sampled_from([1, 7, 64, 2**20])))


@st.composite
def leads_and_sizes(draw: st.DrawFn) -> Leads:
    """Up to four spans; neither leads nor their ratios to sizes fall."""
    count = draw(st.integers(1, 4))
    spans = draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
    lead = sorted(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)))
    size = [draw(st.integers(1, 8))]
    for k in range(1, count):
        most = 12 if lead[k - 1] == 0 else lead[k] * size[-1] // lead[k - 1]
        size.append(draw(st.integers(1, most)))
    return Leads(np.cumsum([0, *spans[:-1]]), np.array(lead), np.array(size))


def growth_bound_by_definition(instance: Instance, prices: MemoryPrices, leads: Leads) -> int:
    """Every start of every request and every round of its run written out."""
    price = prices.numerators.tolist()
    begin, lead, size = leads.begin.tolist(), leads.lead.tolist(), leads.size.tolist()

    def at(t: int) -> int:
        return price[t] if t < len(price) else 0

    def span(t: int) -> int:
        return sum(b <= t for b in begin) - 1

    credits = []
    for b, ahead, tokens in zip(begin, lead, size, strict=True):
        tops = [max(price[max(b - m, 0) :], default=0) for m in range(ahead)]
        credits.append(-(-instance.capacity * sum((ahead - m) * top for m, top in enumerate(tops)) // tokens))
    total = -instance.capacity * sum(price)
    for s, o, a in zip(instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist(), strict=True):
        costs = []
        for p in range(a, max(a, len(price), begin[-1]) + 1):
            k = span(p)
            memory = sum(at(p + j - 1) * (s + j) for j in range(1, o + 1))
            charge = sum(at(p + j - 1) * min(size[k], s + j) for j in range(1, o + 1)) * lead[k] // size[k]
            costs.append((p + o - a) * prices.denominator + memory + charge - credits[span(p + o - 1)])
        total += min(costs)
    return -(-total // prices.denominator)


@settings(max_examples=200)
@given(instances(max_n=6), price_vectors(), leads_and_sizes())
def test_is_evaluated_exactly(instance: Instance, prices: MemoryPrices, leads: Leads) -> None:
    """The compiled evaluation, the checker's and the definition agree to the unit, whatever prices and leads."""
    expected = growth_bound_by_definition(instance, prices, leads)
    assert evaluate(instance, prices, leads) == expected
    assert check_growth(Problem.of(instance), certificate(prices, leads).data) == expected


@settings(max_examples=200)
@given(instances(), price_vectors(), leads_and_sizes())
def test_never_exceeds_the_optimum(instance: Instance, prices: MemoryPrices, leads: Leads) -> None:
    """The inequality must hold for every schedule: no prices and leads may prove more than the optimum."""
    assert evaluate(instance, prices, leads) <= solve(instance, "brute-force").total_latency


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_beats_the_linear_programme_where_growth_binds(seed: int) -> None:
    """A long backlog of requests that grow a lot between completions: the gain is a fraction of a percent."""
    rng = np.random.default_rng(seed)
    instance = Instance(8000, rng.integers(300, 1500, 600), rng.integers(20, 400, 600))
    prices = plain.memory_prices(instance, time_limit_s=0.5)
    leads = fluid_leads(instance, 0.8)
    found = evaluate(instance, fluid_with_leads(instance, leads), leads)
    below = plain.evaluate(instance, prices)
    assert below * 1.002 < found <= solve(instance, "svf").total_latency
    bound = lower_bound(instance, "growth", time_limit_s=0.5)
    assert bound.value >= found
    assert check_certificate(Problem.of(instance), bound.certificate.as_dict()) == bound.value


def test_falls_back_on_prices() -> None:
    """With arrivals, or one request at a time, leads prove nothing more: the certificate is that of the prices."""
    late = Instance(50, [3] * 6, [20] * 6, [0, 9, 3, 4, 30, 2])
    assert lower_bound(late, "growth", time_limit_s=0.5).certificate.kind == "prices"


@pytest.mark.parametrize(
    "change",
    [
        {"spans": [4]},
        {"spans": [4, 0]},
        {"leads": [2, 1]},
        {"leads": [-1, 2]},
        {"sizes": [3, 4]},
        {"sizes": [3, 0]},
        {"leads": [1, 2**40]},
        {"drops": [-5, 1, 1]},
        {"sizes": None},
    ],
)
def test_bad_certificates_are_refused(change: dict) -> None:
    """Lengths that differ, and leads or ratios that fall, are where the proof would break."""
    instance = Instance.from_rows(9, [(1, 3, 5)])
    data = {
        "denominator": 8,
        "drops": [3, 2, 1],
        "rounds": [1, 1, 3],
        "spans": [4, 4],
        "leads": [1, 1],
        "sizes": [3, 3],
    }
    assert check_growth(Problem.of(instance), data) <= 25
    with pytest.raises(Refusal):
        check_growth(Problem.of(instance), {**data, **change})


def test_pooling() -> None:
    """Means of neighbours out of order, the non-decreasing values nearest to the given ones."""
    assert pooled(np.array([1.0, 3.0, 2.0, 2.0, 5.0])).tolist() == pytest.approx([1, 7 / 3, 7 / 3, 7 / 3, 5])
