"""What an experiment is, and running one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kvopt.errors import InputError
from kvopt.io.tables import csv_bytes
from kvopt.online import SimulationResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A cell with its measurements.
Row = dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """A table of runs and what to make of it.

    Attributes
    ----------
    title : str
        One line.
    cells : callable
        (seed, quick) -> parameters of each run, all different; `quick` asks for seconds instead of minutes.
    measure : callable
        Parameters -> measurements; the same for the same parameters.
    draw : callable
        Rows -> matplotlib figure.
    findings : callable
        Rows -> sentences with the figures that matter, computed from the rows.
    """

    title: str
    cells: Callable[[int, bool], Iterable[Row]]
    measure: Callable[[Row], Row]
    draw: Callable[[Sequence[Row]], Figure]
    findings: Callable[[Sequence[Row]], list[str]]


@dataclass(frozen=True)
class Outcome:
    """What a run of an experiment gave.

    Attributes
    ----------
    rows : list of Row
        One for each cell that was measured.
    interrupted : bool
        Whether cells are missing.
    """

    rows: list[Row]
    interrupted: bool

    def csv(self) -> bytes:
        """The rows as a table with a header line; empty cells where a row lacks a column or has None."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        return csv_bytes(columns, (map(row.get, columns) for row in self.rows))


def run(
    experiment: Experiment,
    *,
    seed: int = 0,
    quick: bool = False,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> Outcome:
    """Measure every cell; Ctrl-C (KeyboardInterrupt) ends it and keeps the rows measured so far.

    Parameters
    ----------
    experiment : Experiment
    seed : int
        First seed of the repetitions, >= 0.
    quick : bool
        Fewer and shorter runs.
    on_progress : callable, optional
        Called after each cell with ``elapsed_s``, ``runs`` and ``of``.

    Returns
    -------
    Outcome

    Raises
    ------
    InputError
        If the seed is negative.
    """
    if seed < 0:
        raise InputError(f"the seed must be at least 0, got {seed}")
    begun = time.perf_counter()
    cells, rows = list(experiment.cells(seed, quick)), list[Row]()
    try:
        for cell in cells:
            rows.append(cell | experiment.measure(cell))
            if on_progress is not None:
                on_progress({"elapsed_s": time.perf_counter() - begun, "runs": len(rows), "of": len(cells)})
    except KeyboardInterrupt:
        return Outcome(rows, interrupted=True)
    return Outcome(rows, interrupted=False)


def figures(result: SimulationResult) -> Row:
    """The measurements that all experiments share; None where the run did not finish.

    ``sustained_per_s`` counts the completions while the load lasts: fewer than arrivals if the queue grows.

    Raises
    ------
    KeyboardInterrupt
        If the simulation was interrupted: a part of a run is no row.
    """
    if result.stopped_by == "interrupted":
        raise KeyboardInterrupt
    first, last = under_load(result)
    late = int(((result.completion > first) & (result.completion <= last)).sum())
    summary = result.summary()
    latency, ttft = summary["latency"] or {}, summary["time_to_first_token"] or {}
    done = result.finished
    return {
        "completed": result.done,
        "mean_latency_s": latency["mean"] if done else None,
        "p95_latency_s": latency["p95"] if done else None,
        "mean_first_token_s": ttft["mean"] if done else None,
        "sustained_per_s": late / (last - first) if last > first else None,
        "evictions": int(result.evictions.sum()),
        "mean_memory": result.mean_memory / result.source.capacity,
        "iterations": result.iterations,
        "stopped_by": result.stopped_by,
    }


def under_load(result: SimulationResult) -> tuple[float, float]:
    """The stretch of time in which throughput is measured: from 40 % of the time of arrivals to the last arrival."""
    last = float(result.arrival.max())
    return 0.4 * last + 0.6 * float(result.arrival.min()), last


def mean(rows: Iterable[Row], key: str, **where: Any) -> float | None:
    """Mean of a column over the rows with these values; None if there are none or one of them lacks it."""
    values = [row[key] for row in rows if all(row.get(name) == value for name, value in where.items())]
    return sum(values) / len(values) if values and None not in values else None
