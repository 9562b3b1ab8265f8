"""Streams of arrivals and predictions: right on average, the same for a seed, and clear about bad parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvopt import Instance
from kvopt.errors import InputError
from kvopt.fluid import Mix
from kvopt.online import (
    Exact,
    Interval,
    Noisy,
    Over,
    Traffic,
    Unknown,
    bernoulli_rounds,
    find_predictions,
    poisson_rounds,
    poisson_seconds,
    resampled_rounds,
    resampled_seconds,
)

MIX = Mix.from_rows([(5, 2, 0.3), (1, 9, 0.1)])


def test_poisson_in_seconds_has_the_rates():
    """Gaps with the right mean and spread, and types in proportion to their rates (5 standard errors)."""
    n = 40_000
    traffic = poisson_seconds(MIX, 50, n, seed=3)
    gaps = np.diff(traffic.arrival_s)
    assert abs(gaps.mean() * 0.4 - 1) < 5 / n**0.5
    assert abs(gaps.std() * 0.4 - 1) < 10 / n**0.5
    assert abs((traffic.output == 2).mean() - 0.75) < 5 * (0.75 * 0.25 / n) ** 0.5
    assert set(zip(traffic.prompt.tolist(), traffic.output.tolist(), strict=True)) == {(5, 2), (1, 9)}


@pytest.mark.parametrize(("stream", "variance"), [(poisson_rounds, 0.4), (bernoulli_rounds, 0.24)])
def test_streams_in_rounds_have_the_rates(stream, variance):
    """Requests in a round: mean 0.4, and the variance that tells Poisson (0.4) from Bernoulli (0.4 * 0.6)."""
    rounds = 40_000
    instance = stream(MIX, 50, rounds, seed=3)
    counts = np.bincount(instance.arrival, minlength=rounds)
    assert abs(counts.mean() - 0.4) < 5 * (variance / rounds) ** 0.5
    assert abs(counts.var() / variance - 1) < 0.05
    assert abs((instance.output == 2).mean() - 0.75) < 0.02


def test_resampling_keeps_the_pairs():
    """Lengths come from the trace as pairs, in both units of time, at the rate asked for."""
    trace = Instance(100, [1, 2, 3], [10, 20, 30])
    traffic = resampled_seconds(trace, 4.0, 20_000, seed=1)
    assert (traffic.output == 10 * traffic.prompt).all()
    assert abs(20_000 / traffic.arrival_s[-1] / 4 - 1) < 0.05
    assert set(traffic.prompt.tolist()) == {1, 2, 3}
    instance = resampled_rounds(traffic, 0.5, 10_000, seed=1)
    assert (instance.output == 10 * instance.prompt).all()
    assert abs(instance.n / 5_000 - 1) < 0.1


def test_streams_follow_their_seed():
    """The same seed gives the same stream, another one another."""
    streams = [poisson_seconds(MIX, 50, 100, seed=seed).arrival_s.tolist() for seed in (1, 1, 2)]
    assert streams[0] == streams[1] != streams[2]
    rounds = [bernoulli_rounds(MIX, 50, 100, seed=seed).digest for seed in (1, 1, 2)]
    assert rounds[0] == rounds[1] != rounds[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Mix.from_rows([(1, 1, -0.5)]), "rate -0.5"),
        (lambda: Mix.from_rows([(1, 1, float("nan"))]), "rate nan"),
        (lambda: poisson_seconds(MIX, 50, 0), "requests must be an integer .* got 0"),
        (lambda: poisson_seconds(MIX, 50, 10, seed=-1), "seed .* got -1"),
        (lambda: poisson_seconds(MIX, 5, 10), "exceeds the capacity 5"),
        (lambda: bernoulli_rounds(Mix.from_rows([(1, 1, 1.5)]), 9, 10), "sum to at most 1, got 1.5"),
        (lambda: poisson_rounds(Mix.from_rows([(1, 1, 1e-9)]), 9, 10), "nothing arrives"),
        (lambda: poisson_rounds(Mix.from_rows([(1, 1, 1e9)]), 9, 10), "at most 10000000"),
        (lambda: Mix.from_rows([(1, 1, 1e300)]), r"rate 1e\+300 is not a number within 0..2147483647"),
        (lambda: poisson_seconds(Mix.from_rows([(1, 1, 1e-300)]), 9, 10), "s is not a time within 0..2147483647"),
        (lambda: resampled_seconds(Instance(5, [1], [1]), 1e-320, 10), "rate must be .* got 1e-320"),
        (lambda: resampled_seconds(Instance(5, [1], [1]), 1e300, 10), "rate must be .* got 1e.300"),
        (lambda: Traffic(5, [1], [1], [1e17]), "arrival 1e.17 s is not a time within"),
        (lambda: poisson_rounds(MIX, 50, 0), "rounds must be an integer .* got 0"),
        (lambda: resampled_rounds(Instance(5, [1], [1]), 1.0, -1), "rounds must be an integer .* got -1"),
        (lambda: resampled_seconds(Instance(5, [1], [1]), 0.0, 10), "rate must be above 0"),
        (lambda: resampled_rounds(Instance(5, [1], [1]), float("nan"), 10), "rate must be above 0"),
        (lambda: Traffic.from_instance(Instance(5, [1], [1]), 0.0), "seconds per round"),
        (lambda: Over(0.9), "factor of at least 1"),
        (lambda: Noisy(-1), "sigma of at least 0"),
        (lambda: Interval(float("nan")), "width of at least 0"),
        (lambda: find_predictions("over"), "unknown predictions 'over'"),
        (lambda: find_predictions("exact:2"), "unknown predictions 'exact:2'"),
        (lambda: find_predictions("over:much"), "'much' is not a number"),
    ],
)
def test_bad_parameters_are_named(call, message):
    """Negative or NaN rates and the like end in a message with the value, never in an odd stream."""
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", ["over:1e308", "interval:1e308", "noisy:1e308"])
def test_huge_errors_of_predictions_stay_silent(text):
    """A factor beyond floating point means "as long as can run"; no warning of numpy's may reach the terminal."""
    output = np.array([1, 7, 50])
    said = find_predictions(text).predict(output, output + 5, 0)
    assert ((said.point >= 1) & (said.point <= output + 5)).all()


@given(st.lists(st.integers(1, 60), min_size=1, max_size=20), st.floats(0, 3), st.integers(0, 9))
def test_predictions_keep_their_promises(outputs, size, seed):
    """Over-estimates and intervals hold the output and never exceed what can run; noise stays a length that can."""
    output = np.array(outputs)
    longest = output + np.arange(len(output)) % 3
    for predictions in (Exact(), Over(1 + size), Interval(size)):
        said = predictions.predict(output, longest, seed)
        assert (said.low >= 1).all()
        assert (said.low <= output).all()
        assert (output <= said.high).all()
        assert (said.high <= longest).all()
        assert (said.point == said.high).all()
    noisy = Noisy(size).predict(output, longest, seed)
    assert (noisy.point >= 1).all()
    assert (noisy.point <= longest).all()
    assert Unknown().predict(output, longest, seed).point is None
