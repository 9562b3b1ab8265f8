"""The process of a cell: warms the solver up, solves, verifies, and tells its parent after each of the three."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kvopt.bench.cell import Cell
from kvopt.bench.machine import machine
from kvopt.errors import KvoptError
from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.solve import SOLVERS, solve
from kvopt.verify import verify
from kvopt.versions import versions

#: Seconds a warm-up may take: the first after an installation compiles everything, others take one or two.
WARM_UP_S = 200.0


def warm_up_instance(capacity: int) -> Instance:
    """A small instance no bound closes at once, with cells as wide as those of a given capacity.

    It makes a solver load or compile all it needs: Numba compiles for each cell width, and that depends on
    the capacity alone.
    """
    unit = max(1, capacity // 10)
    size = 10 * unit
    rows = [(3 * unit - 1, 1), (3 * unit - 1, 3), (4 * unit - 1, 2), (unit - 1, 5), (6 * unit - 1, 4)]
    return Instance.from_rows(max(capacity, size), [(s, min(o, size - s), 2) for s, o in rows], name="warm-up")


def run(cell: Cell, send: Callable[[dict[str, Any]], None]) -> None:
    """Run a cell and send what is learned, in three messages: fields of `kvopt.bench.cell.Record`."""
    SOLVERS.setdefault(cell.solver, cell.home)
    began = time.perf_counter()
    load = os.getloadavg()[0]
    small = warm_up_instance(cell.instance.capacity)
    solve(small, cell.solver, time_limit_s=WARM_UP_S, seed=cell.seed, workers=cell.workers)
    warm_up_s = time.perf_counter() - began
    send({"warm_up_s": warm_up_s, "load": load, "machine": machine(), "versions": versions()})

    monitor = Monitor(
        cell.instance,
        time_limit_s=cell.time_limit_s,
        memory_limit_gb=cell.memory_limit_gb,
        seed=cell.seed,
        workers=cell.workers,
    )
    result = solve(cell.instance, cell.solver, monitor=monitor)
    send(
        {
            "runtime_s": monitor.elapsed_s,
            "status": result.status,
            "total_latency": result.total_latency,
            "lower_bound": result.lower_bound,
            "stopped_by": result.statistics.get("stopped_by"),
            "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        }
    )

    began = time.perf_counter()
    verification = verify(result)
    verify_s = time.perf_counter() - began
    send({"verdict": verification.verdict, "proved": verification.optimal, "verify_s": verify_s})


def main(descriptor: int) -> None:
    """Receive a cell, run it, and end with the parent if that ends first."""
    connection = Connection(descriptor)
    cell: Cell = connection.recv()
    threading.Thread(target=end_with_parent, args=(connection,), daemon=True).start()
    # When memory runs out, the system ends this process rather than the benchmark.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
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
