"""WAIT and Nested WAIT: the rules step by step, memory, fractions, flushing, and their worth at equal budget."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvopt import Instance
from kvopt.errors import InputError
from kvopt.fluid import Mix, check_wait
from kvopt.hardware import find_iteration_time
from kvopt.online import Exact, Rounds, Seconds, Simulation, Traffic, Unknown, simulate
from kvopt.policies import find_policy
from kvopt.policies.fcfs import Fcfs
from kvopt.policies.nested_wait import NestedWait, NestedWaitAdvancing
from kvopt.policies.thresholds import Threshold
from kvopt.policies.wait import Wait, WaitAdvancing

CALIBRATED = find_iteration_time("llama-2-7b-a100-chunk-512")


def completions(policy: object, *rows: tuple[int, int, int, int], capacity: int = 100, **more: object) -> list[int]:
    """Completion rounds of (prompt, output, count, arrival) rows."""
    result = simulate(Instance.from_rows(capacity, rows), policy, **more)  # type: ignore[arg-type]
    assert result.finished
    return result.completion.astype(int).tolist()


def single(rate: float, seed: int = 0, requests: int = 5_000) -> Traffic:
    """Poisson arrivals of the type 512/20."""
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, requests))
    return Traffic(122_752, np.full(requests, 512), np.full(requests, 20), arrivals)


def test_a_step_takes_an_arrival() -> None:
    """The literal rule: the first request gets its second token only when the next one arrives; the last is drained."""
    assert completions(Wait(1), (1, 2, 1, 0), (1, 2, 1, 5)) == [6, 7]
    assert completions(WaitAdvancing(1), (1, 2, 1, 0), (1, 2, 1, 5)) == [2, 7]


def test_a_batch_waits_for_its_threshold() -> None:
    """Two are needed: the first waits for the second, the third is alone until the end of all arrivals."""
    rows = ((1, 1, 1, 0), (1, 1, 1, 4), (1, 1, 1, 6), (9, 1, 1, 8))
    assert completions(Wait({(1, 1): 2, (9, 1): 1}), *rows) == [5, 5, 10, 9]


def test_at_most_the_threshold_of_each_stage() -> None:
    """Five wait at once: two start in each batch, and those before move on with them."""
    assert completions(Wait(2), (1, 2, 5, 0)) == [2, 2, 3, 3, 4]


def test_types_outside_stand_still_with_their_memory() -> None:
    """Type (1, 3) has no new request while (2, 1) is served; it holds its two tokens and goes on at the end."""
    instance = Instance.from_rows(100, [(1, 3, 1, 0), (2, 1, 1, 1), (2, 1, 1, 2)])
    run = Simulation(instance, Wait(1), Rounds(), predictions=Exact(), seed=0)
    run.prepare_view()
    held = []
    while run.step():
        held.append(run.view.memory)
    assert held[:3] == [2, 2, 2]
    assert run.result().completion.tolist() == [5, 2, 3]


def test_flush_after_a_time() -> None:
    """A type that has stood still for four rounds is drained without a further arrival of it."""
    rows = ((1, 2, 1, 0), (9, 1, 1, 20))
    assert completions(Wait(1), *rows) == [22, 21]
    assert completions(Wait(1, flush_after=4), *rows) == [5, 21]
    assert completions(Wait(3, flush_after=4), *rows) == [6, 25]


@given(st.floats(0.05, 5))
def test_fractions_are_met_on_average(value: float) -> None:
    """Floor and ceiling only, and any window of batches is within one request of its share."""
    threshold = Threshold(value)
    taken = [threshold.take() for _ in range(200)]
    assert set(taken) <= {floor(value), ceil(value)}
    sums = np.concatenate([[0], np.cumsum(taken)])
    for window in (1, 7, 50, 200):
        inside = sums[window:] - sums[:-window]
        assert inside.max() <= window * value + 1 + 1e-9
        assert inside.min() >= window * value - 1 - 1e-9


def test_fractional_thresholds_in_a_run() -> None:
    """With 2/3 per batch and always somebody waiting, every window of three batches admits two."""
    instance = Instance.from_rows(1000, [(1, 4, 60, 0)])
    result = simulate(instance, Wait(2 / 3))
    started = np.bincount(result.start.astype(int))
    assert started[:30].reshape(10, 3).sum(axis=1).tolist() == [2] * 10
    # Who has entered is never held back.
    assert (result.completion - result.start == 4).all()


policies = st.sampled_from([Wait, WaitAdvancing])
rows = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 6), st.integers(1, 12), st.integers(0, 25)), min_size=1, max_size=6
)


@given(rows, policies, st.floats(0.2, 3.5), st.one_of(st.none(), st.integers(1, 9)))
def test_memory_stays_below_what_thresholds_allow(
    requests: list[tuple[int, int, int, int]], policy: type[Wait], n: float, flush_after: int | None
) -> None:
    """sum n A, and a peak more per type for fractions: with that capacity nothing is ever evicted, all complete."""
    types = {(prompt, output) for prompt, output, _, _ in requests}
    bound = sum(n * (o + 1) * (s + o / 2) + (s + o) * (n != int(n)) for s, o in types)
    capacity = max(ceil(bound), max(s + o for s, o in types))
    result = simulate(Instance.from_rows(capacity, requests), policy(n, flush_after))
    assert result.finished
    assert result.evictions.sum() == 0
    assert result.peak_memory <= bound


@given(rows, st.lists(st.floats(0.2, 3.5), min_size=1, max_size=3), st.sampled_from([NestedWait, NestedWaitAdvancing]))
def test_nested_wait_completes_everything(
    requests: list[tuple[int, int, int, int]], thresholds: list[float], policy: type[NestedWait]
) -> None:
    """Whatever the outputs, which it is not told; overflow in a small cache included."""
    ends = [2, 4][: len(thresholds) - 1]
    result = simulate(Instance.from_rows(14, requests), policy(thresholds, ends), predictions=Unknown())
    assert result.finished


def test_segments_step_by_step() -> None:
    """Segment 2 takes two at once, and moves only in batches that also have a new request."""
    rows = ((1, 1, 1, 0), (1, 3, 1, 0), (1, 3, 1, 3), (1, 1, 1, 6), (1, 1, 1, 9))
    # Both long requests wait after one token, enter with the arrival of round 6, are stopped in round 9 because nobody
    # waits before their segment then, and end when nothing will arrive any more.
    assert completions(NestedWait([1, 2], [1]), *rows) == [1, 11, 11, 7, 10]
    # The advancing kind keeps nobody waiting here.
    assert completions(NestedWaitAdvancing([1, 2], [1]), *rows) == [1, 4, 6, 7, 10]


def test_one_segment_is_wait() -> None:
    """Nested WAIT with one segment and WAIT with one type are the same rule."""
    traffic, clock = single(20, requests=500), Seconds(CALIBRATED)
    for plain, nested in ((Wait(2), NestedWait([2])), (WaitAdvancing(0.7), NestedWaitAdvancing([0.7]))):
        a, b = simulate(traffic, plain, clock), simulate(traffic, nested, clock, predictions=Unknown())
        assert np.array_equal(a.completion, b.completion)


def test_advancing_wait_is_fcfs_at_equal_budget() -> None:
    """With one type and n = 1 the published gain is the larger batch: at 512 tokens each nothing differs."""
    clock = Seconds(CALIBRATED, token_budget=512)
    for rate in (12, 22, 26):
        a, b = (simulate(single(rate, requests=1_000), policy, clock) for policy in (Fcfs(), WaitAdvancing(1)))
        assert b.latency.mean() == pytest.approx(a.latency.mean(), rel=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Wait(0), "threshold must be a number above 0"),
        (lambda: Wait(float("nan")), "threshold must be"),
        (lambda: Wait({(1, 1): -1}), "threshold must be"),
        (lambda: Wait(1, flush_after=0), "flush_after must be above 0"),
        (lambda: NestedWait([1, 1]), "2 thresholds with 0 boundaries"),
        (lambda: NestedWait([1, 1, 1], [5, 5]), "ascend"),
        (lambda: NestedWait([1, 1], [0]), "ascend"),
        (lambda: NestedWait([]), "0 thresholds"),
        (lambda: NestedWait([1, 0], [5]), "threshold must be"),
    ],
)
def test_bad_parameters_are_refused(make, message: str) -> None:
    """Before any simulation."""
    with pytest.raises(InputError, match=message):
        make()


def test_a_type_without_threshold_is_named() -> None:
    """A missing entry must not become some default."""
    with pytest.raises(InputError, match="no threshold for prompt 9 with output 1"):
        completions(Wait({(1, 1): 1}), (1, 1, 1, 0), (9, 1, 1, 2))


def test_policies_by_name() -> None:
    """What a command line can say, several numbers included."""
    nested = find_policy("nested-wait:thresholds=10/4.5,ends=20")
    assert (type(nested), nested.thresholds, nested.ends) == (NestedWait, (10, 4.5), (20,))
    assert find_policy("wait-advancing:thresholds=0.5,flush_after=2").flush_after == 2
    assert find_policy("nested-wait-advancing:thresholds=1/1/1,ends=5/9").ends == (5, 9)
    with pytest.raises(InputError, match="expected a number"):
        find_policy("nested-wait:thresholds=10/x,ends=20")
    with pytest.raises(InputError, match="threshold must be a number"):
        find_policy("wait:thresholds=1/2")


def test_a_full_batch_in_the_simulator_is_that_of_the_fluid_model() -> None:
    """Saturated WAIT, prompt apart: period, memory and throughput of a batch are the figures of `check_wait`."""
    mix = Mix.from_rows([(512, 20, 3.0), (100, 7, 2.0)])
    fluid = check_wait(mix, CALIBRATED, [3, 2])
    requests = 400
    prompt, output = np.repeat([512, 100], requests // 2), np.repeat([20, 7], requests // 2)
    traffic = Traffic(122_752, prompt, output, np.zeros(requests))
    policy = Wait({(512, 20): 3, (100, 7): 2})
    result = simulate(traffic, policy, Seconds(CALIBRATED, separate_prefill=True))
    steps = np.diff(np.unique(result.completion))
    assert steps[30:50] == pytest.approx(np.full(20, fluid.iteration_s))
    assert result.peak_memory == fluid.memory
