"""Thresholds of WAIT, the policy for known outputs (arXiv 2504.11320)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvopt.errors import InputError
from kvopt.fluid.condition import Condition
from kvopt.fluid.equilibrium import equilibrium
from kvopt.fluid.mix import Mix
from kvopt.hardware import IterationTime
from kvopt.model import FloatArray

#: Relative slack of comparisons between sums of floats that are equal at the equilibrium itself.
ROUNDING = 1e-9


@dataclass(frozen=True)
class WaitThresholds:
    """Thresholds n of WAIT and what they mean.

    Attributes
    ----------
    thresholds : float array, shape (K,)
        Requests of each type per stage; a fraction is met on average, by floor and ceiling in turn.
    iteration_s : float
        Seconds of a full batch.
    memory : float
        Tokens held by a full batch.
    conditions : tuple of Condition
    """

    thresholds: FloatArray
    iteration_s: float
    memory: float
    conditions: tuple[Condition, ...]

    @property
    def feasible(self) -> bool:
        """Whether all conditions hold."""
        return all(condition.holds for condition in self.conditions)


def check_wait(
    mix: Mix, time: IterationTime, thresholds: Sequence[float] | FloatArray, *, capacity: int | None = None
) -> WaitThresholds:
    """Check thresholds: a full batch must take less time than its requests need to arrive, and fit.

    Conditions: ``T(n) = d0 + sum n_j w_j <= n_j / rate_j`` for every type, and ``M* <= sum n_j A_j <= C`` with
    the equilibrium memory M* and A_j the token-iterations of a request.

    Parameters
    ----------
    mix : Mix
    time : IterationTime
    thresholds : array_like of float, shape (K,)
        Above 0, finite.
    capacity : int, optional
        Tokens.

    Returns
    -------
    WaitThresholds
        The thresholds, what they need and whether all conditions hold.

    Raises
    ------
    InputError
        If there is not one positive finite threshold for each type.
    UnstableLoadError
        If the load is 1 or more, so that no thresholds are feasible.

    Examples
    --------
    >>> from kvopt.fluid import resident_time
    >>> toy = Mix.from_rows([(1, 1, 4.0)])
    >>> [check_wait(toy, resident_time(400, 50), [n], capacity=15).feasible for n in (3, 4, 5, 6)]
    [False, True, True, False]
    """
    n = positive(thresholds, len(mix))
    least = equilibrium(mix, time).memory
    iteration_s = time.d0_ms / 1000 + float(n @ mix.work_s(time))
    memory = float(n @ mix.token_iterations)
    conditions = [
        Condition(
            f"type {j}: seconds of a full batch, of {n[j]:g} arrivals", iteration_s, float(n[j] / rate) * (1 + ROUNDING)
        )
        for j, rate in enumerate(mix.rate)
        if rate > 0
    ]
    conditions.append(Condition("tokens of the equilibrium, of a full batch", least, memory * (1 + ROUNDING)))
    if capacity is not None:
        conditions.append(Condition("tokens of a full batch, capacity", memory, capacity * (1 + ROUNDING)))
    return WaitThresholds(n, iteration_s, memory, tuple(conditions))


def wait_periods(mix: Mix, time: IterationTime, *, capacity: int | None = None) -> tuple[float, float]:
    """Least and largest c in seconds such that thresholds ``c * rate`` are feasible (derived, docs/fluid.md).

    With these thresholds all types collect a batch in c seconds; ``T* <= c <= C / sum rate_j A_j``. There are
    none if the first exceeds the second, which is the case exactly if the capacity is below M*.

    Parameters
    ----------
    mix : Mix
    time : IterationTime
    capacity : int, optional
        Tokens; without it the second period is infinite.

    Returns
    -------
    (float, float)
        Seconds, least and largest.

    Raises
    ------
    UnstableLoadError
        If the load is 1 or more.
    """
    largest = float("inf") if capacity is None else capacity / float(mix.rate @ mix.token_iterations)
    return equilibrium(mix, time).iteration_s, largest


def wait_thresholds(
    mix: Mix, time: IterationTime, *, capacity: int | None = None, period_s: float | None = None
) -> WaitThresholds:
    """Thresholds ``c * rate``, checked.

    Parameters
    ----------
    mix : Mix
    time : IterationTime
    capacity : int, optional
        Tokens.
    period_s : float, optional
        c, above 0. Default twice the equilibrium iteration, or what the capacity allows: at the least c itself the
        batch is as slow as the arrivals, and queues would only drift.

    Returns
    -------
    WaitThresholds
        Thresholds of shape (K,), checked as by `check_wait`.

    Raises
    ------
    InputError
        If `period_s` is not positive and finite, or none is given and d0 is 0, or a type has rate 0.
    UnstableLoadError
        If the load is 1 or more.

    Examples
    --------
    >>> from kvopt.fluid import resident_time
    >>> wait_thresholds(Mix.from_rows([(1, 1, 4.0)]), resident_time(400, 50), capacity=100).thresholds.round(9)
    array([8.])
    """
    if not (mix.rate > 0).all():
        raise InputError("thresholds in proportion to the rates need rates above 0")
    if period_s is None:
        if not time.d0_ms > 0:
            raise InputError("thresholds are proposed for an iteration time with d0 above 0; without it give some")
        least, largest = wait_periods(mix, time, capacity=capacity)
        period_s = min(2 * least, largest)
    if not 0 < period_s < float("inf"):
        raise InputError(f"the period must be positive and finite, got {period_s} s")
    return check_wait(mix, time, period_s * mix.rate, capacity=capacity)


def positive(thresholds: Sequence[float] | FloatArray, number: int) -> FloatArray:
    """Thresholds as an array of this length; raises InputError unless all are positive and finite."""
    n = np.asarray(thresholds, dtype=float)
    if n.shape != (number,) or not (np.isfinite(n) & (n > 0)).all():
        raise InputError(f"expected {number} thresholds, positive and finite, got {n.tolist()}")
    return n
