"""Periodic plans of starts: how many requests of each type may start in each round, for ever, within the capacity.

A plan that spreads the starts evenly keeps the running requests at all ages at once and the memory near the
capacity. `kvopt.regret.staggered` reserves the memory of such a plan; what the plan starts of each type
per round is then what the policy sustains, whatever the arrivals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from kvopt.errors import InputError, SolverError, TooLargeError
from kvopt.model import IntArray
from kvopt.regret.effective_capacity import EffectiveCapacity, effective_capacity
from kvopt.regret.mix import Mix
from kvopt.regret.profiles import ProfileGraph, profile_graph

#: Least and most rounds in which an even plan repeats (in between, the rarest type starts `EVEN_STARTS` times), and
#: steps of the search for its rate.
EVEN_PERIODS, EVEN_STARTS, EVEN_STEPS = (1_000, 50_000), 20, 2_000
#: Periods tried for packed plans, and the solver's effort for each (deterministic seconds).
PACKED_PERIODS, PACKED_EFFORT = (10, 20, 30, 40), 0.1
#: Capacity in mean peaks beyond which even plans are within a few per cent of the volume capacity anyway, and
#: types beyond which CP-SAT finds nothing in that effort.
PACKED_MOST_PEAKS, PACKED_MOST_TYPES = 200, 12
#: Longest output of a plan: its memory is summed over that many rounds.
MOST_PLANNED_OUTPUT = 10_000_000
#: Outputs of all types together up to which the rounds of a packed plan are written out.
PACKED_MOST_OUTPUT = 20_000
#: Profiles up to which the circulation programme supplies the plan, and rounds tried for it.
WALK_PROFILES, WALK_ROUNDS = 5_000, (5, 10, 20, 40, 80, 150)


@dataclass(frozen=True, eq=False)
class StartPlan:
    """How many requests of each type may start in each round, repeated for ever.

    Parameters
    ----------
    mix : Mix
    quota : int64 array of shape (period, K)
        At least 0.

    Raises
    ------
    InputError
        If following the plan would exceed the capacity in some round.
    TooLargeError
        If an output is beyond `MOST_PLANNED_OUTPUT`.

    Examples
    --------
    >>> plan = StartPlan(Mix(4, [0], [2], [1]), np.array([[1], [1], [1], [2]]))
    Traceback (most recent call last):
    kvopt.errors.InputError: the plan holds 5 tokens in its round 0, capacity 4
    >>> StartPlan(Mix(4, [0], [2], [1]), np.array([[1], [1]])).rate
    Fraction(1, 1)
    """

    mix: Mix
    quota: IntArray

    def __post_init__(self) -> None:
        quota = np.array(self.quota, np.int64)
        if quota.ndim != 2 or quota.shape[1] != len(self.mix) or len(quota) == 0 or quota.min() < 0:
            raise InputError(f"a plan is a table of {len(self.mix)} columns of counts, not of shape {quota.shape}")
        if max(self.mix.output) > MOST_PLANNED_OUTPUT:
            raise TooLargeError(
                f"an output of {max(self.mix.output):,} tokens; plans are made for at most {MOST_PLANNED_OUTPUT:,}"
            )
        quota.setflags(write=False)
        object.__setattr__(self, "quota", quota)
        worst = int(self.memory.argmax())
        if self.memory[worst] > self.mix.capacity:
            raise InputError(
                f"the plan holds {self.memory[worst]} tokens in its round {worst}, capacity {self.mix.capacity}"
            )

    @cached_property
    def memory(self) -> IntArray:
        """Tokens held in each round of the period once the plan has run for long, int64 of shape (period,)."""
        period = len(self.quota)
        held = np.zeros(period, np.int64)
        for k, (s, o) in enumerate(zip(self.mix.prompt, self.mix.output, strict=True)):
            earlier = -(-o // period) * period  # rounds before the period that still matter, in whole periods
            starts = np.tile(self.quota[:, k], earlier // period + 1)
            number = np.concatenate(([0], np.cumsum(starts)))
            timed = np.concatenate(([0], np.cumsum(starts * np.arange(len(starts)))))
            t = earlier + np.arange(period)
            # Started in round u, a request holds s + 1 + t - u in round t = u .. u + o - 1.
            held += (s + 1 + t) * (number[t + 1] - number[t + 1 - o]) - (timed[t + 1] - timed[t + 1 - o])
        return held

    @property
    def rate(self) -> Fraction:
        """Requests per round, in the proportions of the mix, that the plan can start: what it sustains."""
        totals = self.quota.sum(axis=0).tolist()
        return min(total / share for total, share in zip(totals, self.mix.share, strict=True)) / len(self.quota)


def staggering_plan(mix: Mix) -> StartPlan:
    """The plan of the largest rate among `plan_candidates`: what to follow if the arrival rate is unknown.

    `kvopt.regret.pilot.piloted_plan` chooses for a known rate.

    Raises
    ------
    InputError
        If no plan was found that starts every type: some are too rare to have starts of their own.

    Examples
    --------
    >>> mix = Mix(1024, [1, 1], [2, 6], [0.7, 0.3])
    >>> round(float(staggering_plan(mix).rate / mix.volume_capacity), 3)
    0.995
    """
    return largest(plan_candidates(mix))


def largest(plans: Sequence[StartPlan]) -> StartPlan:
    """The plan of the largest rate; InputError if that is 0."""
    best = max(plans, key=lambda plan: plan.rate)
    mix = best.mix
    if best.rate == 0:
        raise InputError(
            f"no plan starts each of the {len(mix)} types of this mix at capacity {mix.capacity}; the rarest could "
            f"start once in {float(1 / (mix.volume_capacity * min(mix.share))):,.0f} rounds at best"
        )
    return best


def plan_candidates(mix: Mix) -> list[StartPlan]:
    """An even plan, packed plans, and the walks of the circulation programme, as far as they are small enough."""
    plans = [even_plan(mix)]
    few = len(mix) <= PACKED_MOST_TYPES and sum(mix.output) <= PACKED_MOST_OUTPUT
    if few and mix.capacity <= PACKED_MOST_PEAKS * mix.mean_peak:
        for period in PACKED_PERIODS:
            with suppress(SolverError):  # shares may be too small for its integers
                plans.append(packed_plan(mix, period))
    try:
        found = effective_capacity(mix, profile_graph(mix, WALK_PROFILES))
    except TooLargeError:
        return plans
    return plans + [walk_plan(found, rounds) for rounds in WALK_ROUNDS]


def even_plan(mix: Mix, rate: Fraction | None = None) -> StartPlan:
    """Starts of each type as evenly spread over the rounds as integers allow, at a rate or as many as fit.

    With starts ``floor((t+1) n) - floor(t n)`` any L consecutive rounds start at most ``n L + 1`` requests, so the
    memory is less than ``n vol + (s + o)`` for each type: a rate of ``(M - sum of the peaks) / mean volume`` always
    fits (summation by parts over the ages).

    Raises
    ------
    InputError
        If a given rate does not fit.
    """
    rarest = mix.volume_capacity * min(mix.share)
    period = min(max(EVEN_PERIODS[0], int(EVEN_STARTS / rarest)), EVEN_PERIODS[1])
    times = np.arange(period + 1)

    def plan(at: Fraction) -> StartPlan:
        # Rounded up for a rate that must be sustained, down when the largest that fits is looked for.
        number = [int(at * f * period) if rate is None else -int(-at * f * period // 1) for f in mix.share]
        return StartPlan(mix, np.stack([np.diff(times * n // period) for n in number], axis=1))

    if rate is not None:
        return plan(rate)
    low, high = 0, EVEN_STEPS
    while high - low > 1:
        middle = (low + high) // 2
        try:
            plan(mix.volume_capacity * middle / EVEN_STEPS)
        except InputError:
            high = middle
        else:
            low = middle
    return plan(mix.volume_capacity * low / EVEN_STEPS)


def packed_plan(mix: Mix, period: int) -> StartPlan:
    """The plan of a period with the largest rate that CP-SAT finds in a fixed effort; the same on every run.

    Raises
    ------
    SolverError
        If it finds none.
    """
    from kvopt.mip.libraries import cp_model

    model = cp_model.CpModel()
    starts = [
        [model.new_int_var(0, mix.capacity // (s + o), f"starts {k} {t}") for t in range(period)]
        for k, (s, o) in enumerate(zip(mix.prompt, mix.output, strict=True))
    ]
    for t in range(period):
        held = [
            (s + 1 + age) * starts[k][(t - age) % period]
            for k, (s, o) in enumerate(zip(mix.prompt, mix.output, strict=True))
            for age in range(o)
        ]
        model.add(sum(held) <= mix.capacity)
    scale = 10**6
    rate = model.new_int_var(0, int(mix.volume_capacity * period * scale) + 1, "rate")
    for k, share in enumerate(mix.share):
        model.add(sum(starts[k]) * scale * share.denominator >= rate * share.numerator)
    model.maximize(rate)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = PACKED_EFFORT
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise SolverError(f"CP-SAT found no plan of {period} rounds")
    return StartPlan(mix, np.array([[solver.value(var) for var in row] for row in starts]).T)


def walk_plan(found: EffectiveCapacity, rounds: int) -> StartPlan:
    """The closed walks that prove an effective capacity, one after the other in about `rounds` rounds.

    The longer, the closer to the effective capacity (the way from one walk to the next costs a few rounds), but the
    longer a type may have to wait for its walk.
    """
    graph, walks = found.graph, found.walks
    total = sum((walk.weight * walk.rounds for walk in walks), Fraction(0))
    moves: list[int] = []
    for walk, following in zip(walks, (*walks[1:], walks[0]), strict=True):
        moves += list(walk.moves) * max(1, round(walk.weight * rounds / total))
        moves += shortest_route(graph, walk.profile, following.profile)
    quota = [[0] * len(graph.mix)]
    for move in moves:
        if move == -1:
            quota.append([0] * len(graph.mix))
        else:
            quota[-1][move] += 1
    last = quota.pop()  # starts after the last advance belong to the next period's first round
    quota[0] = [a + b for a, b in zip(quota[0], last, strict=True)]
    return StartPlan(graph.mix, np.array(quota))


def shortest_route(graph: ProfileGraph, origin: int, target: int) -> list[int]:
    """Moves (types to start, -1 to advance) from one profile to another in the fewest rounds."""
    rounds, before = {origin: 0}, {origin: (origin, 0)}
    queue = deque([origin])
    while queue:
        at = queue.popleft()
        for move in (*range(len(graph.mix)), -1):
            after = int(graph.advance[at]) if move == -1 else int(graph.start[at, move])
            length = rounds[at] + (move == -1)
            if after >= 0 and rounds.get(after, length + 1) > length:
                rounds[after], before[after] = length, (at, move)
                queue.append(after) if move == -1 else queue.appendleft(after)
    moves: list[int] = []
    while target != origin:
        target, move = before[target]
        moves.append(move)
    return moves[::-1]
