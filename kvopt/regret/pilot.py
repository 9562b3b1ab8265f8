"""The plan for a known arrival rate: tried out on pilot paths of their own."""

from __future__ import annotations

from fractions import Fraction

from kvopt.errors import InputError
from kvopt.regret.mix import Mix
from kvopt.regret.paths import draw_path
from kvopt.regret.plans import StartPlan, even_plan, largest, plan_candidates
from kvopt.regret.staggered import staggered_schedule

#: Pilot paths, their rounds, and the requests one of them has at most (about).
PILOT_PATHS, PILOT_ROUNDS, PILOT_REQUESTS = 3, 2_000, 60_000
#: Pilot paths have this index and above: never those a policy is measured on.
FIRST_PILOT = 2 * 10**9


def piloted_plan(mix: Mix, rate: Fraction, process: str = "poisson", seed: int = 0) -> StartPlan:
    """Of the plans that sustain a rate, the one with the least waiting on pilot paths.

    Besides `kvopt.regret.plans.plan_candidates`, even plans between the arrival rate and the largest plan's are
    tried: what is not reserved is free for bursts. If no plan sustains the rate, the largest is returned.

    Raises
    ------
    InputError
        If no plan starts every type, or the process cannot bring the rate.

    Examples
    --------
    >>> mix = Mix(256, [1, 1], [2, 6], [0.7, 0.3])
    >>> rate = mix.volume_capacity * Fraction(4, 5)
    >>> rate < piloted_plan(mix, rate).rate < mix.volume_capacity
    True
    """
    plans = plan_candidates(mix)
    best = largest(plans)
    for part in (Fraction(1, 4), Fraction(1, 2)):
        try:
            plans.append(even_plan(mix, rate + part * (best.rate - rate)))
        except InputError:  # does not fit: rounding costs more than that at small capacities
            continue
    plans = [plan for plan in plans if plan.rate > rate]
    if not plans:
        return best
    rounds = max(1, min(PILOT_ROUNDS, int(PILOT_REQUESTS / rate)))
    pilots = [draw_path(mix, rate, rounds, seed, FIRST_PILOT + i, process) for i in range(PILOT_PATHS)]
    instances = [path.instance(mix) for path in pilots if len(path.arrival)]

    def waiting(plan: StartPlan) -> int:
        return sum(int((staggered_schedule(inst, plan) - inst.arrival).sum()) for inst in instances)

    return min(plans, key=waiting)
