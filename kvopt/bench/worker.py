"""The process of a cell: warms the solver up, solves, verifies, and tells its parent after each of the three."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from copy import copy
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from kvopt.bench.cell import END, SOLVE, VERIFY, Cell
from kvopt.bench.machine import machine
from kvopt.errors import KvoptError
from kvopt.model import Instance, Result
from kvopt.monitor import Monitor, peak_gb
from kvopt.replay import CHECKS
from kvopt.solving import SOLVERS, solve
from kvopt.verify import Checks, Verification, verify
from kvopt.versions import versions

T = TypeVar("T")

#: Seconds a warm-up may take: the first after an installation compiles everything, others take one or two.
WARM_UP_S = 200.0
#: Solves shorter than this are repeated until there are so many times, because the first of a process takes longer.
SHORT_S, REPEATS = 0.1, 5


def warm_up_instance(capacity: int) -> Instance:
    """Eight requests that most solvers must search, with a given capacity, which sets how wide kernels' cells are."""
    unit = max(1, capacity // 10)
    rows = [(3 * unit - 1, 1, 2), (3 * unit - 1, 3, 2), (6 * unit - 1, 4, 2), (unit - 1, 5, 2)]
    return Instance.from_rows(max(capacity, 10 * unit), rows, name="warm-up")


def compiled() -> int:
    """Number of kernels of kvopt compiled or loaded in this process, counted for each type of arguments."""
    if "numba" not in sys.modules:
        return 0
    from numba.core.registry import CPUDispatcher

    modules = [module for name, module in list(sys.modules.items()) if name.startswith("kvopt.")]
    kernels = {value for module in modules for value in vars(module).values() if isinstance(value, CPUDispatcher)}
    return sum(len(kernel.signatures) for kernel in kernels)


def run(cell: Cell, send: Callable[[dict[str, Any]], None]) -> None:
    """Run a cell and send what is learned, each time with the phase that comes next.

    Its result is verified twice, by `kvopt.verify` and by the compiled checker, which must agree.

    A solve during which something was compiled after all is done again, so that the time kept is that of the
    solve alone. Times of short solves are the median of several, of any solver.
    """
    SOLVERS.setdefault(cell.solver, cell.home)
    began = time.perf_counter()
    load = os.getloadavg()[0]
    small = warm_up_instance(cell.instance.capacity)
    verify(solve(small, cell.solver, time_limit_s=WARM_UP_S, seed=cell.seed, workers=cell.workers), CHECKS)
    send({"next": SOLVE, "load": load, "machine": machine(), "versions": versions()})

    warm_up_s = time.perf_counter() - began

    def again() -> None:
        nonlocal warm_up_s
        warm_up_s = time.perf_counter() - began
        send({"next": SOLVE})

    def solved() -> tuple[Result, float]:
        instance = copy(cell.instance)  # nothing derived from its columns is known yet
        monitor = Monitor(
            instance,
            time_limit_s=cell.time_limit_s,
            memory_limit_gb=cell.memory_limit_gb,
            seed=cell.seed,
            workers=cell.workers,
        )
        return solve(instance, cell.solver, monitor=monitor), monitor.elapsed_s

    result, runtime_s = settled(solved, again)
    send(
        {
            "next": VERIFY,
            "warm_up_s": warm_up_s,
            "runtime_s": runtime_s,
            "status": result.status,
            "total_latency": result.total_latency,
            "lower_bound": result.lower_bound,
            "stopped_by": result.statistics.get("stopped_by"),
            "peak_memory_gb": peak_gb(),
        }
    )

    def verified(*checks: Checks) -> tuple[Verification, float]:
        began = time.perf_counter()
        return verify(result, *checks), time.perf_counter() - began

    verification, verify_s = verified()
    by_kernels, compiled_verify_s = settled(lambda: verified(CHECKS))
    if by_kernels != verification:
        raise KvoptError(f"the compiled checker says {by_kernels}, kvopt.verify {verification}")
    send(
        {
            "next": END,
            "verdict": verification.verdict,
            "proved": verification.optimal,
            "verify_s": verify_s,
            "compiled_verify_s": compiled_verify_s,
        }
    )


def settled(timed: Callable[[], tuple[T, float]], again: Callable[[], None] = lambda: None) -> tuple[T, float]:
    """Result and seconds of a call during which nothing was compiled, `again` told before a further one.

    Of short calls the median of several.
    """
    while True:
        known = compiled()
        result, seconds = timed()
        if compiled() == known:
            break
        again()
    if seconds < SHORT_S:
        seconds = statistics.median([seconds, *(timed()[1] for _ in range(REPEATS - 1))])
    return result, seconds


def main(descriptor: int) -> None:
    """Receive a cell, run it, and end with the parent if that ends first."""
    connection = Connection(descriptor)
    cell: Cell = connection.recv()
    threading.Thread(target=end_with_parent, args=(connection,), daemon=True).start()
    try:
        run(cell, connection.send)
    except KvoptError as error:
        connection.send({"error": str(error)})
    except Exception as error:
        connection.send({"error": f"{type(error).__name__}: {error}"})


def end_with_parent(connection: Connection) -> None:
    """Wait for the end of the parent, which never sends a second message, and end this process."""
    with contextlib.suppress(EOFError, OSError):
        connection.recv()
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
