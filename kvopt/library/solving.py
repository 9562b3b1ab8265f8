"""Solving what a library lacks: each instance in a process of its own, so that one failure costs one instance."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from kvopt.arguments import whole_number
from kvopt.errors import InputError
from kvopt.io.formats import read, read_result
from kvopt.library.files import instance_files
from kvopt.library.improving import accept, stored_result
from kvopt.model import Status

#: Seconds that a solver may take beyond its time limit before it is ended.
GRACE_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What became of one instance.

    Attributes
    ----------
    path : Path
        The instance file.
    seconds : float
        Wall clock, start of Python included.
    better : bool
        Whether its result was replaced.
    failure : str or None
        Why there is no new result.
    """

    path: Path
    seconds: float
    better: bool = False
    failure: str | None = None


def lacking(root: str | Path, family: str | None = None) -> list[Path]:
    """Instance files without a result that claims a certified optimum, smallest first."""
    found = []
    for path in instance_files(root, family):
        instance = read(path)
        known = stored_result(path, instance)
        if known is None or known.status is not Status.OPTIMAL or known.certificate is None:
            found.append((instance.n, path))
    return [path for _, path in sorted(found)]


def solve_library(
    root: str | Path,
    family: str | None = None,
    *,
    solver: str = "auto",
    time_limit_s: float | None = None,
    memory_limit_gb: float | None = None,
    workers: int = 1,
    jobs: int = 1,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Solve every instance that lacks a proved result and keep the better of old and new.

    May be ended and called again at any time: what is proved is not solved again, and a result is stored as
    soon as it is there.

    Parameters
    ----------
    root, family
        Library, and one of its families or all.
    solver, time_limit_s, memory_limit_gb, workers
        For each instance, see `kvopt.solve`.
    jobs : int
        Instances solved at the same time.
    on_outcome : callable, optional
        Called after each instance.

    Returns
    -------
    list of Outcome
        In the order in which instances were done.

    Raises
    ------
    KeyboardInterrupt
        After the running solvers have stopped and their best schedules are stored.
    """
    whole_number("jobs", jobs, 1)
    options = ["--solver", solver, "--workers", str(workers), "--quiet"]
    if time_limit_s is not None:
        options += ["--time-limit", str(time_limit_s)]
    if memory_limit_gb is not None:
        options += ["--memory-limit", str(memory_limit_gb)]
    limit_s = None if time_limit_s is None else time_limit_s + GRACE_S
    outcomes: list[Outcome] = []

    def done(future: Future[Outcome]) -> None:
        outcomes.append(future.result())
        if on_outcome is not None:
            on_outcome(outcomes[-1])

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(solve_one, path, options, limit_s) for path in lacking(root, family)]
        waiting = set(futures)
        try:
            for future in as_completed(futures):
                waiting.discard(future)
                done(future)
        except KeyboardInterrupt:
            # The terminal has interrupted the solvers too; they write their best schedules and end.
            running = [future for future in waiting if not future.cancel()]
            for future in as_completed(running):
                done(future)
            raise
    return outcomes


def solve_one(path: Path, options: list[str], limit_s: float | None) -> Outcome:
    """Run ``kvopt solve`` on one instance and take what it wrote, whatever way it ended."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "new.result.json"
        command = [sys.executable, "-m", "kvopt", "solve", str(path), "-o", str(target), *options]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
            said = run.stderr.strip().splitlines()
            failure = f"exit code {run.returncode}: {said[-1] if said else 'no message'}"
        except subprocess.TimeoutExpired:
            failure = f"did not stop within {limit_s:g} s"
        seconds = time.perf_counter() - started
        if not target.exists():
            return Outcome(path, seconds, failure=failure)
        try:
            return Outcome(path, seconds, better=accept(path, read_result(target, read(path))))
        except InputError as error:
            return Outcome(path, seconds, failure=str(error))
