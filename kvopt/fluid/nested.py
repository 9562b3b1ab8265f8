"""Thresholds of Nested WAIT, the policy for outputs that show only when they end (arXiv 2504.11320).

Types share one prompt l and have outputs l'_1 < ... < l'_m. Segment k covers the decode steps l'_{k-1} < s <= l'_k
(segment 1 the prompt as well); whoever is not finished at its end goes on to the next, a share p of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, log1p

import numpy as np

from kvopt.errors import InputError
from kvopt.fluid.condition import Condition
from kvopt.fluid.equilibrium import UnstableLoadError, equilibrium
from kvopt.fluid.mix import Mix
from kvopt.fluid.thresholds import positive
from kvopt.hardware import IterationTime
from kvopt.model import FloatArray, IntArray

#: Below this the ratios of thresholds cannot be told from the probabilities they must exceed.
SMALLEST_SLACK = 1e-9


@dataclass(frozen=True)
class NestedWaitThresholds:
    """Thresholds n of Nested WAIT and what they mean.

    Attributes
    ----------
    thresholds : float array, shape (m,)
        Requests per stage of each segment.
    iteration_s : float
        Seconds of a batch of all segments.
    memory : float
        Tokens held by such a batch (M_pi).
    continuation : float array, shape (m,)
        Probability of entering each segment for those in the one before; 1 for the first.
    exponents : float array, shape (m,)
        theta of each boundary queue: its length exceeds x with probability about ``exp(-theta x)``; infinite for
        the first segment, 0 where ``p_k < n_k / n_{k-1}`` fails.
    buffers : float array, shape (m,)
        Tokens set aside for the requests that wait before each segment; 0 for the first, infinite at exponent 0.
    conditions : tuple of Condition
    """

    thresholds: FloatArray
    iteration_s: float
    memory: float
    continuation: FloatArray
    exponents: FloatArray
    buffers: FloatArray
    conditions: tuple[Condition, ...]

    @property
    def needed(self) -> float:
        """Tokens for the batch and all buffers."""
        return self.memory + float(self.buffers.sum())

    @property
    def feasible(self) -> bool:
        """Whether all conditions hold."""
        return all(condition.holds for condition in self.conditions)


@dataclass(frozen=True, eq=False)
class Segments:
    """A mix seen as a chain of segments.

    Attributes
    ----------
    prompt : int
    start, end : int array, shape (m,)
        The segment covers the decode steps start < s <= end.
    continuation : float array, shape (m,)
    """

    prompt: int
    start: IntArray
    end: IntArray
    continuation: FloatArray

    @classmethod
    def of(cls, mix: Mix) -> Segments:
        """The segments of a mix; raises InputError unless prompts agree and outputs ascend, all rates above 0."""
        if len(set(mix.prompt.tolist())) != 1:
            raise InputError(f"Nested WAIT needs one common prompt, got {sorted(set(mix.prompt.tolist()))}")
        if (np.diff(mix.output) <= 0).any() or not (mix.rate > 0).all():
            raise InputError("Nested WAIT needs types by strictly ascending output, with rates above 0")
        reaching = np.cumsum(mix.rate[::-1])[::-1]
        continuation = np.append(1.0, reaching[1:] / reaching[:-1])
        return cls(int(mix.prompt[0]), np.append(0, mix.output[:-1]), mix.output, continuation)

    @property
    def token_iterations(self) -> FloatArray:
        """Tokens held by one request in each segment, summed over its iterations, shape (m,)."""
        steps = self.end - self.start
        held = steps * (self.prompt + (self.start + 1 + self.end) / 2)
        held[0] += self.prompt
        return held

    def work_s(self, time: IterationTime) -> FloatArray:
        """Seconds that one request adds to iterations in each segment, shape (m,)."""
        steps = self.end - self.start
        work = time.decode_ms * steps + time.kv_ms * steps * (self.prompt + (self.start + 1 + self.end) / 2)
        work[0] += time.prefill_ms * self.prompt
        return work / 1000


def check_nested_wait(
    mix: Mix,
    time: IterationTime,
    thresholds: Sequence[float] | FloatArray,
    *,
    horizon_s: float,
    failure_probability: float,
    capacity: int | None = None,
) -> NestedWaitThresholds:
    """Check thresholds: conditions on speed and continuation, and the memory that suffices with high probability.

    Conditions: ``T < n_1 / sum rates``; ``p_k < n_k / n_{k-1} < 1``; and, given a capacity,
    ``C >= M_pi + sum_{k>=2} (l + l'_{k-1}) (n_k + ln(m (1 + horizon / d0) / failure_probability) / theta_k)``, where
    theta_k > 0 solves ``n_{k-1} ln(1 - p_k + p_k e^theta) = theta n_k``.

    Parameters
    ----------
    mix : Mix
        One common prompt, outputs ascending, rates above 0.
    time : IterationTime
        With ``d0_ms`` above 0.
    thresholds : array_like of float, shape (m,)
        Above 0, finite.
    horizon_s : float
        Seconds for which the memory shall suffice, above 0.
    failure_probability : float
        That it does not, 0 < p < 1.
    capacity : int, optional
        Tokens.

    Returns
    -------
    NestedWaitThresholds
        The thresholds, what they need and whether all conditions hold.

    Raises
    ------
    InputError
        If an argument is out of range or the mix is not nested.

    Examples
    --------
    >>> from kvopt.fluid import resident_time
    >>> mix, time = Mix.from_rows([(512, 20, 14.0), (512, 50, 6.0)]), resident_time(10.048557, 3.283344e-4)
    >>> found = check_nested_wait(mix, time, [10, 4], horizon_s=1000, failure_probability=0.01)
    >>> found.feasible, found.memory, round(found.needed)
    (True, 175320.0, 187713)
    """
    n, segments = positive(thresholds, len(mix)), Segments.of(mix)
    if not 0 < horizon_s < inf or not 0 < failure_probability < 1 or time.d0_ms == 0:
        raise InputError(
            "need a positive finite horizon, a failure probability above 0 and below 1 and d0 above 0, got "
            f"{horizon_s} s, {failure_probability} and {time.d0_ms} ms"
        )
    d0_s = time.d0_ms / 1000
    iteration_s = d0_s + float(n @ segments.work_s(time))
    memory = float(n @ segments.token_iterations)
    conditions = [
        Condition("seconds of a full batch, of its arrivals", iteration_s, float(n[0]) / mix.total_rate, True)
    ]
    exponents, buffers = np.full(len(n), inf), np.zeros(len(n))
    excess = log(len(n) * (1 + horizon_s / d0_s) / failure_probability)
    for k in range(1, len(n)):
        ratio, p = float(n[k] / n[k - 1]), float(segments.continuation[k])
        conditions.append(Condition(f"segment {k + 1}: share that goes on, n_{k + 1} / n_{k}", p, ratio, True))
        conditions.append(Condition(f"segment {k + 1}: n_{k + 1} / n_{k}, 1", ratio, 1, True))
        exponents[k] = exponent(p, ratio)
        waiting = n[k] + (excess / exponents[k] if exponents[k] > 0 else inf)
        buffers[k] = (segments.prompt + int(segments.start[k])) * waiting
    if capacity is not None:
        needed = memory + float(buffers.sum())
        conditions.append(Condition("tokens of a full batch and buffers, capacity", needed, capacity))
    return NestedWaitThresholds(n, iteration_s, memory, segments.continuation, exponents, buffers, tuple(conditions))


def exponent(p: float, ratio: float) -> float:
    """The positive root theta of ``ln(1 - p + p e^theta) = theta * ratio``, 0 if there is none (ratio <= p).

    The left side minus the right is convex, 0 at 0 and falling there when p < ratio; above ratio 1 it falls
    forever (infinite root: the next segment takes all that could come).

    >>> round(exponent(0.3, 0.5), 4)  # 2 ln(7/3)
    1.6946
    """
    if ratio <= p:
        return 0.0
    if ratio >= 1:
        return inf

    def above(theta: float) -> bool:
        # ln(1 - p + p e^theta) without overflow.
        return theta + log(p) + log1p((1 - p) / p * exp(-theta)) > theta * ratio

    low, high = 0.0, 1.0
    while not above(high):
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (low, middle) if above(middle) else (middle, high)
    return high


def nested_thresholds(
    mix: Mix,
    time: IterationTime,
    *,
    horizon_s: float,
    failure_probability: float,
    capacity: int | None = None,
    slack: float = 0.5,
) -> NestedWaitThresholds:
    """Thresholds with ``n_k / n_{k-1} = p_k + slack (1 - p_k)`` and twice the least n_1, checked (derived).

    All conditions but the capacity's hold strictly. A small `slack` keeps batches near the equilibrium and needs
    large buffers, a large one the opposite. If batches with these ratios could not keep up, slack is halved until they
    can, as they do near the continuation probabilities themselves.

    Parameters
    ----------
    mix, time, horizon_s, failure_probability, capacity
        As of `check_nested_wait`.
    slack : float
        0 < slack < 1.

    Returns
    -------
    NestedWaitThresholds
        Thresholds of shape (m,), checked as by `check_nested_wait`.

    Raises
    ------
    InputError
        As of `check_nested_wait`, or if `slack` is out of range.
    UnstableLoadError
        If the load is 1 or more, or too close to 1 for any slack.
    """
    if not 0 < slack < 1:
        raise InputError(f"slack must be above 0 and below 1, got {slack}")
    equilibrium(mix, time)  # raises if no slack is small enough
    segments, load = Segments.of(mix), 1.0
    while load >= 1:
        if slack < SMALLEST_SLACK:
            raise UnstableLoadError(load)
        ratios = segments.continuation + slack * (1 - segments.continuation)
        shape = np.cumprod(ratios).astype(np.float64)
        load = mix.total_rate * float(shape @ segments.work_s(time))
        slack /= 2
    first = 2 * time.d0_ms / 1000 * mix.total_rate / (1 - load)
    return check_nested_wait(
        mix,
        time,
        first * shape,
        horizon_s=horizon_s,
        failure_probability=failure_probability,
        capacity=capacity,
    )
