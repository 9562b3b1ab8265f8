"""Each policy against its own description."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance, solve
from kvopt.errors import InputError, UnknownNameError
from kvopt.online import Interval, Over, Unknown, simulate
from kvopt.online.predictions import PREDICTIONS
from kvopt.policies import POLICIES, find_policy
from kvopt.policies.sorted_f import sorted_f_order


@st.composite
def instances(draw, max_n=8):
    """Small instances with unequal prompts and arrivals."""
    capacity = draw(st.integers(2, 14))
    n = draw(st.integers(1, max_n))
    output = draw(st.lists(st.integers(1, capacity), min_size=n, max_size=n))
    prompt = [draw(st.integers(0, capacity - o)) for o in output]
    arrival = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    return Instance(capacity, prompt, output, arrival)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_completes_an_easy_instance(name):
    """Every registered name loads, runs with its defaults and says its name."""
    instance = Instance(200, [3] * 6, [5] * 6, [0, 0, 1, 2, 3, 9])
    policy = find_policy(name)
    assert policy.name == name
    assert simulate(instance, policy).finished


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope", "unknown policy 'nope'; known: fcfs, mc-sf"),
        ("mc-sf:alpha=1", "takes no option 'alpha=1'; it takes: none"),
        ("alpha-greedy:beta=1", "it takes: alpha"),
        ("alpha-greedy:alpha", "expected OPTION=VALUE, got 'alpha'; it takes: alpha"),
        ("mc-sf:", "expected OPTION=VALUE, got ''; it takes: none"),
        ("alpha-greedy:alpha=0.1,", "expected OPTION=VALUE, got ''"),
        ("alpha-greedy:alpha=0.1,alpha=0.2", "option 'alpha' is given twice"),
        ("alpha-greedy:alpha=much", "alpha: expected a number, true or false, got 'much'"),
        ("alpha-greedy:alpha=1", "alpha must be at least 0 and below 1"),
        ("alpha-greedy:alpha=nan", "alpha must be at least 0 and below 1"),
        ("alpha-beta-clearing:beta=0", "beta must be above 0"),
        ("vllm-fcfs:watermark=-0.1", "watermark must be at least 0"),
    ],
)
def test_bad_names_and_options_are_named(text, message):
    """A policy's text comes from the command line: each mistake has a message of its own."""
    with pytest.raises(InputError, match=message):
        find_policy(text)
    if text == "nope":
        with pytest.raises(UnknownNameError):
            find_policy(text)


def test_alpha_greedy_protects_memory():
    """Admission while at most (1 - alpha) M is in use: the one in question does not count, the ones before do."""
    instance = Instance(10, [3, 3, 3], [1, 1, 1])
    starts = [simulate(instance, find_policy(f"alpha-greedy:alpha={alpha}")).start.tolist() for alpha in (0, 0.3, 0.7)]
    # 4 tokens each: two fit; with 0.3 the second still sees 4 <= 7 in use, with 0.7 it sees 4 > 3
    assert starts == [[0, 0, 1], [0, 0, 1], [0, 1, 2]]


def test_alpha_greedy_resets_everything():
    """On overflow all progress is lost, and the requests wait again."""
    instance = Instance(10, [0, 0], [9, 3], [0, 1])
    result = simulate(instance, find_policy("alpha-greedy:alpha=0.5"))
    assert result.evictions.tolist() == [0, 0]
    crowded = simulate(Instance(10, [0, 4], [9, 6], [0, 1]), find_policy("alpha-greedy:alpha=0.5"))
    assert crowded.overflows > 0
    assert (crowded.evictions > 0).all()


def test_clearing_with_certainty_is_alpha_greedy():
    """beta = 1 resets every running request, so the two policies coincide."""
    rng = np.random.default_rng(2)
    instance = Instance(50, rng.integers(0, 9, 40), rng.integers(1, 30, 40), rng.integers(0, 300, 40))
    one = simulate(instance, find_policy("alpha-greedy:alpha=0.4"))
    other = simulate(instance, find_policy("alpha-beta-clearing:alpha=0.4,beta=1"))
    assert one.overflows > 0
    assert np.array_equal(one.completion, other.completion, equal_nan=True)


def test_vllm_preempts_the_last_admitted():
    """Two requests that outgrow the memory: the later one makes room and comes again."""
    instance = Instance(10, [1, 1], [7, 7], [0, 1])
    result = simulate(instance, find_policy("vllm-fcfs:watermark=0"), predictions=Unknown())
    assert result.evictions[0] == 0 < result.evictions[1]
    assert result.completion[0] == 7
    assert result.first_token[1] == 2  # the reader has seen it, evicted later or not


def test_a_max_is_mc_sf_told_upper_bounds():
    """Interval predictions: a-max orders and checks by u, a-min by l."""
    rng = np.random.default_rng(5)
    instance = Instance(60, rng.integers(0, 10, 50), rng.integers(1, 40, 50), rng.integers(0, 100, 50))
    exact = {name: simulate(instance, find_policy(name)) for name in ("mc-sf", "a-max", "a-min")}
    assert (
        exact["a-max"].completion.tolist() == exact["mc-sf"].completion.tolist() == exact["a-min"].completion.tolist()
    )
    wide = {name: simulate(instance, find_policy(name), predictions=Interval(1), seed=1) for name in exact}
    assert wide["a-max"].completion.tolist() == wide["mc-sf"].completion.tolist()
    assert wide["a-max"].overflows == 0
    assert wide["a-min"].overflows > 0
    assert wide["a-min"].finished


def test_over_estimates_cost_latency_but_never_memory():
    """Look-ahead with bounds twice too high admits less, and never evicts."""
    rng = np.random.default_rng(6)
    instance = Instance(60, rng.integers(0, 10, 80), rng.integers(1, 40, 80))
    exact, over = (simulate(instance, find_policy("mc-sf"), predictions=Over(factor)) for factor in (1, 2))
    assert over.overflows == exact.overflows == 0
    assert over.mean_memory < exact.mean_memory
    assert over.total_latency > exact.total_latency


@settings(deadline=None)
@given(instances())
def test_gba_takes_classes_in_order(instance):
    """In the event-driven solver and in the simulator alike: by class (2^(k-1), 2^k], then arrival, then index."""
    result = simulate(instance, find_policy("gba"))
    assert result.schedule.starts.tolist() == solve(instance, "gba").schedule.starts.tolist()


@settings(deadline=None)
@given(instances())
def test_sorted_f_solver_is_the_policy(instance):
    """The solver offers what the simulator does, with arrivals and without."""
    result = simulate(instance, find_policy("sorted-f"))
    assert result.schedule.starts.tolist() == solve(instance, "sorted-f").schedule.starts.tolist()


@settings(deadline=None)
@given(instances(max_n=6))
def test_sorted_f_takes_feasible_sets_of_small_f(instance):
    """The first set can start together, and no single request and no pair of equal prompts has a smaller F."""
    order = sorted_f_order(instance.capacity, instance.prompt, instance.output).tolist()
    assert sorted(order) == list(range(instance.n))

    def feasible(chosen):
        ends = [int(instance.output[i]) for i in chosen]
        return all(
            sum(int(instance.prompt[i]) + end for i in chosen if instance.output[i] >= end) <= instance.capacity
            for end in ends
        )

    def f(chosen):
        return sum(int(instance.output[i]) for i in chosen) / len(chosen) ** 2

    first = min(f(order[:k]) for k in range(1, instance.n + 1) if feasible(order[:k]))
    assert first <= min(f([i]) for i in range(instance.n)) + 1e-12
    for pair in combinations(range(instance.n), 2):
        if len(set(instance.prompt.tolist())) == 1 and feasible(pair):
            assert first <= f(pair) + 1e-12


def test_gsa_slices_double():
    """A request of 5 tokens needs slices 1, 2, 4, 8: three restarts, with 1 + 2 + 4 tokens of lost work."""
    result = simulate(Instance(20, [2], [5]), find_policy("gsa"), predictions=Unknown())
    assert result.evictions.tolist() == [3]
    assert result.generated_tokens == 5 + 7


def test_the_page_is_up_to_date(capsys):
    """docs/online.md lists every policy and kind of prediction, and its example of a policy runs."""
    page = (Path(__file__).parent.parent / "docs/online.md").read_text(encoding="utf-8")
    first_cells = " ".join(re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE))
    names = set(re.findall(r"`([a-z][a-z-]*)(?::X)?`", first_cells))
    assert names == set(POLICIES) | set(PREDICTIONS)
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(compile(example, "online.md", "exec"), {})
    assert capsys.readouterr().out == "13 [0 0 1 4]\n"
