"""A process that runs MathOpt for us: it can be stopped when the solver does not listen, and it may crash alone.

MathOpt's HiGHS ignores interrupts, SCIP prints to the standard streams, and a crash in native code would take
the whole program with it. The process is started on first use, reused, and ends with its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
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


def call(monitor: Monitor, solver: str, *arguments: Any) -> Claim | None:
    """Run `kvopt.mip.mathopt.run` with these arguments in a process of its own.

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
    try:
        try:
            worker.connection.send((solver, *arguments))
            if not wait(monitor, worker.connection.poll, lambda: worker.connection.send(None), worker.kill):
                return None
            reply = worker.connection.recv()
        except (EOFError, OSError) as error:
            worker.kill()
            raise SolverError(f"the process of {solver} ended with exit code {worker.process.returncode}") from error
    finally:
        monitor.children.discard(worker.process.pid)
    idle.append(worker)
    if isinstance(reply, BaseException):
        raise reply
    return reply


def serve(connection: Connection) -> None:
    """The process's side: a message is a model to solve, or None to stop the present one."""
    from ortools.util.python.solve_interrupter import SolveInterrupter

    from kvopt.mip import mathopt

    interrupter = SolveInterrupter()

    def work(arguments: tuple[Any, ...], interrupter: SolveInterrupter) -> None:
        reply: Claim | Exception
        try:
            reply = mathopt.run(interrupter, *arguments)
        except Exception as error:
            reply = error if isinstance(error, SolverError) else SolverError(f"{type(error).__name__}: {error}")
        connection.send(reply)

    while True:
        try:
            message = connection.recv()
        except EOFError:
            os._exit(0)  # the parent is gone, whatever the solver is doing
        if message is None:
            interrupter.interrupt()
        else:
            interrupter = SolveInterrupter()
            threading.Thread(target=work, args=(message, interrupter), daemon=True).start()


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
