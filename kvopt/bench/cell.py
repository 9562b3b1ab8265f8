"""A cell of a benchmark, one instance solved by one solver with one seed, and the record of its run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import msgspec

from kvopt.model import Instance, Status

#: What the process of a cell does, in this order.
WARM_UP, SOLVE, VERIFY, END = "warm-up", "solve", "verification", "end"


class Outcome(StrEnum):
    """How the process of a cell ended."""

    #: The solver came back in good order, within its limits or stopped by them.
    FINISHED = "finished"
    #: The solver raised an error.
    FAILED = "failed"
    #: The process died.
    CRASHED = "crashed"
    #: The solver did not heed its limits and the process was ended from outside.
    KILLED_FOR_TIME = "killed for time"
    KILLED_FOR_MEMORY = "killed for memory"


@dataclass(frozen=True)
class Cell:
    """What to run, complete in itself so that it can be sent to another machine.

    Attributes
    ----------
    group : str
        What the instance is summed up in.
    instance : Instance
    solver, home : str
        Name of the solver and the ``module:function`` it is.
    seed, workers : int
        As in `kvopt.monitor.Monitor`.
    time_limit_s, memory_limit_gb : float
        Wall-clock seconds of the solve, gigabytes of resident memory of the cell.
    """

    group: str
    instance: Instance
    solver: str
    home: str
    seed: int
    workers: int
    time_limit_s: float
    memory_limit_gb: float

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal keys, equal work."""
        name, digest = self.instance.name, self.instance.digest
        return name, digest, self.solver, self.seed, self.workers, self.time_limit_s, self.memory_limit_gb


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """The run of a cell, one line of ``results.jsonl``; absent values are null.

    Attributes
    ----------
    group, instance, digest, requests, types, capacity, solver, seed, workers, time_limit_s, memory_limit_gb
        The cell.
    jobs : int
        Cells that ran at the same time.
    outcome : Outcome
    error : str or None
        What the solver raised, or how the process died.
    status : Status or None
        What the solver claims.
    total_latency, lower_bound : int or None
        Of the solver's result; the total latency is recomputed and its schedule verified.
    verdict : str or None
        What `kvopt.verify` says of the result.
    proved : bool
        Whether the verifier accepts a certificate that the total latency is optimal.
    stopped_by : str or None
        The limit that stopped the solver.
    runtime_s : float or None
        Wall-clock seconds of the solve alone.
    warm_up_s, verify_s, compiled_verify_s : float or None
        Seconds of all that went before that solve, compilation included, of the verification, and of the same by
        the compiled checker.
    peak_memory_gb : float or None
        Largest resident memory seen, the solver's own processes included.
    load : float or None
        Processes that wanted to run on the machine in the minute before (the load average).
    finished : str or None
        When the cell ended, in UTC.
    machine, versions : dict
        Where and with which software.
    """

    group: str
    instance: str
    digest: str
    requests: int
    types: int
    capacity: int
    solver: str
    seed: int
    workers: int
    time_limit_s: float
    memory_limit_gb: float
    jobs: int
    outcome: Outcome = Outcome.FINISHED
    error: str | None = None
    status: Status | None = None
    total_latency: int | None = None
    lower_bound: int | None = None
    verdict: str | None = None
    proved: bool = False
    stopped_by: str | None = None
    runtime_s: float | None = None
    warm_up_s: float | None = None
    verify_s: float | None = None
    compiled_verify_s: float | None = None
    peak_memory_gb: float | None = None
    load: float | None = None
    finished: str | None = None
    machine: dict[str, Any] = {}
    versions: dict[str, str] = {}

    @property
    def key(self) -> tuple[Any, ...]:
        """The key of the cell."""
        name, digest = self.instance, self.digest
        return name, digest, self.solver, self.seed, self.workers, self.time_limit_s, self.memory_limit_gb

    @property
    def optimal(self) -> bool:
        """Whether the solver came back with the claim that its schedule is optimal."""
        return self.outcome is Outcome.FINISHED and self.status is Status.OPTIMAL

    @property
    def gap(self) -> Fraction | None:
        """(total latency - lower bound) / lower bound, None while either is missing."""
        if self.total_latency is None or not self.lower_bound:
            return None
        return Fraction(self.total_latency - self.lower_bound, self.lower_bound)


def blank_record(cell: Cell, jobs: int) -> Record:
    """The record of a cell of which nothing is known yet."""
    instance = cell.instance
    return Record(
        group=cell.group,
        instance=instance.name,
        digest=instance.digest,
        requests=instance.n,
        types=len(instance.types),
        capacity=instance.capacity,
        solver=cell.solver,
        seed=cell.seed,
        workers=cell.workers,
        time_limit_s=cell.time_limit_s,
        memory_limit_gb=cell.memory_limit_gb,
        jobs=jobs,
    )
