"""Instance families: what is promised of each, reproducibility, and refused parameters."""

from __future__ import annotations

import json
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kvopt import read, solve
from kvopt.cli import app
from kvopt.errors import InputError, UnknownNameError
from kvopt.generate import FAMILIES, generate
from kvopt.generate.chat import AZURE_OUTPUT, AZURE_PERCENT, AZURE_PROMPT, LMSYS
from kvopt.generate.classic import BASELINES, COUNTEREXAMPLES, LESSONS
from kvopt.generate.worst import WORST_RATIOS
from kvopt.model import Schedule
from kvopt.verify import verify

SEEDED = ["types", "different", "arrivals", "a100", "model1", "model2", "lmsys-like", "azure-like"]
SEEDS = st.integers(0, 2**64)


@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_make_an_instance_with_provenance(family):
    """Every family works without parameters and writes down what made it."""
    instance = generate(family)
    assert instance.meta["family"] == family
    assert instance.meta["kvopt"]
    assert ("seed" in instance.meta) == (family in SEEDED)


@pytest.mark.parametrize("family", SEEDED)
def test_seed_decides(family):
    """The same seed gives the same instance, another seed another one."""
    assert generate(family, seed=5) == generate(family, seed=5) != generate(family, seed=6)


@pytest.mark.parametrize("family", FAMILIES)
def test_meta_is_enough_to_make_it_again(family):
    """Family, parameters and seed in `meta` reproduce the instance."""
    first = generate(family, **({"seed": 7} if family in SEEDED else {}))
    again = generate(family, seed=first.meta.get("seed"), **first.meta["parameters"])
    assert again == first


@given(seed=SEEDS, requests=st.integers(5, 60), types=st.integers(1, 5))
@settings(max_examples=50)
def test_types(seed, requests, types):
    """K types exactly, none empty, M 30-50, s 1-5, o 1-20."""
    instance = generate("types", seed=seed, requests=requests, types=types)
    assert (instance.n, len(instance.types)) == (requests, types)
    assert 30 <= instance.capacity <= 50
    assert 1 <= instance.prompt.min() <= instance.prompt.max() <= 5
    assert 1 <= instance.output.min() <= instance.output.max() <= 20


@given(seed=SEEDS, requests=st.integers(5, 40), types=st.none() | st.integers(1, 5))
@settings(max_examples=50)
def test_arrivals(seed, requests, types):
    """The shapes of a backlog family, arriving no later than the volume takes to serve."""
    instance = generate("arrivals", seed=seed, requests=requests, types=types)
    assert len(set(zip(instance.prompt.tolist(), instance.output.tolist(), strict=True))) == (types or requests)
    assert instance.arrival.max() <= instance.volume.sum() / instance.capacity + 1


def test_a100():
    """Few requests, of the size that a GPU sees."""
    assert [len(generate("a100", requests=12, types=k).types) for k in (None, 2)] == [12, 2]
    assert generate("a100").capacity == 16_492
    with pytest.raises(InputError, match="capacity must be at least 8502"):
        generate("a100", capacity=8_000)


@given(seed=SEEDS, requests=st.integers(1, 40))
@settings(max_examples=50)
def test_different(seed, requests):
    """No two requests are equal, and peaks reach up to M."""
    instance = generate("different", seed=seed, requests=requests)
    assert len(instance.types) == instance.n == requests
    assert 30 <= instance.capacity <= 50


def test_all_pairs_can_be_drawn():
    """The largest possible number of different requests is reached, one more is refused."""
    assert len(generate("different", requests=6, capacity=4).types) == 6
    with pytest.raises(InputError, match="only 6 different pairs"):
        generate("different", requests=7, capacity=4)


@given(seed=SEEDS)
@settings(max_examples=50)
def test_published_models(seed):
    """Ranges of arXiv 2502.07115: model 1 a backlog of 40-60, model 2 arrivals in fewer than 60 rounds."""
    one, two = generate("model1", seed=seed), generate("model2", seed=seed)
    for instance in (one, two):
        assert 30 <= instance.capacity <= 50
        assert 1 <= instance.prompt.min() <= instance.prompt.max() <= 5
        assert 1 <= instance.output.min() <= instance.peak.max() <= instance.capacity
    assert 40 <= one.n <= 60
    assert not one.has_arrivals
    assert 0 <= two.arrival.min() <= two.arrival.max() < 60
    assert (np.diff(two.arrival) >= 0).all()


def test_published_models_fill_their_ranges():
    """Over many seeds the draws reach both ends and the middle: uniform, not just within bounds."""
    drawn = [generate("model1", seed=seed) for seed in range(300)]
    assert {instance.capacity for instance in drawn} == set(range(30, 51))
    assert {instance.n for instance in drawn} == set(range(40, 61))
    share = np.concatenate([instance.output / (instance.capacity - instance.prompt) for instance in drawn])
    assert share.mean() == pytest.approx(0.51, abs=0.01)  # mean of o / (M - s) is (1 + 1/(M-s)) / 2
    arrivals = [generate("model2", seed=seed).n for seed in range(300)]
    assert np.mean(arrivals) == pytest.approx(50, rel=0.1)


def test_model2_draws_again_when_nothing_arrives():
    """One round at a low rate often has no arrival; an instance needs a request."""
    assert all(generate("model2", seed=seed, rounds=1).n >= 1 for seed in range(50))


@pytest.mark.parametrize(("prompt", "output"), [(0, 19), (1, 3), (5, 1)])
def test_identical_fits_one_start_a_round(prompt, output):
    """At the default capacity, one request's volume, staggered starts just fit: the last round is full."""
    instance = generate("identical", requests=2 * output, prompt=prompt, output=output)
    plan = Schedule(instance, list(range(instance.n)))
    assert instance.capacity == instance.volume[0] == plan.memory.max()


@pytest.mark.parametrize("capacity", [3, 64, 1000])
def test_adversarial_sf(capacity):
    """x long prompts and x floor(sqrt M) small requests; shortest-first loses to smallest-volume-first."""
    instance = generate("adversarial-sf", capacity=capacity, copies=3)
    assert instance.n == 3 + 3 * isqrt(capacity)
    if capacity > 3:
        assert solve(instance, "mc-sf").total_latency > solve(instance, "svf").total_latency


def test_adversarial_svf():
    """Smallest-volume-first takes the pairs in turn; all requests have the capacity as volume."""
    instance = generate("adversarial-svf", output=4, copies=4)
    assert set(instance.volume.tolist()) == {instance.capacity}
    assert (solve(instance, "svf").total_latency, solve(instance, "dp").total_latency) == (96, 48)


def test_lmsys_like_matches_the_public_figures():
    """Mean and median of prompts and outputs, within sampling error of a lognormal with a heavy tail."""
    instance = generate("lmsys-like", requests=100_000, seed=1)
    for column, (mean, median) in LMSYS.items():
        values = getattr(instance, column)
        assert np.median(values) == median
        assert values.mean() == pytest.approx(mean, rel=0.05)
    assert instance.capacity == 16_492


def test_azure_like_matches_the_percentiles():
    """A large sample has the percentiles and means that are stated for the trace."""
    instance = generate("azure-like", requests=100_000, seed=1)
    for values, stated, mean in ((instance.prompt, AZURE_PROMPT, 1154.7), (instance.output, AZURE_OUTPUT, 211.1)):
        assert np.percentile(values, AZURE_PERCENT[1:-1]) == pytest.approx(stated[1:-1], rel=0.06)
        assert values.mean() == pytest.approx(mean, rel=0.03)


def test_requests_above_a_small_capacity_are_drawn_again():
    """At M = 500 most Azure-like requests would not fit; those kept do."""
    assert generate("azure-like", requests=200, capacity=500).peak.max() <= 500


@pytest.mark.parametrize("number", range(1, 6))
def test_counterexamples(number):
    """Both values in `meta` are right (rows small enough for brute force)."""
    instance = generate("counterexample", number=number)
    assert len(COUNTEREXAMPLES) == 9
    assert solve(instance, "mc-sf").total_latency == instance.meta["shortest_first"]
    assert solve(instance, "brute-force").total_latency == instance.meta["optimum"]


@pytest.mark.parametrize("number", range(1, 9))
def test_worst_ratios(number):
    """Policy and optimum as stated, the latter proved."""
    instance = generate("worst-ratio", number=number)
    assert len(WORST_RATIOS) == 8
    policy = instance.meta["policy"]
    assert solve(instance, policy).total_latency == instance.meta[policy]
    assert verify(solve(instance, "dp")).optimal
    assert solve(instance, "dp").total_latency == instance.meta["optimum"]


@pytest.mark.parametrize(("lesson", "policy"), [(3, "mc-sf"), (4, "mc-sf"), (4, "fcfs"), (5, "mc-sf"), (7, "svf")])
def test_lessons_make_their_point(lesson, policy):
    """A policy that the lesson warns of is not optimal on it."""
    instance = generate("teaching", number=lesson)
    assert solve(instance, policy).total_latency > solve(instance, "brute-force").total_latency


def test_staggering_lesson():
    """One start a round beats the waves of shortest-first."""
    instance = generate("teaching", number=2)
    staggered = sum(range(instance.n)) + int(instance.output.sum())
    assert LESSONS[1].title == "staggering"
    assert (staggered, solve(instance, "mc-sf").total_latency) == (52, 60)


@pytest.mark.parametrize("number", range(1, 7))
def test_baseline(number):
    """The optima that another programme found are proved."""
    result = solve(generate("baseline", number=number), "dp")
    assert len(BASELINES) == 6
    assert verify(result).optimal
    assert result.total_latency == BASELINES[number - 1].optimum


@pytest.mark.parametrize(
    ("family", "parameters", "message"),
    [
        ("typs", {}, "known: types, different"),
        ("types", {"number": 1}, "takes no option 'number'; it takes: requests, types, capacity"),
        ("types", {"requests": 1}, "requests must be at least 2"),
        ("types", {"types": 0}, "types must be at least 1"),
        ("types", {"types": 99, "requests": 99, "capacity": 10}, "only 35 different pairs"),
        ("types", {"requests": 2.0}, "requests must be an integer"),
        ("types", {"capacity": True}, "capacity must be an integer"),
        ("different", {"capacity": 1}, "capacity must be at least 2"),
        ("model1", {"requests": 0}, "requests must be at least 1"),
        ("model2", {"rounds": 0}, "rounds must be at least 1"),
        ("identical", {"output": 0}, "output must be at least 1"),
        ("identical", {"capacity": 3}, "exceeds the capacity"),
        ("adversarial-sf", {"capacity": 2}, "capacity must be at least 3"),
        ("adversarial-svf", {"output": 1}, "output must be at least 2"),
        ("azure-like", {"capacity": 10}, "capacity must be at least 100"),
        ("counterexample", {"number": 10}, "within 1..9"),
        ("worst-ratio", {"number": 9}, "within 1..8"),
        ("teaching", {"number": 0}, "within 1..7"),
        ("teaching", {"seed": 1}, "takes no seed"),
        ("baseline", {"number": 7}, "within 1..6"),
        ("types", {"requests": 10**20}, "requests must be an integer within 0..10000000"),
        ("model2", {"rounds": 10**9}, "rounds must be an integer within"),
        ("adversarial-sf", {"capacity": 2**31}, "capacity must be an integer within 0..2147483647"),
        ("types", {"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_bad_parameters_are_refused(family, parameters, message):
    """The message names the parameter and what is right."""
    with pytest.raises(InputError, match=message):
        generate(family, **parameters)


def test_unknown_family_lists_the_known():
    """A misspelt family is a name error with the list."""
    with pytest.raises(UnknownNameError):
        generate("random")


def test_command_writes_the_same_instance(tmp_path):
    """The command line and the function agree."""
    path = tmp_path / "x.json"
    options = ["--requests", "30", "--types", "3", "--seed", "4", "--name", "mine", "-o", str(path), "--json"]
    done = CliRunner().invoke(app, ["generate", "types", *options])
    instance = read(path)
    assert instance == generate("types", requests=30, types=3, seed=4)
    assert instance.name == "mine"
    assert json.loads(done.stdout)["digest"] == instance.digest
    assert "30 requests of 3 types" in done.stderr


def test_command_prints_to_a_pipe():
    """Without -o the instance alone is on standard output."""
    done = CliRunner().invoke(app, ["generate", "counterexample", "--quiet"])
    assert json.loads(done.stdout)["capacity"] == 5
    assert done.stderr == ""
