"""Results of the exact engine (docs/findings.md): a sample of each claim, checked again."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from itertools import combinations_with_replacement
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance, verify
from kvopt.experiments import find_experiment
from kvopt.experiments import published_models as published
from kvopt.experiments import smallest_counterexamples as smallest
from kvopt.experiments import worst_ratios as worst
from kvopt.experiments.identical_requests import (
    completed,
    greedy_rate,
    identical,
    latency_bound,
    least_capacity,
    recurrence,
    shortest_first,
    spread,
    sustained_rate,
)
from kvopt.model import Schedule

ROOT = Path(__file__).parent.parent
FINDINGS = ROOT / "docs/findings.md"


def rows_under(heading: str) -> list[dict[str, str]]:
    """The first table of the page after a heading, by the words of its header."""
    text = FINDINGS.read_text().split(heading, 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", text, re.M)
    assert lines is not None
    header, _, *body = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[0].splitlines()]
    return [dict(zip(header, cells, strict=True)) for cells in body]


# ---------------------------------------------------------------- smallest counterexamples


@pytest.mark.parametrize("row", rows_under("## 1."), ids=lambda row: f"{row['n']}-{row['condition']}-{row['s']}")
def test_table_of_smallest_counterexamples(row):
    """The cell of each row gives the outputs and values of the page, and the cell with one token less has none."""
    cell = {
        "requests": int(row["n"]),
        "prompt": int(row["s"]),
        "capacity": int(row["least M"]),
        "least_capacity_over_peak": 2 if "2" in row["condition"] else 1,
    }
    found = smallest.measure(cell)
    outputs = found["outputs"].replace(" ", ",")
    assert (outputs, found["mc_sf"], found["optimum"]) == (row["outputs"], int(row["MC-SF"]), int(row["OPT"]))
    assert smallest.measure(cell | {"capacity": cell["capacity"] - 1})["outputs"] is None


@given(st.integers(1, 14), st.integers(1, 5), st.integers(1, 3), st.integers(3, 6))
def test_every_multiset_is_enumerated_once(total, parts, least, most):
    """A gap in the enumeration would make "none exists" empty."""
    every = [c for c in combinations_with_replacement(range(least, most + 1), parts) if sum(c) == total]
    assert list(smallest.partitions(total, parts, least, most)) == every


def test_a_cell_counts_all_its_instances():
    """Three requests have no counterexample, so all multisets of outputs are settled, by bound or by proof."""
    row = smallest.measure({"requests": 3, "prompt": 1, "capacity": 6, "least_capacity_over_peak": 1})
    assert (
        row["examined"]
        == row["by_volume"] + row["by_search"]
        == len(list(combinations_with_replacement(range(1, 6), 3)))
    )
    assert row["outputs"] is None


# ---------------------------------------------------------------- identical requests

lengths = st.tuples(st.integers(0, 5), st.integers(1, 8))


@given(lengths, st.fractions(Fraction(1, 8), 4, max_denominator=12))
def test_closed_form_is_the_load_of_spread_starts(length, rate):
    """The sum over starts floor(k / r) equals s ceil(o r) + sum of ceil(j r)."""
    prompt, output = length
    load, k = 0, 0
    while floor(k / rate) < output:
        load += prompt + output - floor(k / rate)
        k += 1
    assert load == least_capacity(prompt, output, rate)
    assert least_capacity(prompt, output, rate) == prompt * ceil(output * rate) + sum(
        ceil(j * rate) for j in range(1, output + 1)
    )


@given(lengths, st.integers(0, 40), st.integers(1, 30))
def test_spread_starts_are_feasible(length, room, requests):
    """The schedule of the theorem, checked by the verifier."""
    prompt, output = length
    instance = identical(prompt, output, prompt + output + room, requests)
    starts = spread(sustained_rate(prompt, output, instance.capacity), requests)
    columns = (instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist())
    assert not verify.schedule_violations(instance.capacity, *columns, starts.tolist())


@given(lengths, st.integers(0, 40))
def test_no_larger_rate_with_a_small_denominator_fits(length, room):
    """The rate is the largest, and the next fraction above it needs more than the capacity."""
    prompt, output = length
    capacity = prompt + output + room
    rate = sustained_rate(prompt, output, capacity)
    assert least_capacity(prompt, output, rate) <= capacity < least_capacity(prompt, output, rate + Fraction(1, 10**6))


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(0, 3), st.integers(1, 5)), st.integers(0, 12), st.integers(1, 20))
def test_optimum_between_bound_and_spread_schedule(length, room, requests):
    """Closed bound <= proved optimum <= spread schedule, and the two ends are n (floor(o r) - 1) / r apart at most."""
    prompt, output = length
    instance = identical(prompt, output, prompt + output + room, requests)
    rate = sustained_rate(prompt, output, instance.capacity)
    spread_value = Schedule(instance, spread(rate, requests)).total_latency
    low = latency_bound(prompt, output, instance.capacity, requests)
    assert low <= smallest.optimal_schedule(instance).total_latency <= spread_value
    assert spread_value - low <= requests * (floor(output * rate) - 1) / rate


@pytest.mark.parametrize(("prompt", "output", "capacity"), [(0, 4, 12), (1, 4, 20), (0, 5, 13), (3, 3, 14)])
def test_optima_repeat_at_the_best_rate(prompt, output, capacity):
    """OPT(n + c) = OPT(n) + L n + K, and c / L is the rate of the theorem."""
    optima = [smallest.optimal_schedule(identical(prompt, output, capacity, n)).total_latency for n in range(1, 37)]
    found = recurrence([0, *optima])
    assert found is not None
    assert Fraction(found[0], found[1]) == sustained_rate(prompt, output, capacity)


def test_no_recurrence_without_evidence():
    """Values that never repeat give none."""
    assert recurrence([n**3 for n in range(30)]) is None


@given(lengths, st.integers(0, 30))
def test_greedy_rate_is_that_of_a_long_run(length, room):
    """A found period is one: starts far beyond it continue at the same rate."""
    prompt, output = length
    capacity = prompt + output + room
    rate = greedy_rate(prompt, output, capacity)
    starts = shortest_first(prompt, output, capacity, 400)
    assert starts[-1] * rate == pytest.approx(400, abs=2 * output * capacity)
    assert rate <= sustained_rate(prompt, output, capacity)


@given(lengths, st.integers(0, 20), st.integers(1, 12))
def test_greedy_completion_is_mc_sf(length, room, requests):
    """Completed from nothing, the starts are those of the policy."""
    prompt, output = length
    capacity = prompt + output + room
    ours = completed(prompt, output, capacity, np.zeros(0, dtype=np.int64), requests)
    assert ours.tolist() == shortest_first(prompt, output, capacity, requests).tolist()


def test_limit_without_prompts():
    """The worst limit of the scan is 2 o / (o + 1) for prompts of 0."""
    for o in range(1, 9):
        assert Fraction(worst.limits({"prompt": 0, "output": o})["limit"]) == Fraction(2 * o, o + 1)


# ---------------------------------------------------------------- worst ratios


def test_annealing_repeats_and_keeps_to_its_cell():
    """The same cell gives the same instance, with one prompt and M >= 2 max peak where asked."""
    cell = {"method": "search", "policy": "mc-sf", "least_capacity_over_peak": 2, "requests": 5, "seed": 3, "steps": 60}
    row = worst.measure(cell)
    assert row == worst.measure(cell)
    pairs = [tuple(map(int, part.split("x")[0].split("+"))) for part in row["lengths"].split()]
    assert len({s for s, _ in pairs}) == 1
    assert all(2 * (s + o) <= row["capacity"] for s, o in pairs)


def test_the_filter_drops_only_small_ratios():
    """None means that no ratio above the threshold is possible."""
    instance = Instance(5, [1] * 4, [1, 1, 3, 3])
    ratios = worst.Ratios("mc-sf", smallest.optimal_schedule)
    assert ratios.above(instance, 0.0) == Fraction(13, 12)
    assert ratios.above(instance, Fraction(13, 10)) is None
    assert (ratios.examined, ratios.solved) == (2, 1)


@pytest.mark.parametrize("row", rows_under("### Families"), ids=lambda row: row["family"])
def test_table_of_families(row):
    """Members of the families that are quick to prove have the ratios of the page."""
    o, n = int(row["o"]), int(row["n"])
    method = "equal requests" if row["family"].startswith("equal") else "alternating pairs"
    if n <= 40:
        found = worst.measure({"method": method, "output": o, "requests": n})
        assert (found["policy_value"], found["optimum"]) == tuple(
            int(row[key].replace(",", "")) for key in ("value", "OPT")
        )
        assert Fraction(found["limit"]) == Fraction(row["limit"])


def test_pairs_need_no_ties():
    """With volumes that strictly increase in turn, smallest-volume-first still serves one request at a time."""
    output, pairs = 4, 8
    prompts = [output * pairs + i for i in range(1, pairs + 1)]
    volumes = [prompt * output + output * (output + 1) // 2 for prompt in prompts]
    rows = [row for s, v in zip(prompts, volumes, strict=True) for row in ((s, output), (v, 1))]
    instance = Instance.from_rows(volumes[-1] + 1, rows)
    assert len(set(instance.volume.tolist())) == instance.n
    serial = np.cumsum([output, 1] * pairs).sum()
    assert worst.svf(instance) == serial
    # The short ones one after another, then a long one a round, the largest prompt first.
    starts = np.empty(instance.n, dtype=np.int64)
    starts[1::2], starts[0::2] = np.arange(pairs), pairs + np.arange(pairs)[::-1]
    columns = (instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist())
    assert not verify.schedule_violations(instance.capacity, *columns, starts.tolist())
    assert serial > 1.8 * Schedule(instance, starts).total_latency


@pytest.mark.parametrize(
    "row", rows_under("### Largest found"), ids=lambda row: f"{row['policy']}-{row['condition']}-{row['n']}"
)
def test_table_of_largest_ratios(row):
    """Policy and optimum of the instances on the page, proved again."""
    inner, _, times = row["prompt+output x count"].rpartition(") x")
    pairs = [part.split("x") for part in (inner.strip("(") or times).split()]
    requests = [(*map(int, lengths.split("+")), int(count)) for lengths, count in pairs] * (int(times) if inner else 1)
    instance = Instance.from_rows(int(row["M"]), requests)
    assert instance.n == int(row["n"])
    assert worst.POLICIES[row["policy"]](instance) == int(row["value"])
    assert smallest.optimal_schedule(instance).total_latency == int(row["OPT"])
    if "2" in row["condition"]:
        assert instance.capacity >= 2 * instance.peak.max()


# ---------------------------------------------------------------- published models


@pytest.mark.parametrize("model", published.PUBLISHED)
def test_intervals_hold_what_they_say(model):
    """Bound <= best <= MC-SF, whatever the time limit."""
    row = published.measure({"model": model, "seed": 1, "time_limit_s": 0.5})
    assert row["bound"] <= row["best"] <= row["mc_sf"]
    assert 1 <= row["ratio_at_least"] <= row["ratio_at_most"]


# ---------------------------------------------------------------- the command and the library


@pytest.mark.parametrize("name", ["smallest-counterexamples", "identical-requests", "worst-ratios", "published-models"])
def test_experiments_are_complete(name):
    """Each has cells for both sizes, all different, and quick ones are fewer."""
    experiment = find_experiment(name)
    full, quick = (list(experiment.cells(0, small)) for small in (False, True))
    assert len(quick) < len(full)
    assert len({json.dumps(cell, sort_keys=True) for cell in full}) == len(full)


def test_draw_and_findings_of_a_few_rows():
    """Pictures and sentences come from whatever rows there are."""
    for name, wanted in (
        ("smallest-counterexamples", {"capacity": 6, "prompt": 0}),
        ("identical-requests", {"output": 2}),
        ("worst-ratios", {"requests": 10}),
    ):
        experiment = find_experiment(name)
        cells = [cell for cell in experiment.cells(0, True) if wanted.items() <= cell.items()]
        rows = [cell | experiment.measure(cell) for cell in cells]
        assert rows
        assert experiment.draw(rows).get_axes()
        assert all(experiment.findings(rows))
