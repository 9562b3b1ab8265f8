"""What the backends share: a warm start, watching a native solver while it runs, and reading what it claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from kvopt.bounds import volume
from kvopt.errors import SolverError, TooLargeError
from kvopt.mip.formulation import Formulation
from kvopt.mip.horizon import latest_starts
from kvopt.model import Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.policies.backlog import solve_fcfs, solve_mc_sf, solve_svf
from kvopt.solving import Answer

Item = TypeVar("Item")

#: Memory that the solvers need while they run, measured: 0.8 to 1.7 kB for each coefficient of a memory row.
BYTES_PER_COEFFICIENT = 1_500
#: Seconds between two looks at the monitor.
POLL_S = 0.1
#: Seconds a solver has to come back with what it found once it has been asked to stop.
GRACE_S = 2.0
#: The same after a time limit, which it knew itself, or this share of the limit if that is more.
LIMIT_GRACE_S, LIMIT_GRACE_SHARE = 0.8, 0.15
#: Rows or variables between two looks at the monitor while a model is built.
BUILT_PER_LOOK = 16


@dataclass(frozen=True)
class Claim:
    """What a solver says at its end, not yet believed.

    Attributes
    ----------
    status : str
        The solver's own word for how it ended.
    values : float array of shape (C,) or None
        Values of the start variables; None without a solution.
    bound : float or None
        Dual bound.
    statistics : mapping
        JSON-ready figures (nodes and the like).
    """

    status: str
    values: npt.NDArray[np.float64] | None = None
    bound: float | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)


#: Of a solver for which the model was not ready in time.
NOT_STARTED = Claim("not started")


def warm_start(instance: Instance, monitor: Monitor) -> IntArray:
    """Offer the list policies' schedules and return the best one known, shape (n,)."""
    for policy in (solve_mc_sf, solve_svf, solve_fcfs):
        policy(instance, monitor)
    assert monitor.best_starts is not None
    return monitor.best_starts


def prepare(
    instance: Instance, monitor: Monitor, formulate: Callable[[Instance, IntArray], Formulation]
) -> tuple[Formulation, IntArray | None]:
    """The model of an instance, and its variables' values in the best known schedule if that is in the model.

    Raises
    ------
    TooLargeError
        If the solvers would need more memory than the monitor or the machine allows.
    """
    starts = warm_start(instance, monitor)
    assert monitor.incumbent is not None
    model = formulate(instance, latest_starts(instance, monitor.incumbent))
    needed_gb = model.coefficients * BYTES_PER_COEFFICIENT / 1e9
    if needed_gb > monitor.most_gb:
        raise TooLargeError(
            f"the time-indexed model has {len(model.group):,} variables and {model.coefficients:,} coefficients in "
            f"{model.horizon:,} rounds; it would need about {needed_gb:.3g} GB, {monitor.most_gb:.3g} GB are allowed"
        )
    return model, model.encode(starts)


class Stopped(Exception):
    """The monitor said so while a model was being built."""


def watched(items: Iterable[Item], monitor: Monitor) -> Iterator[Item]:
    """The items one by one; raises Stopped when the monitor does not allow more."""
    for i, item in enumerate(items):
        if i % BUILT_PER_LOOK == 0 and monitor.stopped:
            raise Stopped
        yield item


def wait(
    monitor: Monitor, finished: Callable[[float], bool], stop: Callable[[], None], kill: Callable[[], None]
) -> bool:
    """Wait for a solver that runs elsewhere, and end it when the monitor says so.

    Parameters
    ----------
    monitor : Monitor
    finished : callable
        Waits for at most so many seconds and tells whether the solver has ended.
    stop : callable
        Asks the solver to come back soon with what it has.
    kill : callable
        Ends it without an answer; called if it does not come back within the seconds of grace.

    Returns
    -------
    bool
        Whether the solver came back.
    """
    try:
        while not finished(POLL_S):
            monitor.report()
            if monitor.stopped:
                stop()
                limit_s = monitor.time_limit_s
                limited = limit_s is not None and monitor.stop_reason == "time limit"
                grace_s = max(LIMIT_GRACE_S, LIMIT_GRACE_SHARE * (limit_s or 0)) if limited else GRACE_S
                if finished(grace_s):
                    return True
                kill()
                return False
    except BaseException:
        kill()
        raise
    return True


def relative_gap(monitor: Monitor) -> float:
    """The solvers' gap, relative to the schedule, that implies the monitor's, relative to the bound."""
    return monitor.target_gap / (1 + monitor.target_gap)


def whole_bound(bound: float | None) -> int | None:
    """Round a floating-point dual bound up to an integer, as total latencies are, less a tolerance for its error.

    What solvers say before they know anything, 0 or minus infinity, is no bound.

    >>> whole_bound(743.9999999), whole_bound(743.0000004), whole_bound(743.1), whole_bound(0.0)
    (744, 743, 744, None)
    """
    if bound is None or not math.isfinite(bound):
        return None
    whole = math.ceil(bound - 1e-6 - 1e-9 * abs(bound))
    return whole if whole > 0 else None


def conclude(
    claim: Claim | None, decode: Callable[[npt.ArrayLike], IntArray], monitor: Monitor, **statistics: Any
) -> Answer:
    """Offer the schedule in a claim and return its bound, or kvopt's own volume bound where that is better.

    The statistics keep what the solver said as ``solver_bound``, and ``bound_from`` names the origin of another.

    Parameters
    ----------
    claim : Claim or None
        None of a solver that had to be killed.
    decode : callable
        Makes start rounds, shape (n,), from the values of the claim.
    monitor : Monitor
    **statistics
        JSON-ready figures about the model.

    Raises
    ------
    SolverError
        If the values are no schedule.
    """
    if claim is None:
        claim = Claim("killed")
    if claim.values is not None:
        monitor.offer(decode(claim.values))
    bound = whole_bound(claim.bound)
    if bound is not None:
        monitor.raise_bound(bound)
    if monitor.time_limit_s is not None and monitor.stop_reason is None and not monitor.gap_reached:
        statistics["stopped_by"] = "time limit"  # the solver's clock was a little ahead of the monitor's
    statistics |= {"solver_status": claim.status, "solver_bound": monitor.bound, **claim.statistics}
    own = volume.bound(monitor.instance)
    if monitor.bound is None or monitor.bound < own.value:
        monitor.raise_bound(own.value)
        statistics["bound_from"] = "kvopt, volume"
    return Answer(monitor.bound, own.certificate if monitor.bound == own.value else None, statistics)


def refuse(solver: str, status: str) -> SolverError:
    """The error for an ending that a correct solver cannot have: every instance has a schedule."""
    return SolverError(f"{solver} ended with the status {status}, yet the model has solutions")
