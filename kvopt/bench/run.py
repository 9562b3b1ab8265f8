"""A whole benchmark: the cells that are not yet in the log, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kvopt.bench.cell import Cell, Record
from kvopt.bench.log import Log
from kvopt.bench.running import run_cell
from kvopt.bench.suite import Suite
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
    """
    for solver in solvers:
        load_solver(solver)
    return [
        Cell(case.group, case.instance, solver, SOLVERS[solver], seed, workers, time_limit_s, memory_limit_gb)
        for case in suite.cases
        for seed in seeds
        for solver in solvers
    ]


def run_cells(cells: Sequence[Cell], log: Log, jobs: int, on_record: Callable[[Record], None]) -> list[Record]:
    """Run the cells that the log does not hold yet and return the records of all, in the order of the cells.

    Parameters
    ----------
    cells : sequence of Cell
    log : Log
        Gets each record as soon as its cell has ended.
    jobs : int
        Cells that run at the same time.
    on_record : callable
        Called with each new record after it has been written.
    """
    from joblib import Parallel, delayed

    known = {record.key for record in log.records}
    missing = [cell for cell in cells if cell.key not in known]
    # Threads only wait, the work is in processes of their own; another joblib backend would spread run_cell wider.
    parallel = Parallel(n_jobs=jobs, backend="threading", return_as="generator_unordered")
    for record in parallel(delayed(run_cell)(cell, jobs) for cell in missing):
        log.append(record)
        on_record(record)
    latest = {record.key: record for record in log.records}
    return [latest[cell.key] for cell in cells]
