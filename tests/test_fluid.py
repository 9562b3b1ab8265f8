"""The fluid model: every figure of the published and computed vectors, limits, conditions, and what is refused."""

from __future__ import annotations

from math import exp, inf, log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvopt.errors import InputError
from kvopt.fluid import (
    Mix,
    UnstableLoadError,
    check_nested_wait,
    check_wait,
    equilibrium,
    limit_shares,
    nested_thresholds,
    resident_time,
    stability,
    wait_periods,
    wait_thresholds,
)
from kvopt.hardware import IterationTime, find_iteration_time

SINGLE = resident_time(10.042382503853812, 3.342175435455382e-4)
LONG = resident_time(10.102766505, 3.0590058e-4)
#: Token-iterations per second of the chat mix at 1 request/s; with this iteration time nothing else matters.
CHAT_A1, CHAT_TIME, CHAT_CAPACITY = 29159.3566, resident_time(10.2484864, 3.877682e-4), 137_000
NESTED, NESTED_TIME = Mix.from_rows([(512, 20, 14.0), (512, 50, 6.0)]), resident_time(10.048557, 3.283344e-4)
OVERESTIMATED = IterationTime(9.712, 0.0550, 0.06389, 2.759e-4)


def chat(scale: float) -> Mix:
    """A mix with the token-iterations of the chat mix: type (0, 1) has exactly one each."""
    return Mix.from_rows([(0, 1, CHAT_A1 * scale)])


mixes = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(1, 500), st.floats(0.01, 5.0)), min_size=1, max_size=4
).map(Mix.from_rows)
times = st.builds(IterationTime, st.floats(0.5, 50), st.floats(1e-3, 0.3), st.floats(0, 0.2), st.floats(1e-6, 1e-3))


def test_toy() -> None:
    """The case that can be done by hand."""
    toy = Mix.from_rows([(1, 1, 4.0)])
    found = equilibrium(toy, resident_time(400, 50))
    assert toy.token_iterations.tolist() == [3]
    assert (found.iteration_s, *found.per_stage, found.memory, found.throughput_tokens_per_s) == pytest.approx(
        (1, 4, 12, 4), rel=1e-12
    )


@pytest.mark.parametrize(("rate", "memory"), [(12, 1382), (18, 2121), (22, 2634), (24, 2897)])
def test_single_type(rate: float, memory: int) -> None:
    """One type of 512 and 20 tokens, to the digits given."""
    mix = Mix.from_rows([(512, 20, float(rate))])
    assert mix.token_iterations.tolist() == [10962]
    assert round(equilibrium(mix, SINGLE).memory) == memory


@pytest.mark.parametrize(("rate", "memory"), [(2, 53831), (2.5, 113563), (3, 436383)])
def test_long_outputs(rate: float, memory: int) -> None:
    """Close to the limit memory grows without bound; the digits given test the work per request."""
    assert round(equilibrium(Mix.from_rows([(512, 1000, rate)]), LONG).memory) == memory


def test_long_outputs_beyond_the_limit() -> None:
    """3.5 requests a second are refused with the load: d1 * 3.5 * 1001 * 1012 / 1000."""
    mix = Mix.from_rows([(512, 1000, 3.5)])
    with pytest.raises(UnstableLoadError, match=r"every second brings 1\.085 s of work") as caught:
        equilibrium(mix, LONG)
    assert caught.value.load == pytest.approx(3.0590058e-7 * 3.5 * 1001 * 1012)
    assert not stability(mix, LONG).stable


@pytest.mark.parametrize(("scale", "memory"), [(50, 34377), (60, 55758), (70, 100327), (80, 250509)])
def test_chat_mix(scale: float, memory: int) -> None:
    """Equilibrium memory along a mix."""
    assert round(equilibrium(chat(scale), CHAT_TIME).memory) == memory


def test_chat_mix_limits() -> None:
    """r_compute and r_C, and that the memory at r_C is the capacity."""
    found = stability(chat(1), CHAT_TIME, capacity=CHAT_CAPACITY)
    assert round(found.largest("compute"), 3) == 88.440
    assert round(found.largest("memory"), 3) == 74.138
    assert found.bottleneck == "memory"
    assert equilibrium(chat(found.largest("memory")), CHAT_TIME).memory == pytest.approx(CHAT_CAPACITY)


@pytest.mark.parametrize(
    ("n", "memory", "milliseconds", "theta", "needed"),
    [((10, 4), 175320, 67.612, 0.8711, 187713), ((2, 1), 38349, 22.640, 1.6946, 44157)],
)
def test_nested(n: tuple[int, ...], memory: int, milliseconds: float, theta: float, needed: int) -> None:
    """Base memory, full batch, exponent and buffer of two sets of thresholds."""
    found = check_nested_wait(NESTED, NESTED_TIME, n, horizon_s=1000, failure_probability=0.01)
    assert found.feasible
    assert found.continuation.tolist() == pytest.approx([1, 0.3])
    assert found.memory == memory
    assert round(1000 * found.iteration_s, 3) == milliseconds
    assert round(found.exponents[1], 4) == theta
    assert round(found.needed) == needed
    # The exponent solves its equation.
    p, root = 0.3, found.exponents[1]
    assert n[0] * log(1 - p + p * exp(root)) == pytest.approx(root * n[1])


def test_nested_needs_capacity() -> None:
    """The buffers are part of the condition on memory."""
    more = {"horizon_s": 1000.0, "failure_probability": 0.01}
    assert check_nested_wait(NESTED, NESTED_TIME, (10, 4), capacity=187_714, **more).feasible
    assert not check_nested_wait(NESTED, NESTED_TIME, (10, 4), capacity=187_000, **more).feasible


@pytest.mark.parametrize(
    ("n", "broken", "bounded"),
    [((10, 3), "share that goes on", False), ((10, 2), "share", False), ((10, 10), "n_2 / n_1, 1", True)],
)
def test_nested_ratios_fail(n: tuple[float, float], broken: str, bounded: bool) -> None:
    """The next segment takes fewer than go on, so its queue grows forever, or as many as could ever come."""
    found = check_nested_wait(NESTED, NESTED_TIME, n, horizon_s=1000, failure_probability=0.01)
    assert [broken in condition.name for condition in found.conditions if not condition.holds] == [True]
    assert (found.needed < inf) is bounded


def test_nested_batches_slower_than_arrivals_fail() -> None:
    """0.1 requests per batch arrive in 5 ms, less than d0."""
    found = check_nested_wait(NESTED, NESTED_TIME, (0.1, 0.05), horizon_s=1000, failure_probability=0.01)
    assert [condition.holds for condition in found.conditions] == [False, True, True]


@given(mixes, times)
def test_equilibrium_reproduces_itself(mix: Mix, time: IterationTime) -> None:
    """A batch of the equilibrium, put together stage by stage, takes the equilibrium time and holds its memory."""
    load = float(mix.rate @ mix.work_s(time))
    if load >= 0.999:
        return
    found = equilibrium(mix, time)
    prefill = float(found.per_stage @ mix.prompt)
    decodes = float(found.per_stage @ mix.output)
    stages = [np.arange(1, o + 1) + s for s, o in zip(mix.prompt, mix.output, strict=True)]
    kv = sum(n * int(held.sum()) for n, held in zip(found.per_stage, stages, strict=True))
    assert time.time_ms(prefill, decodes, kv) / 1000 == pytest.approx(found.iteration_s, rel=1e-6)
    assert kv + prefill == pytest.approx(found.memory)
    assert prefill + decodes == pytest.approx(found.batch_tokens)


@given(mixes, times, st.integers(100, 10**6), st.integers(1, 4096))
def test_limits_are_where_the_equilibrium_meets_them(mix: Mix, time: IterationTime, capacity: int, budget: int) -> None:
    """The half-spaces are derived; at their border the equilibrium itself holds C tokens, or processes the budget."""
    found = stability(mix, time, capacity=capacity, token_budget=budget)
    assert found.use["compute"] < min(found.use["memory"], found.use["tokens"])
    for limit, quantity, value in (("memory", "memory", capacity), ("tokens", "batch_tokens", budget)):
        border = Mix(mix.prompt, mix.output, mix.rate * found.largest(limit))
        # 1 - load cancels digits where the limit lies close to that of compute.
        if found.use["compute"] * found.largest(limit) < 0.999:
            assert getattr(equilibrium(border, time), quantity) == pytest.approx(value, rel=1e-6)


@given(mixes, times, st.floats(1.0, 3.0))
def test_wait_periods_are_the_feasible_ones(mix: Mix, time: IterationTime, factor: float) -> None:
    """Thresholds c * rate are feasible from T* on and up to C / A, and not outside."""
    if float(mix.rate @ mix.work_s(time)) >= 0.99:
        return
    least = equilibrium(mix, time)
    capacity = int(least.memory * factor) + 1
    low, high = wait_periods(mix, time, capacity=capacity)
    assert low <= high
    for period, expected in ((low, True), (0.99 * low, False), (high, True), (1.01 * high, False)):
        assert wait_thresholds(mix, time, capacity=capacity, period_s=period).feasible is expected
    assert wait_thresholds(mix, time, capacity=capacity).feasible


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.floats(0.05, 0.95))
def test_nested_thresholds_are_feasible(first: float, second: float, slack: float) -> None:
    """What the library proposes meets the conditions it states."""
    mix = Mix.from_rows([(100, 20, first), (100, 50, second)])
    found = nested_thresholds(mix, NESTED_TIME, horizon_s=1000, failure_probability=0.01, slack=slack)
    assert found.feasible
    assert check_nested_wait(
        mix, NESTED_TIME, found.thresholds, horizon_s=1000, failure_probability=0.01, capacity=10**9
    ).feasible


def test_nested_thresholds_near_the_limit() -> None:
    """At 99 % load only ratios close to the continuation probabilities keep up; they are found."""
    limit = stability(Mix.from_rows([(100, 20, 1.0), (100, 50, 1.0)]), NESTED_TIME).largest("compute")
    mix = Mix.from_rows([(100, 20, 0.99 * limit), (100, 50, 0.99 * limit)])
    found = nested_thresholds(mix, NESTED_TIME, horizon_s=1000, failure_probability=0.01)
    assert found.feasible
    assert 0.5 < found.thresholds[1] / found.thresholds[0] < 0.55


def test_nested_and_plain_agree_on_one_type() -> None:
    """With one segment Nested WAIT is WAIT."""
    mix = Mix.from_rows([(512, 20, 12.0)])
    nested = check_nested_wait(mix, OVERESTIMATED, [3], horizon_s=10, failure_probability=0.5)
    plain = check_wait(mix, OVERESTIMATED, [3])
    assert nested.iteration_s == pytest.approx(plain.iteration_s)
    assert nested.memory == nested.needed == plain.memory


def test_token_budget_decides_the_published_overload() -> None:
    """Budget 512, 19 decodes after the prefill: 23.7 requests a second, as the published row shows."""
    mix = Mix.from_rows([(512, 19, 1.0)])
    found = stability(mix, find_iteration_time("llama-2-7b-a100-chunk-512"), capacity=137_497, token_budget=512)
    assert found.bottleneck == "tokens"
    assert round(found.largest("tokens"), 1) == 23.7


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(512, 20, -1.0)], r"type 0: rate -1\.0 is not a number within 0..2147483647"),
        ([(512, 20, 1.0), (512, 50, nan)], "type 1: rate nan"),
        ([(512, 20, inf)], "type 0: rate inf"),
        ([(512, 0, 1.0)], r"type 0: output 0 is not within 1\.\."),
        ([(-1, 5, 1.0)], "type 0: prompt -1"),
        ([(1.5, 5, 1.0)], "prompt: expected a flat list of integers"),
        ([(1, 5, "x")], "rate: expected numbers"),
        ([(1, 5, 0.0)], "at least one type with a rate above 0"),
        ([], "at least one type"),
    ],
)
def test_bad_mixes_are_refused(rows: list, message: str) -> None:
    """A wrong rate must not become a wrong threshold."""
    with pytest.raises(InputError, match=message):
        Mix.from_rows(rows)


def test_bad_arguments_are_refused() -> None:
    """Each rule of a docstring."""
    mix, time = Mix.from_rows([(1, 1, 4.0)]), resident_time(400, 50)
    for thresholds in ([0], [nan], [1, 2], [-1], [inf]):
        with pytest.raises(InputError, match="expected 1 thresholds, positive and finite"):
            check_wait(mix, time, thresholds)
    with pytest.raises(InputError, match="capacity must be at least 1"):
        limit_shares(mix, time, capacity=0)
    with pytest.raises(InputError, match="token budget must be at least 1"):
        stability(mix, time, token_budget=0)
    with pytest.raises(InputError, match="period"):
        wait_thresholds(mix, time, period_s=0)
    with pytest.raises(InputError, match="failure probability"):
        check_nested_wait(mix, time, [1], horizon_s=1, failure_probability=1)
    with pytest.raises(InputError, match="slack"):
        nested_thresholds(mix, time, horizon_s=1, failure_probability=0.1, slack=1)
    two = {"horizon_s": 1.0, "failure_probability": 0.1}
    with pytest.raises(InputError, match="common prompt"):
        check_nested_wait(Mix.from_rows([(1, 1, 1.0), (2, 3, 1.0)]), time, [1, 1], **two)
    with pytest.raises(InputError, match="ascending output"):
        check_nested_wait(Mix.from_rows([(1, 3, 1.0), (1, 2, 1.0)]), time, [1, 1], **two)
    with pytest.raises(UnstableLoadError):
        nested_thresholds(Mix.from_rows([(512, 20, 9e3)]), NESTED_TIME, **two)
