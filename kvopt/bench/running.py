"""One cell: a process of its own, with limits enforced from outside as well."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any

import msgspec

from kvopt.bench.cell import END, VERIFY, WARM_UP, Cell, Outcome, Record, blank_record
from kvopt.bench.tree import family_gb, kill_family

#: Seconds between two looks at the memory of a cell.
LOOK_EVERY_S = 0.25
#: Seconds for start and warm-up: the first after an installation compiles everything.
WARM_UP_LIMIT_S = 300.0
#: Seconds above the time limit before a solver is ended from outside.
GRACE_S = 10.0
#: Verification may take this many times the time limit.
VERIFY_FACTOR = 10.0
#: Part of the memory limit above it before a solver is ended from outside.
MEMORY_GRACE = 0.25


class Ended(Exception):
    """The process of a cell ended otherwise than by finishing its work."""

    def __init__(self, outcome: Outcome, error: str) -> None:
        super().__init__(error)
        self.outcome = outcome


def run_cell(cell: Cell, jobs: int = 1) -> Record:
    """Run a cell in a process of its own.

    Parameters
    ----------
    cell : Cell
    jobs : int
        Cells that run at the same time, for the record.

    Returns
    -------
    Record
        Also when the solver fails, crashes or overruns its limits; what was learned before is in it.
    """
    connection, theirs = Pipe()
    known: dict[str, Any] = {}
    with tempfile.TemporaryFile() as words, connection:
        process = subprocess.Popen(
            [sys.executable, "-m", "kvopt.bench.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            start_new_session=True,  # Ctrl-C in a terminal is for the benchmark, which ends its cells
        )
        theirs.close()
        try:
            connection.send(cell)
            phase = WARM_UP
            while phase != END:
                phase = hear(connection, process, phase, cell, known)
        except (EOFError, OSError):
            process.wait()
            known |= {"outcome": Outcome.CRASHED, "error": how_it_died(process.returncode, words)}
        except Ended as end:
            known |= {"outcome": end.outcome, "error": str(end)}
        finally:
            if process.poll() is None:
                kill_family(process.pid)
            process.wait()
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return msgspec.structs.replace(blank_record(cell, jobs), **known, finished=finished)


def limit_s(phase: str, cell: Cell) -> float:
    """Seconds after which a phase is ended from outside."""
    if phase == WARM_UP:
        return WARM_UP_LIMIT_S
    return cell.time_limit_s * (VERIFY_FACTOR if phase == VERIFY else 1) + GRACE_S


def hear(
    connection: Connection, process: subprocess.Popen[bytes], phase: str, cell: Cell, known: dict[str, Any]
) -> str:
    """Wait for the message that ends a phase, add it to what is known, and return the phase that comes next.

    Raises Ended where the phase fails or overruns a limit, EOFError where the process has died.
    """
    allowed_s, allowed_gb = limit_s(phase, cell), cell.memory_limit_gb
    deadline = time.perf_counter() + allowed_s
    while not connection.poll(LOOK_EVERY_S):
        used_gb = family_gb(process.pid)
        known["peak_memory_gb"] = max(known.get("peak_memory_gb", 0.0), used_gb)
        if used_gb > allowed_gb * (1 + MEMORY_GRACE):
            raise Ended(Outcome.KILLED_FOR_MEMORY, f"{phase}: {used_gb:.2f} GB where {allowed_gb:g} GB were allowed")
        if time.perf_counter() > deadline:
            raise Ended(Outcome.KILLED_FOR_TIME, f"{phase}: not done after {allowed_s:g} s")
        if process.poll() is not None and not connection.poll():
            raise EOFError
    message = connection.recv()
    if "error" in message:
        raise Ended(Outcome.FAILED, f"{phase}: {message['error']}")
    if "peak_memory_gb" in message:
        message["peak_memory_gb"] = max(message["peak_memory_gb"], known.get("peak_memory_gb", 0.0))
    following = message.pop("next")
    known |= message
    return following


def how_it_died(code: int, words: IO[bytes]) -> str:
    """Exit code or signal of a process, and the last line it wrote to standard error."""
    died = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    words.seek(0)
    lines = words.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"{died}: {last}" if last else died
