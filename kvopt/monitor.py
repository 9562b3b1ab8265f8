"""Limits, interruption, progress and the best schedule so far: what a solver and its caller share during a run."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kvopt.arguments import instance_of, number, time_limit, whole_number
from kvopt.errors import ArgumentError
from kvopt.model import Instance, IntArray, exact_sum

#: Called with the fields of one progress line: elapsed_s, incumbent, bound and what else the solver reports.
ProgressCallback = Callable[[dict[str, Any]], None]

#: Most threads a solver may be given.
MOST_WORKERS = 1_000
#: Largest memory limit and largest target gap: whoever wants more wants none.
MOST_GB, MOST_GAP = 1e9, 1e9
#: Seconds between two progress reports, and between two looks at the memory in use.
REPORT_EVERY_S, WEIGH_EVERY_S = 0.2, 0.02
#: Part of the machine's memory that is the limit where none is given: beyond the machine's, a run would be killed.
SAFE_SHARE = 0.75


def resident_gb(process: int | None = None) -> float:
    """Resident memory of a process, by default this one, in GB (Linux; elsewhere this one's peak, 0 for others)."""
    try:
        with open(f"/proc/{process or 'self'}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e9
    except OSError:
        return 0.0 if process else peak_gb()


def peak_gb() -> float:
    """Largest resident memory of this process so far, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


@cache
def machine_gb() -> float:
    """Memory of the machine in GB, or less where this process's control group may only have less (Linux)."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            most = min(most, int(Path(path).read_text(encoding="ascii")))
    return most / 1e9


class Monitor:
    """Carries the limits into a solver and its best schedule out of it, whatever ends the run.

    A solver calls `offer` for each improving schedule, `report` now and then, and stops soon after
    `stopped` turns true; a limit reached or an interrupt then costs nothing that was found before.

    Parameters
    ----------
    instance : Instance
    time_limit_s, memory_limit_gb : float, optional
        Wall-clock seconds (pauses for compilation apart), None for no limit; and gigabytes of resident memory, by
        default three quarters of what the machine has.
    target_gap : float
        Relative gap at which to stop, 0 for a proof of optimality.
    seed : int
        Seed of every random choice, >= 0.
    workers : int
        Threads a solver may use.
    on_progress : callable, optional
        Receives progress reports; one with a `message` is for the user to read.
    """

    def __init__(
        self,
        instance: Instance,
        *,
        time_limit_s: float | None = None,
        memory_limit_gb: float | None = None,
        target_gap: float = 0.0,
        seed: int = 0,
        workers: int = 2,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        instance_of("instance", instance, Instance)
        if on_progress is not None and not callable(on_progress):
            raise ArgumentError("on_progress", "must be a function", on_progress)
        self.instance = instance
        self.time_limit_s = time_limit("time_limit_s", time_limit_s)
        self.memory_limit_gb = (
            None if memory_limit_gb is None else number("memory_limit_gb", memory_limit_gb, above=0, most=MOST_GB)
        )
        self.target_gap = number("target_gap", target_gap, least=0, most=MOST_GAP)
        self.seed = whole_number("seed", seed, 0)
        self.workers = whole_number("workers", workers, 1, MOST_WORKERS)
        self.interrupted = False
        #: Child processes that work for the solver; their memory counts.
        self.children: set[int] = set()
        self.best_starts: IntArray | None = None
        self.incumbent: int | None = None
        self.bound: int | None = None
        #: (seconds, incumbent, bound) whenever one of the two improved.
        self.trajectory: list[tuple[float, int | None, int | None]] = []
        self._on_progress = on_progress
        self._out_of_memory = False
        #: Resident memory at which the run must end.
        self.most_gb = SAFE_SHARE * machine_gb() if self.memory_limit_gb is None else self.memory_limit_gb
        self._started = self._last_weighed = time.perf_counter()
        self._paused_at: float | None = None
        #: Seconds during which the clock stood still.
        self.paused_s = 0.0
        self._told = False
        self._last_report = float("-inf")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began, without pauses."""
        paused_at = self._paused_at
        return (time.perf_counter() if paused_at is None else paused_at) - self._started - self.paused_s

    @property
    def remaining_s(self) -> float:
        """Seconds left, infinite without a time limit, never negative."""
        if self.time_limit_s is None:
            return float("inf")
        return max(0.0, self.time_limit_s - self.elapsed_s)

    @property
    def stopped(self) -> bool:
        """Whether the solver must end: interrupted, out of time or above the memory limit."""
        return self.stop_reason is not None

    @property
    def stop_reason(self) -> str | None:
        """``interrupted``, ``time limit`` or ``memory limit``, or None while the run may go on."""
        if self.interrupted:
            return "interrupted"
        if self.remaining_s <= 0:
            return "time limit"
        if not self._out_of_memory:
            now = time.perf_counter()
            if now - self._last_weighed < WEIGH_EVERY_S:
                return None
            self._last_weighed = now
            self.affords(0)
        return "memory limit" if self._out_of_memory else None

    def affords(self, size: int) -> bool:
        """Whether so many bytes more stay below the memory limit; if not, the solver must end.

        To be asked before a large allocation: looks now and then come too late for these.
        """
        used_gb = resident_gb() + sum(resident_gb(child) for child in self.children)
        if used_gb + size / 1e9 > self.most_gb:
            self._out_of_memory = True  # stays so when the solver frees its memory
        return not self._out_of_memory

    @property
    def gap_reached(self) -> bool:
        """Whether incumbent and bound are within the target gap."""
        if self.incumbent is None or self.bound is None:
            return False
        return self.incumbent - self.bound <= self.target_gap * max(self.bound, 0)

    def pause(self, message: str) -> None:
        """Stop the clock for what is no part of the run, such as compilation; the first time, report why."""
        self._paused_at = time.perf_counter()
        if not self._told:
            self._told = True
            self.report(force=True, message=message)

    def resume(self) -> None:
        """Let the clock go on."""
        assert self._paused_at is not None
        # In this order, no other thread sees the pause as time gone.
        self.paused_s += time.perf_counter() - self._paused_at
        self._paused_at = None

    def interrupt(self) -> None:
        """Ask the solver to stop at its next look; safe in a signal handler."""
        self.interrupted = True

    def offer(self, starts: IntArray | Sequence[int]) -> bool:
        """Keep a feasible schedule if it is the best so far; tells whether it is.

        The schedule is verified later, before it becomes a `Result`.
        """
        candidate = np.array(starts, dtype=np.int64)
        value = exact_sum(candidate + self.instance.output - self.instance.arrival)
        if self.incumbent is not None and value >= self.incumbent:
            return False
        self.best_starts, self.incumbent = candidate, value
        self._note()
        return True

    def raise_bound(self, bound: int) -> None:
        """Record a lower bound if it is the best so far."""
        if self.bound is None or bound > self.bound:
            self.bound = bound
            self._note()

    def _note(self) -> None:
        self.trajectory.append((round(self.elapsed_s, 4), self.incumbent, self.bound))
        self.report(force=True)

    def report(self, *, force: bool = False, **fields: Any) -> None:
        """Pass a progress report on, at most every `REPORT_EVERY_S` seconds unless forced."""
        if self._on_progress is None:
            return
        now = time.perf_counter()
        if force or now - self._last_report >= REPORT_EVERY_S:
            self._last_report = now
            self._on_progress({"elapsed_s": self.elapsed_s, "incumbent": self.incumbent, "bound": self.bound, **fields})
