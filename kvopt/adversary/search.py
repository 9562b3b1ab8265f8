"""A search for small instances on which a policy is far from the optimum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from kvopt.arguments import whole_number
from kvopt.bounds import volume
from kvopt.errors import InputError
from kvopt.model import Instance, Result
from kvopt.monitor import Monitor
from kvopt.online import simulate
from kvopt.solving import solve

#: Most requests of an instance searched.
MOST_REQUESTS = 12
#: Largest capacity and latest arrival.
MOST_CAPACITY = 1_000
#: Changes without a better ratio after which the climb starts again from a random instance.
PATIENCE = 150
#: Seconds for the optimum of one instance; a schedule found by then understates its ratio.
OPTIMUM_LIMIT_S = 5.0
#: Ratios remembered.
MOST_KNOWN = 100_000

#: (prompt, output, arrival) of each request.
Rows = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Space:
    """Where to look for bad instances.

    Parameters
    ----------
    capacity : int
        KV cache capacity in tokens, 2 .. `MOST_CAPACITY`.
    requests : int
        Number of requests, 1 .. `MOST_REQUESTS`.
    last_arrival : int
        Latest arrival, 0 (for backlogs) .. `MOST_CAPACITY`.
    prompt : int, optional
        Prompt of all requests; default any.

    Raises
    ------
    InputError
        If one of them is out of range.
    """

    capacity: int
    requests: int
    last_arrival: int = 0
    prompt: int | None = None

    def __post_init__(self) -> None:
        whole_number("capacity", self.capacity, 2, MOST_CAPACITY)
        whole_number("requests", self.requests, 1, MOST_REQUESTS)
        whole_number("last_arrival", self.last_arrival, 0, MOST_CAPACITY)
        if self.prompt is not None:
            whole_number("prompt", self.prompt, 0, self.capacity - 1)

    def request(self, random: np.random.Generator) -> tuple[int, int, int]:
        """A random request of the space."""
        prompt = int(random.integers(self.capacity)) if self.prompt is None else self.prompt
        output = int(random.integers(1, self.capacity - prompt + 1))
        return prompt, output, int(random.integers(self.last_arrival + 1))

    def neighbour(self, rows: Rows, random: np.random.Generator) -> Rows:
        """A few requests changed: drawn anew, made equal to another, or one field moved by one."""
        changed = list(rows)
        for _ in range(int(random.integers(1, 4))):
            i, j, kind = int(random.integers(len(rows))), int(random.integers(len(rows))), int(random.integers(4))
            if kind == 0:
                changed[i] = self.request(random)
            elif kind == 1:
                changed[i] = changed[j]
            else:
                step = [0, 0, 0]
                step[int(random.integers(3))] = 1 if random.integers(2) else -1
                prompt, output, arrival = (a + b for a, b in zip(changed[i], step, strict=True))
                if self.contains(prompt, output, arrival):
                    changed[i] = prompt, output, arrival
        return tuple(sorted(changed, key=lambda row: row[2]))

    def contains(self, prompt: int, output: int, arrival: int) -> bool:
        """Whether a request belongs to the space."""
        fits = prompt >= 0 and output >= 1 and prompt + output <= self.capacity and 0 <= arrival <= self.last_arrival
        return fits and self.prompt in (None, prompt)


@dataclass(frozen=True)
class Found:
    """The worst instance found.

    Attributes
    ----------
    instance : Instance
    total_latency : int
        Of the policy, in rounds.
    result : Result
        The optimum with its certificate, or the best schedule found and a lower bound.
    examined : int
        Instances on which the policy was run.
    """

    instance: Instance
    total_latency: int
    result: Result
    examined: int

    @property
    def ratio(self) -> Fraction:
        """Total latency of the policy over the one of the schedule."""
        assert self.result.total_latency is not None
        return Fraction(self.total_latency, self.result.total_latency)


def search(space: Space, policy: Any, *, steps: int | None = None, monitor: Monitor | None = None) -> Found:
    """Climb from random instances to ones with a larger ratio of the policy's total latency to the optimum.

    A changed instance is taken if its ratio is at least as large. The optimum is computed by ``dp`` unless the
    volume bound already shows that the ratio is smaller.

    Parameters
    ----------
    space : Space
    policy : Policy, or any object with a method ``decide(view)``
        See `kvopt.online`. It must complete every instance.
    steps : int, optional
        Instances to examine; default as many as the time limit allows.
    monitor : Monitor, optional
        Seed, limits, progress, interruption; its instance is not used.

    Returns
    -------
    Found
        For a seed and a number of steps always the same (unless an optimum takes longer than `OPTIMUM_LIMIT_S`).
        The instance names policy and total latencies in `meta`.

    Raises
    ------
    InputError
        Without steps and without a time limit, or if the policy does not complete an instance.

    Examples
    --------
    >>> from kvopt.policies.mc_sf import McSf
    >>> found = search(Space(capacity=5, requests=4, prompt=1), McSf(), steps=400)
    >>> found.total_latency, found.result.total_latency
    (13, 12)
    """
    monitor = monitor or Monitor(_instance(space.capacity, ((0, 1, 0),)))
    if steps is None and monitor.time_limit_s is None:
        raise InputError("a search needs a number of steps or a time limit")
    random = np.random.Generator(np.random.PCG64(monitor.seed))
    known: dict[Rows, Fraction] = {}
    best: tuple[Fraction, Rows] | None = None
    current: tuple[Fraction, Rows] | None = None
    idle = examined = 0
    while (steps is None or examined < steps) and not (monitor.stopped and best is not None):
        if current is None or idle > PATIENCE:
            rows = tuple(sorted((space.request(random) for _ in range(space.requests)), key=lambda row: row[2]))
            current, idle = None, 0
        else:
            rows = space.neighbour(current[1], random)
        examined += 1
        if rows not in known:
            if len(known) >= MOST_KNOWN:
                known.clear()
            known[rows] = _ratio(space.capacity, rows, policy, monitor.seed, current[0] if current else Fraction(0))
        ratio = known[rows]
        idle += 1
        if current is None or ratio >= current[0]:
            idle = 0 if current is None or ratio > current[0] else idle
            current = ratio, rows
        if best is None or ratio > best[0]:
            best = ratio, rows
        monitor.report(examined=examined, ratio=f"{float(current[0]):.4f}", worst=f"{float(best[0]):.4f}")
    assert best is not None
    instance = _instance(space.capacity, best[1])
    run = simulate(instance, policy, seed=monitor.seed)
    result = solve(instance, "dp", time_limit_s=10 * OPTIMUM_LIMIT_S)
    name = f"bad-for-{run.policy}-n{instance.n}-m{instance.capacity}"
    meta = {
        "source": "kvopt adversary search",
        "policy": run.policy,
        "policy_total_latency": run.total_latency,
        "best_total_latency": result.total_latency,
        "seed": monitor.seed,
    }
    instance = replace(instance, name=name, meta=meta)
    return Found(instance, run.total_latency, replace(result, instance=instance), examined)


def _instance(capacity: int, rows: Rows) -> Instance:
    return Instance.from_rows(capacity, [(s, o, 1, a) for s, o, a in rows])


def _ratio(capacity: int, rows: Rows, policy: Any, seed: int, wanted: Fraction) -> Fraction:
    """Ratio of an instance; an upper bound on it if that is below `wanted`."""
    instance = _instance(capacity, rows)
    run = simulate(instance, policy, seed=seed)
    if run.stopped_by is not None:
        raise InputError(f"{run.policy} does not complete the requests {list(rows)}: {run.stopped_by}")
    at_most = Fraction(run.total_latency, volume.bound(instance).value)
    if at_most < wanted:
        return at_most
    optimum = solve(instance, "dp", time_limit_s=OPTIMUM_LIMIT_S).total_latency
    assert optimum is not None
    return Fraction(run.total_latency, optimum)
