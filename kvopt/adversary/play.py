"""An adversary against a policy: releases that depend on what the policy has done, on the clock of rounds."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from kvopt.errors import InputError, SolverError, TooLargeError
from kvopt.model import MAX_REQUESTS, Instance
from kvopt.online import SimulationResult, simulate

#: Requests released at once: (prompt, output, count, round).
Row = tuple[int, int, int, int]


class Adversary(Protocol):
    """Releases requests in answer to a policy's decisions."""

    @property
    def capacity(self) -> int:
        """KV cache capacity in tokens."""
        ...

    def respond(self, run: SimulationResult | None) -> list[Row]:
        """The next releases, given the policy's run on all earlier ones (None at the beginning); empty to end.

        The releases must lie after every decision of the policy that they depend on.
        """
        ...


def play(adversary: Adversary, policy: Any, seed: int = 0) -> SimulationResult:
    """Let a policy run against an adversary.

    A policy sees a request only from its arrival on, so its run on the requests released so far shows what it
    does until the next release. Whether it did the same when all requests were there is checked.

    Parameters
    ----------
    adversary : Adversary
    policy : Policy, or any object with a method ``decide(view)``
        See `kvopt.online`; deterministic for a seed.
    seed : int
        Seed of the policy's random choices.

    Returns
    -------
    SimulationResult
        The run on all requests released; its `source` is the released instance.

    Raises
    ------
    InputError
        If the policy does not complete all requests, or more are released than an instance may hold.
    SolverError
        If a policy did something else before a release once that release was in the instance.
    KeyboardInterrupt
        If the simulation was interrupted.

    Examples
    --------
    >>> from kvopt.adversary.families import Burst
    >>> from kvopt.policies.mc_sf import McSf
    >>> play(Burst(64), McSf()).total_latency
    269
    """
    rows: list[Row] = []
    run: SimulationResult | None = None
    while more := adversary.respond(run):
        rows += more
        released = sum(row[2] for row in rows)
        if released > MAX_REQUESTS:
            raise TooLargeError(f"the adversary releases {released:,} requests; at most {MAX_REQUESTS:,} are supported")
        instance = Instance.from_rows(adversary.capacity, rows)
        before, run = run, simulate(instance, policy, seed=seed)
        if run.stopped_by == "interrupted":
            raise KeyboardInterrupt
        if run.stopped_by is not None:
            raise InputError(f"{run.policy} does not complete the requests released: {run.stopped_by}")
        if before is not None:
            require_same(before, run, min(row[3] for row in more))
    assert run is not None
    return run


def require_same(before: SimulationResult, run: SimulationResult, until: int) -> None:
    """Raise SolverError unless both runs start and complete the same requests before a round.

    Of a request evicted in either run only the completion is compared: its earlier starts are not kept.
    """
    n = before.n
    ended = np.where(before.completion <= until, before.completion, -1)
    changed = ended != np.where(run.completion[:n] <= until, run.completion[:n], -1)
    started = np.where(before.start < until, before.start, -1)
    kept = (before.evictions == 0) & (run.evictions[:n] == 0)
    changed |= kept & (started != np.where(run.start[:n] < until, run.start[:n], -1))
    if changed.any():
        raise SolverError(
            f"{run.policy} treats request {int(np.argmax(changed))} otherwise before round {until} when more requests "
            "come later: it looks ahead or is not deterministic"
        )
