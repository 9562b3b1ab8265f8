"""A whole benchmark: the cells that are not yet in the log, some at a time, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kvopt.bench.cell import Cell, Record
from kvopt.bench.cluster import run_on_cluster
from kvopt.bench.log import Log
from kvopt.bench.running import run_cell
from kvopt.bench.suite import Suite
from kvopt.monitor import Monitor
from kvopt.solving import SOLVERS, load_solver


def cells_of(
    suite: Suite,
    solvers: Sequence[str],
    seeds: Sequence[int],
    *,
    workers: int = 2,
    time_limit_s: float = 60.0,
    memory_limit_gb: float = 8.0,
) -> list[Cell]:
    """Every instance x seed x solver; all solvers of an instance one after the other.

    Raises
    ------
    UnknownNameError
        If there is no solver of that name.
    InputError
        If a limit or the number of workers is out of range.
    """
    for solver in solvers:
        load_solver(solver)
    for case in suite.cases[:1]:
        Monitor(case.instance, time_limit_s=time_limit_s, memory_limit_gb=memory_limit_gb, workers=workers)
    return [
        Cell(case.group, case.instance, solver, SOLVERS[solver], seed, workers, time_limit_s, memory_limit_gb)
        for case in suite.cases
        for seed in seeds
        for solver in solvers
    ]


def run_cells(
    cells: Sequence[Cell], log: Log, jobs: int, on_record: Callable[[Record], None], cluster: str | None = None
) -> list[Record]:
    """Run the cells that the log does not hold yet and return the records of all, in the order of the cells.

    Parameters
    ----------
    cells : sequence of Cell
    log : Log
        Gets each record as soon as its cell has ended.
    jobs : int
        Cells that run at the same time on this machine.
    on_record : callable
        Called with each new record after it has been written.
    cluster : str, optional
        Address of a Dask scheduler: then the cells run there, as many at a time as it has threads.
    """
    known = {record.key for record in log.records}
    missing = [cell for cell in cells if cell.key not in known]
    running = run_here(missing, jobs) if cluster is None else run_on_cluster(missing, cluster)
    for record in running if missing else ():
        log.append(record)
        on_record(record)
    latest = {record.key: record for record in log.records}
    return [latest[cell.key] for cell in cells]


def run_here(cells: Sequence[Cell], jobs: int) -> Iterator[Record]:
    """Run cells on this machine and yield their records as they end."""
    from joblib import Parallel, delayed

    # Threads only wait, the work is in processes of their own.
    parallel = Parallel(
        n_jobs=min(jobs, len(cells)), backend="threading", batch_size=1, return_as="generator_unordered"
    )
    yield from parallel(delayed(run_cell)(cell, jobs) for cell in cells)
