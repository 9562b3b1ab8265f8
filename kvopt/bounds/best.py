"""Every bound by name, and the best of them."""

from __future__ import annotations

import time
from contextlib import suppress

from kvopt.arguments import instance_of, time_limit
from kvopt.bounds.bound import Bound
from kvopt.errors import SolverError, UnknownNameError
from kvopt.model import Instance

METHODS = ("volume", "lp", "prices", "growth", "room", "packing", "flow", "best")

#: Nominal seconds for prices without a time limit.
PRICES_TIME_LIMIT_S = 10.0
#: Types times rounds up to which `best` solves the linear programme too.
LP_MAX_STARTS = 50_000


def lower_bound(instance: Instance, method: str = "best", *, time_limit_s: float | None = None) -> Bound:
    """Lower bound on the total latency by one method, or the best of several.

    Parameters
    ----------
    instance : Instance
    method : str
        ``volume``, ``lp``, ``prices``, ``growth``, ``room``, ``packing``, ``flow``; ``best`` takes the largest of
        volume, growth, room and packing (none of these three below prices) and, where it is small, lp (flow is never
        above the linear programme, see docs/certificates.md).
    time_limit_s : float, optional
        For lp a limit on the solver; for prices, growth, room and packing a budget, 10 if not given. Volume and
        flow take what they need.

    Returns
    -------
    Bound
        Value and certificate, checked by `kvopt.verify` like any other.

    Raises
    ------
    UnknownNameError
        If there is no such method.
    InputError
        If the instance is none, or the time limit is not positive.
    TooLargeError
        If the instance is too large for flow.
    SolverError
        If the linear programme or the flow is not solved.

    Examples
    --------
    >>> inst = Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])
    >>> [lower_bound(inst, method).value for method in METHODS]
    [10, 11, 11, 11, 11, 12, 10, 12]
    """
    from kvopt.bounds import flow, growth, lp, packing, prices, room, volume

    if method not in METHODS:
        raise UnknownNameError("bound", method, list(METHODS))
    instance_of("instance", instance, Instance)
    time_limit_s = time_limit("time_limit_s", time_limit_s)
    if method == "volume":
        return volume.bound(instance)
    if method == "flow":
        return flow.bound(instance)
    if method == "lp":
        return lp.bound(instance, time_limit_s=time_limit_s)
    budget_s = PRICES_TIME_LIMIT_S if time_limit_s is None else time_limit_s
    begun = time.perf_counter()
    priced = prices.memory_prices(instance, time_limit_s=budget_s)
    if method == "prices":
        return prices.certified(instance, priced)
    if method == "room":
        return room.improved(instance, priced, prices.certified(instance, priced), time_limit_s=budget_s)
    if method == "packing":
        return packing.improved(instance, prices.certified(instance, priced), time_limit_s=budget_s)
    grown = growth.improved(instance, priced, time_limit_s=budget_s)
    if method == "growth":
        return grown
    found = [volume.bound(instance), grown]
    rounds = prices.priced_horizon(instance.types, instance.capacity)
    left_s = budget_s - (time.perf_counter() - begun)
    if len(instance.types) * rounds <= LP_MAX_STARTS and left_s > 0:
        with suppress(SolverError):  # out of time: the others stand
            found.append(lp.bound(instance, time_limit_s=left_s))
    highest = max(found, key=lambda bound: bound.value)
    left_s = budget_s - (time.perf_counter() - begun)
    if left_s > 0:
        highest = room.improved(instance, priced, highest, time_limit_s=left_s)
    left_s = budget_s - (time.perf_counter() - begun)
    return packing.improved(instance, highest, time_limit_s=left_s) if left_s > 0 else highest
