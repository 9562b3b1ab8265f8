"""A process that runs MathOpt and CABS for us: it can be stopped when they do not listen, and it may crash alone.

MathOpt's HiGHS ignores interrupts, CABS stops all threads, SCIP prints to the standard streams, and a crash in native
code would take the whole program with it. The process is started on first use, reused, and ends with its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from kvopt.errors import SolverError
from kvopt.mip.running import Claim, wait
from kvopt.monitor import Monitor

#: Processes that wait for work, of the Python process with that id (a forked child must not share them).
_idle: dict[int, list[Worker]] = {}


class Worker:
    """The parent's side of one process."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kvopt.mip.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, who then asks the solver to stop
        )
        theirs.close()

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


def call(
    monitor: Monitor, solver: str, runner: str, *arguments: Any, improved: Callable[[Claim], None] | None = None
) -> Claim | None:
    """Run a solver in a process of its own.

    Parameters
    ----------
    monitor : Monitor
    solver : str
        Its name, for messages.
    runner : str
        ``module:function``; called with a SolveInterrupter and the arguments, it returns a claim, or yields several.
    *arguments
        Picklable.
    improved : callable, optional
        Receives each claim of a runner that yields them, also those of one that is killed later.

    Returns
    -------
    Claim or None
        None if the solver did not come back when asked to, and was killed.

    Raises
    ------
    SolverError
        If the solver fails or its process dies.
    """
    idle = _idle.setdefault(os.getpid(), [])
    worker = idle.pop() if idle else Worker()
    monitor.children.add(worker.process.pid)
    claim: Claim | None = None
    error: SolverError | None = None

    def finished(timeout_s: float) -> bool:
        nonlocal claim, error
        until_s = time.perf_counter() + timeout_s
        while worker.connection.poll(max(0.0, until_s - time.perf_counter())):
            reply = worker.connection.recv()
            if not isinstance(reply, Claim):
                error = reply
                return True
            claim = reply
            if improved is not None:
                improved(claim)
        return False

    try:
        try:
            worker.connection.send((runner, *arguments))
            if not wait(monitor, finished, lambda: worker.connection.send(None), worker.kill):
                return None
        except (EOFError, OSError) as end:
            worker.kill()
            raise SolverError(f"the process of {solver} ended with exit code {worker.process.returncode}") from end
    finally:
        monitor.children.discard(worker.process.pid)
    idle.append(worker)
    if error is not None:
        raise error
    return claim


def serve(connection: Connection) -> None:
    """The process's side: a message is a model to solve, or None to stop the present one.

    Each claim is sent home, and after the last one None, or the error.
    """
    from kvopt.mip.libraries import SolveInterrupter

    interrupter = SolveInterrupter()

    def work(interrupter: SolveInterrupter, runner: str, *arguments: Any) -> None:
        ending: SolverError | None = None
        try:
            module, function = runner.split(":")
            found = getattr(import_module(module), function)(interrupter, *arguments)
            for claim in found if isinstance(found, Iterator) else [found]:
                connection.send(claim)
        except BaseException as error:  # a panic of compiled Rust code is no Exception
            ending = error if isinstance(error, SolverError) else SolverError(f"{type(error).__name__}: {error}")
        connection.send(ending)

    while True:
        try:
            message = connection.recv()
        except EOFError:
            os._exit(0)  # the parent is gone, whatever the solver is doing
        if message is None:
            interrupter.interrupt()
        else:
            interrupter = SolveInterrupter()
            threading.Thread(target=work, args=(interrupter, *message), daemon=True).start()


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
