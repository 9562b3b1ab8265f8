"""Regret measured: every policy on the same paths, against the hindsight optimum or a certified bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvopt.arguments import whole_number
from kvopt.errors import InputError, SolverError, TooLargeError, UnknownNameError
from kvopt.model import MAX_REQUESTS, MAX_VALUE, Instance, IntArray
from kvopt.policies.backlog import list_schedule
from kvopt.regret.mix import Mix
from kvopt.regret.paths import ArrivalPath, check_process, draw_path
from kvopt.regret.pilot import piloted_plan
from kvopt.regret.plans import StartPlan
from kvopt.regret.profiles import ProfileGraph, profile_graph
from kvopt.regret.reference import REFERENCES, TablePolicy, reference_policy
from kvopt.regret.staggered import staggered_schedule
from kvopt.regret.tables import StateSpace

#: What a policy's waiting is compared with: the exact optimum of the path, a certified lower bound on it, or
#: nothing (then regret is waiting itself, an upper bound on the regret).
BASELINES = ("exact", "bound", "none")
#: Policies that run on the realised instance and look at nothing that has not arrived.
ONLINE_POLICIES = ("fcfs", "mc-sf", "svf", "staggered")
#: Width of the 95 % normal confidence intervals, in standard errors.
NORMAL_95 = 1.959964
#: States and waiting requests a table tells apart by default, and bytes that all tables may take.
TABLE_STATES, TABLE_WAITING, TABLE_BYTES = 30_000, 40, 1_500_000_000
#: Seconds for the certified bound of one path and horizon.
BOUND_TIME_LIMIT_S = 10.0


@dataclass(frozen=True)
class RegretRow:
    """One policy at one horizon; means over the paths, ``_ci`` half widths of 95 % normal intervals.

    Attributes
    ----------
    capacity : int
    policy : str
    horizon : int
        Requests arrive in rounds 0 .. horizon - 1; all are served.
    paths : int
    requests : float
        Mean number of requests.
    waiting, waiting_ci : float
        Total waiting in rounds (latency without the outputs).
    regret, regret_ci : float
        Waiting minus that of the baseline, path by path.
    per_request, per_request_ci : float
        Mean regret over mean number of requests; interval of the ratio estimator.
    capped : float
        Share of the paths on which a table policy met more waiting requests than it tells apart.
    """

    capacity: int
    policy: str
    horizon: int
    paths: int
    requests: float
    waiting: float
    waiting_ci: float
    regret: float
    regret_ci: float
    per_request: float
    per_request_ci: float
    capped: float


class PathRecord(NamedTuple):
    """What one path gave, by horizon (and policy)."""

    requests: IntArray
    least: IntArray
    #: Shape (policies, horizons), like `capped`.
    waiting: IntArray
    capped: npt.NDArray[np.bool_]


class RegretStudy:
    """Runs policies on common random paths and collects waiting and regret.

    Parameters
    ----------
    mix : Mix
    rate : Fraction
        Requests per round.
    horizons : sequence of int
        Rounds with arrivals, each >= 1; the paths of a shorter horizon are beginnings of those of the longest.
    policies : sequence of str
        Names of `ONLINE_POLICIES` or `kvopt.regret.reference.REFERENCES`.
    process : str
        See `kvopt.regret.paths.PROCESSES`.
    seed : int
    baseline : str
        One of `BASELINES`.

    Raises
    ------
    UnknownNameError, InputError, TooLargeError
        For an unknown name, a bad number, or exact methods at a capacity too large for them.

    Examples
    --------
    >>> mix = Mix(8, [1, 1], [2, 6], [0.7, 0.3])
    >>> study = RegretStudy(mix, Fraction(1, 4), [50, 100], ["fcfs", "finite-opt"])
    >>> for _ in range(20):
    ...     study.add_path()
    >>> [(row.policy, row.horizon, row.regret > 0) for row in study.rows()]
    [('fcfs', 50, True), ('fcfs', 100, True), ('finite-opt', 50, True), ('finite-opt', 100, True)]
    """

    def __init__(
        self,
        mix: Mix,
        rate: Fraction,
        horizons: Sequence[int],
        policies: Sequence[str],
        *,
        process: str = "types",
        seed: int = 0,
        baseline: str = "exact",
    ) -> None:
        if baseline not in BASELINES:
            raise UnknownNameError("baseline", baseline, list(BASELINES))
        known = [*ONLINE_POLICIES, *REFERENCES]
        for name in policies:
            if name not in known:
                raise UnknownNameError("policy", name, known)
        check_process(mix, rate, process)
        self.mix, self.rate, self.process, self.baseline = mix, Fraction(rate), process, baseline
        self.seed = whole_number("seed", seed, 0, MAX_VALUE)
        self.policies = tuple(dict.fromkeys(policies))
        self.horizons = tuple(sorted({whole_number("horizons", h, 1, MAX_REQUESTS) for h in horizons}))
        if not self.horizons or not self.policies:
            raise InputError("a study needs at least one horizon and one policy")
        tables = [name for name in self.policies if name in REFERENCES]
        self._graph: ProfileGraph | None = profile_graph(mix) if tables or baseline == "exact" else None
        self._space = default_space(self._graph) if tables and self._graph is not None else None
        if self._space is not None:
            timed = len({"finite-opt", "expected-hindsight"} & set(tables))
            size = timed * sum(self.horizons) * len(self._space.graph) * self._space.queues
            if size > TABLE_BYTES:
                raise TooLargeError(
                    f"tables for these horizons take {size / 1e9:.1f} GB; {TABLE_BYTES / 1e9:g} at most"
                )
        self._tables: dict[tuple[str, int], TablePolicy] = {}
        self._finished: list[PathRecord] = []

    @cached_property
    def plan(self) -> StartPlan:
        """The plan of the policy ``staggered``, made for the mix and the rate."""
        return piloted_plan(self.mix, self.rate, self.process, self.seed)

    @property
    def paths(self) -> int:
        """Paths finished so far."""
        return len(self._finished)

    def prepare(self, on_table: Callable[[str, int], None] = lambda name, horizon: None) -> None:
        """Compute the tables of the reference policies; `on_table` hears which one is next."""
        if "staggered" in self.policies and self.paths == 0:
            on_table("staggered", self.horizons[-1])
            _ = self.plan  # kept from here on
        for name in self.policies:
            for horizon in self.horizons:
                if name in REFERENCES and (name, horizon) not in self._tables:
                    assert self._space is not None
                    on_table(name, horizon)
                    same = self._tables.get((name, self.horizons[0])) if name in ("resolve", "stationary") else None
                    self._tables[name, horizon] = same or reference_policy(
                        name, self._space, self.rate, horizon, self.process, self.seed
                    )

    def add_path(self) -> None:
        """Run every policy on the next path; nothing is recorded if this is interrupted.

        Raises
        ------
        SolverError
            If a policy beats the baseline: one of the two would be wrong.
        """
        self.prepare()
        path = draw_path(self.mix, self.rate, self.horizons[-1], self.seed, self.paths, self.process)
        cuts = [path.until(horizon) for horizon in self.horizons]
        waiting = np.zeros((len(self.policies), len(cuts)), np.int64)
        capped = np.zeros(waiting.shape, np.bool_)
        for h, cut in enumerate(cuts):
            instance = cut.instance(self.mix) if len(cut.arrival) else None
            for p, name in enumerate(self.policies):
                if name in REFERENCES:
                    waiting[p, h], rounds = self._tables[name, self.horizons[h]].waiting(cut)
                    capped[p, h] = rounds > 0
                elif instance is not None:
                    starts = staggered_schedule(instance, self.plan) if name == "staggered" else listed(instance, name)
                    waiting[p, h] = int((starts - instance.arrival).sum())
        least = self._baseline(path, cuts)
        if (waiting < least).any():
            p, h = np.argwhere(waiting < least)[0]
            raise SolverError(
                f"path {self.paths}: {self.policies[p]} waits {waiting[p, h]} rounds until {self.horizons[h]}, "
                f"less than the {self.baseline} baseline {least[h]}"
            )
        requests = np.array([len(cut.arrival) for cut in cuts], np.int64)
        self._finished.append(PathRecord(requests, least, waiting, capped))

    def _baseline(self, path: ArrivalPath, cuts: Sequence[ArrivalPath]) -> IntArray:
        if self.baseline == "exact":
            from kvopt.regret.hindsight import hindsight_curve

            assert self._graph is not None
            return hindsight_curve(self._graph, path, np.array(self.horizons, np.int64))
        if self.baseline == "none":
            return np.zeros(len(cuts), np.int64)
        from kvopt.bounds import lower_bound

        least = []
        for cut in cuts:
            if len(cut.arrival) == 0:
                least.append(0)
                continue
            instance = cut.instance(self.mix)
            bound = lower_bound(instance, time_limit_s=BOUND_TIME_LIMIT_S).value
            least.append(max(0, bound - int(instance.output.sum())))
        return np.array(least, np.int64)

    def waiting(self, policy: str) -> IntArray:
        """Total waiting of a policy, shape (paths, horizons)."""
        p = self.policies.index(policy)
        return np.array([done.waiting[p] for done in self._finished], np.int64).reshape(-1, len(self.horizons))

    def regret(self, policy: str) -> IntArray:
        """Its regret on each path, shape (paths, horizons)."""
        least = np.array([done.least for done in self._finished], np.int64).reshape(-1, len(self.horizons))
        return self.waiting(policy) - least

    def rows(self) -> list[RegretRow]:
        """Means and intervals, policy by policy; InputError without any finished path."""
        if self.paths == 0:
            raise InputError("no path has been finished")
        requests = np.array([done.requests for done in self._finished], np.float64)
        capped = np.array([done.capped for done in self._finished])
        rows = []
        for p, policy in enumerate(self.policies):
            waiting, regret = self.waiting(policy), self.regret(policy)
            for h, horizon in enumerate(self.horizons):
                mean, n = regret[:, h].mean(), requests[:, h].mean() or 1.0  # without requests there is no regret
                # The error of a ratio of means is that of the residuals, to first order.
                residual = regret[:, h] - mean / n * requests[:, h]
                rows.append(
                    RegretRow(
                        capacity=self.mix.capacity,
                        policy=policy,
                        horizon=horizon,
                        paths=self.paths,
                        requests=float(requests[:, h].mean()),
                        waiting=float(waiting[:, h].mean()),
                        waiting_ci=half_width(waiting[:, h]),
                        regret=float(mean),
                        regret_ci=half_width(regret[:, h]),
                        per_request=float(mean / n),
                        per_request_ci=half_width(residual) / float(n),
                        capped=float(capped[:, p, h].mean()),
                    )
                )
        return rows

    def as_dict(self) -> dict[str, Any]:
        """What was run and the rows, JSON-ready."""
        return {
            "capacity": self.mix.capacity,
            "types": [
                {"prompt": s, "output": o, "share": str(f)}
                for s, o, f in zip(self.mix.prompt, self.mix.output, self.mix.share, strict=True)
            ],
            "rate": str(self.rate),
            "process": self.process,
            "seed": self.seed,
            "baseline": self.baseline,
            "paths": self.paths,
            "rows": [asdict(row) for row in self.rows()],
        }


def half_width(values: npt.NDArray[Any]) -> float:
    """Half width of the 95 % normal confidence interval of a mean; infinite for a single value."""
    if len(values) < 2:
        return float("inf")
    return NORMAL_95 * float(values.std(ddof=1)) / len(values) ** 0.5


def listed(instance: Instance, name: str) -> IntArray:
    """Start rounds of a list policy."""
    key = {"fcfs": instance.arrival, "mc-sf": instance.output, "svf": instance.volume}[name]
    return list_schedule(instance, np.argsort(key, kind="stable"))


def default_space(graph: ProfileGraph) -> StateSpace:
    """A state space of about `TABLE_STATES` states, with equal caps."""
    types = len(graph.mix)
    cap = min(TABLE_WAITING, int((TABLE_STATES / len(graph)) ** (1 / types)) - 1)
    if cap < 3:
        raise TooLargeError(
            f"{len(graph):,} running configurations and {types} types are too many for the reference policies"
        )
    return StateSpace(graph, (cap,) * types)
