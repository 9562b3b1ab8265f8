"""A policy against a family: total latency over the optimum, and how the ratio grows with the capacity."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from kvopt.adversary import single_long
from kvopt.adversary.play import Adversary, play
from kvopt.arguments import time_limit
from kvopt.bounds import lower_bound
from kvopt.errors import InputError
from kvopt.model import Instance, Schedule
from kvopt.solving import solve

#: Requests above which the optimum is bracketed by a policy and the volume bound instead of searched for.
MOST_SEARCHED = 2_000
#: Memory for the search.
MEMORY_LIMIT_GB = 2.0


@dataclass(frozen=True)
class Yardstick:
    """What is known about the optimum of an instance.

    Attributes
    ----------
    lower, upper : int
        The optimum is within these; `upper` is the total latency of a schedule.
    proof : str
        How `lower` is proved.
    """

    lower: int
    upper: int
    proof: str


@dataclass(frozen=True)
class Point:
    """A policy's run against an adversary.

    Attributes
    ----------
    policy : str
    instance : Instance
        Everything released.
    total_latency : int
        Of the policy, in rounds.
    yardstick : Yardstick
    """

    policy: str
    instance: Instance
    total_latency: int
    yardstick: Yardstick

    @property
    def ratio(self) -> Fraction:
        """Total latency over that of the best known schedule: proved, the ratio is at least this."""
        return Fraction(self.total_latency, self.yardstick.upper)

    @property
    def ratio_at_most(self) -> Fraction:
        """Total latency over the lower bound; equal to `ratio` where the optimum is known."""
        return Fraction(self.total_latency, self.yardstick.lower)


def against(adversary: Adversary, policy: Any, *, seed: int = 0, time_limit_s: float | None = None) -> Point:
    """Run a policy against an adversary and measure it by the optimum of what was released.

    Parameters
    ----------
    adversary : Adversary
    policy : Policy, or any object with a method ``decide(view)``
    seed : int
        Of the policy's random choices.
    time_limit_s : float, optional
        Seconds for the search for the optimum.

    Returns
    -------
    Point

    Raises
    ------
    InputError
        If the time limit is out of range, or the policy leaves requests unserved.

    Examples
    --------
    >>> from kvopt.adversary.families import Burst
    >>> from kvopt.policies.mc_sf import McSf
    >>> point = against(Burst(64), McSf())
    >>> point.total_latency, point.yardstick, round(float(point.ratio), 3)
    (269, Yardstick(lower=138, upper=138, proof='enumeration'), 1.949)
    """
    time_limit("time_limit_s", time_limit_s)
    run = play(adversary, policy, seed)
    assert isinstance(run.source, Instance)
    return Point(run.policy, run.source, run.total_latency, yardstick(run.source, time_limit_s))


def yardstick(instance: Instance, time_limit_s: float | None = None) -> Yardstick:
    """The optimum, or a bracket.

    By enumeration for one long request among identical ones of one round (`kvopt.adversary.single_long`); otherwise
    by ``dp`` up to `MOST_SEARCHED` requests and within the time limit, beyond that by ``svf`` and the volume bound.
    """
    try:
        value = Schedule(instance, single_long.optimum(instance)).total_latency
        return Yardstick(value, value, "enumeration")
    except InputError:
        pass
    if instance.n > MOST_SEARCHED:
        upper = solve(instance, "svf").total_latency
        assert upper is not None
        return Yardstick(lower_bound(instance, "volume").value, upper, "volume bound")
    result = solve(instance, "dp", time_limit_s=time_limit_s, memory_limit_gb=MEMORY_LIMIT_GB)
    if result.statistics.get("stopped_by") == "interrupted":
        raise KeyboardInterrupt
    assert result.total_latency is not None
    assert result.lower_bound is not None
    proof = "dp" if result.lower_bound == result.total_latency else "dp, stopped"
    return Yardstick(result.lower_bound, result.total_latency, proof)


def exponent(sizes: list[int], ratios: list[Fraction]) -> float:
    """Least-squares slope of log ratio over log size, for at least two sizes.

    Parameters
    ----------
    sizes : list of int
        Capacities or numbers of requests, positive.
    ratios : list of Fraction

    Returns
    -------
    float

    Raises
    ------
    InputError
        If there are fewer than two different sizes.

    Examples
    --------
    >>> round(exponent([16, 64, 256], [Fraction(4), Fraction(8), Fraction(16)]), 6)
    0.5
    """
    if len(set(sizes)) < 2:
        raise InputError("an exponent takes at least two sizes")
    return float(np.polyfit(np.log(sizes), np.log([float(r) for r in ratios]), 1)[0])
