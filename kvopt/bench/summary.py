"""What a benchmark amounts to: times, proofs and gaps of each solver, speed-ups, and contradictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from operator import itemgetter
from statistics import fmean

import msgspec

from kvopt.bench.cell import Outcome, Record
from kvopt.verify import REFUSED

#: General-purpose solvers: the best of them on each instance is what a special method is measured against.
GENERAL = ("cp-sat", "highs", "scip")
#: Seconds below which an instance says little about a method: start-up weighs as much as search.
HARD_S = 1.0
#: Group under which all records are summed up.
ALL = "all"


class SolverSummary(msgspec.Struct, frozen=True):
    """The cells of one solver in one group; None where there is nothing to take a mean of.

    Attributes
    ----------
    cells, optimal, proved, failed : int
        All; those claimed optimal; those whose optimality the verifier confirmed by a certificate; those that
        raised an error, crashed or had to be ended from outside.
    mean_s, slowest_s : float or None
        Geometric mean and maximum of the seconds of the cells claimed optimal.
    capped_mean_s : float or None
        Geometric mean of the seconds of all cells, those not claimed optimal counted with their time limit; None
        for a solver that gives no bounds.
    checking, slowest_checking : float or None
        Geometric mean and maximum of the compiled checker's seconds over those of the solve, of the cells proved.
    mean_gap, worst_gap : float or None
        (total latency - lower bound) / lower bound over the cells that have both.
    mean_excess : float or None
        Total latency over the best one that any solver of the benchmark found, less 1, over the cells with a
        schedule.
    """

    group: str
    solver: str
    cells: int
    optimal: int
    proved: int
    failed: int
    mean_s: float | None
    slowest_s: float | None
    capped_mean_s: float | None
    checking: float | None
    slowest_checking: float | None
    mean_gap: float | None
    worst_gap: float | None
    mean_excess: float | None


class SpeedUp(msgspec.Struct, frozen=True):
    """How much faster a reference solver is than another, over the instances both solve to optimality.

    Attributes
    ----------
    group, reference, other : str
        `other` may stand for the best of several solvers on each instance.
    both, reference_only, other_only : int
        Instances (with each seed) claimed optimal by both, by one only.
    ratio, least, largest : float or None
        Geometric mean and range of seconds of the other over seconds of the reference; None if `both` is 0.
    hard : int
        Those of `both` that took one of the two at least `HARD_S`.
    hard_ratio : float or None
        Geometric mean over these.
    """

    group: str
    reference: str
    other: str
    both: int
    reference_only: int
    other_only: int
    ratio: float | None
    least: float | None
    largest: float | None
    hard: int
    hard_ratio: float | None


def distinct(values: Iterable[str]) -> list[str]:
    """Each value once, in the order of first appearance."""
    return list(dict.fromkeys(values))


def geometric_mean(values: Iterable[float]) -> float | None:
    """Geometric mean of positive numbers, None without any.

    >>> round(geometric_mean([1.0, 100.0]), 9)
    10.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(fmean(logs)) if logs else None


def grouped(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """The records of each group, and of all groups if there are several."""
    groups = distinct(record.group for record in records)
    parts = [(group, [record for record in records if record.group == group]) for group in groups]
    return [*parts, (ALL, list(records))] if len(groups) > 1 else parts


def summarise(records: Sequence[Record]) -> list[SolverSummary]:
    """A summary of each group and solver, in the order of the records."""
    best: dict[str, int] = {}
    for record in records:
        if record.total_latency is not None:
            best[record.digest] = min(record.total_latency, best.get(record.digest, record.total_latency))
    return [
        summary(group, solver, [record for record in part if record.solver == solver], best)
        for group, part in grouped(records)
        for solver in distinct(record.solver for record in part)
    ]


def summary(group: str, solver: str, records: Sequence[Record], best: dict[str, int]) -> SolverSummary:
    """The summary of one solver's records; `best` is the least total latency known by digest."""
    times = [record.runtime_s for record in records if record.optimal and record.runtime_s is not None]
    gaps = [float(record.gap) for record in records if record.gap is not None]
    checking = [r.compiled_verify_s / r.runtime_s for r in records if r.proved and r.compiled_verify_s and r.runtime_s]
    excess = [r.total_latency / best[r.digest] - 1 for r in records if r.total_latency is not None]
    unsolved = [record.time_limit_s for record in records if not record.optimal]
    bounding = any(record.lower_bound is not None for record in records)
    return SolverSummary(
        group=group,
        solver=solver,
        cells=len(records),
        optimal=len(times),
        proved=sum(record.proved for record in records),
        failed=sum(record.outcome is not Outcome.FINISHED for record in records),
        mean_s=geometric_mean(times),
        slowest_s=max(times, default=None),
        capped_mean_s=geometric_mean([*times, *unsolved]) if bounding else None,
        checking=geometric_mean(checking),
        slowest_checking=max(checking, default=None),
        mean_gap=fmean(gaps) if gaps else None,
        worst_gap=max(gaps, default=None),
        mean_excess=fmean(excess) if excess else None,
    )


def speed_ups(records: Sequence[Record], reference: str) -> list[SpeedUp]:
    """The reference against each other solver that claims optima, and against the best of `GENERAL` each time."""
    solvers = distinct(record.solver for record in records if record.optimal)
    others: list[tuple[str, tuple[str, ...]]] = [(solver, (solver,)) for solver in solvers if solver != reference]
    general = tuple(solver for solver in GENERAL if solver in solvers and solver != reference)
    if len(general) > 1:
        others.append((f"best of {', '.join(general)}", general))
    return [
        speed_up(group, part, reference, name, members) for group, part in grouped(records) for name, members in others
    ]


def speed_up(group: str, records: Sequence[Record], reference: str, name: str, members: tuple[str, ...]) -> SpeedUp:
    """The reference against the fastest of `members` on each instance and seed."""
    ours = solved_in(records, (reference,))
    theirs = solved_in(records, members)
    keys = ours.keys() & theirs.keys()
    ratios = [theirs[key] / ours[key] for key in keys]
    # By the slower of the two, so that the choice favours neither (Achterberg and Wunderling, 2013).
    hard = [theirs[key] / ours[key] for key in keys if max(theirs[key], ours[key]) >= HARD_S]
    return SpeedUp(
        group=group,
        reference=reference,
        other=name,
        both=len(ratios),
        reference_only=len(ours.keys() - theirs.keys()),
        other_only=len(theirs.keys() - ours.keys()),
        ratio=geometric_mean(ratios),
        least=min(ratios, default=None),
        largest=max(ratios, default=None),
        hard=len(hard),
        hard_ratio=geometric_mean(hard),
    )


def solved_in(records: Iterable[Record], solvers: tuple[str, ...]) -> dict[tuple[str, int], float]:
    """Least seconds in which one of the solvers claimed the optimum, by instance and seed."""
    least: dict[tuple[str, int], float] = {}
    for record in records:
        if record.solver in solvers and record.optimal and record.runtime_s is not None:
            key = record.instance, record.seed
            least[key] = min(record.runtime_s, least.get(key, math.inf))
    return least


def contradictions(records: Sequence[Record]) -> list[str]:
    """Claims that cannot both be true: a lower bound above a verified total latency; and refused results."""
    found = [f"{r.instance}: the verifier refuses {r.solver}, seed {r.seed}" for r in records if r.verdict == REFUSED]
    for instance in distinct(record.instance for record in records):
        part = [record for record in records if record.instance == instance]
        bounds = [(r.lower_bound, r.solver) for r in part if r.lower_bound is not None]
        values = [(r.total_latency, r.solver) for r in part if r.total_latency is not None]
        if bounds and values:
            bound, claims = max(bounds, key=itemgetter(0))
            value, finds = min(values, key=itemgetter(0))
            if bound > value:
                found.append(f"{instance}: {claims} claims no schedule below {bound}, {finds} has one of {value}")
    return found


def profile_times(records: Sequence[Record]) -> dict[str, list[float | None]]:
    """Seconds of each solver that gives bounds on each instance and seed, None where it claims no optimum."""
    keys = list(dict.fromkeys((record.instance, record.seed) for record in records))
    solvers = distinct(record.solver for record in records if record.lower_bound is not None)
    solved = {solver: solved_in(records, (solver,)) for solver in solvers}
    return {solver: [times.get(key) for key in keys] for solver, times in solved.items()}


def profile_gaps(records: Sequence[Record]) -> dict[str, list[Fraction | None]]:
    """Gap of each solver that gives bounds on each instance and seed, None where schedule or bound is missing."""
    keys = list(dict.fromkeys((record.instance, record.seed) for record in records))
    solvers = distinct(record.solver for record in records if record.lower_bound is not None)
    found = {(record.solver, record.instance, record.seed): record.gap for record in records}
    return {solver: [found.get((solver, *key)) for key in keys] for solver in solvers}
