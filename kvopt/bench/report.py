"""The tables of a benchmark, what must be said below them, and the files they are written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kvopt.bench.cell import Record
from kvopt.bench.large import LARGE, bound_table
from kvopt.bench.log import records_csv
from kvopt.bench.parquet import parquet_bytes
from kvopt.bench.summary import (
    HARD_S,
    SolverSummary,
    SpeedUp,
    distinct,
    profile_gaps,
    profile_times,
    speed_ups,
    summarise,
)
from kvopt.bench.tables import Table, latex_text
from kvopt.io.files import write_bytes


def solver_table(suite: str, summaries: Sequence[SolverSummary]) -> Table:
    """Proofs, times and gaps of each solver in each group."""
    header = (
        "group",
        "solver",
        "cells",
        "optimal",
        "proved",
        "failed",
        "mean s",
        "slowest s",
        "mean s, capped",
        "check / solve",
        "largest",
        "mean gap",
        "worst gap",
        "over best",
    )
    rows = [
        (
            s.group,
            s.solver,
            str(s.cells),
            str(s.optimal),
            str(s.proved),
            str(s.failed),
            figure(s.mean_s),
            figure(s.slowest_s),
            figure(s.capped_mean_s),
            figure(s.checking),
            figure(s.slowest_checking),
            percent(s.mean_gap),
            percent(s.worst_gap),
            percent(s.mean_excess),
        )
        for s in summaries
    ]
    return Table(f"Suite {suite}", header, rows)


def speed_table(suite: str, comparisons: Sequence[SpeedUp]) -> Table:
    """How many times faster the reference is."""
    reference = comparisons[0].reference
    header = (
        "group",
        "against",
        "both solve",
        "speed-up",
        "least",
        "largest",
        f">= {HARD_S:g} s",
        "speed-up there",
        f"{reference} only",
        "other only",
    )
    rows = [
        (
            c.group,
            c.other,
            str(c.both),
            figure(c.ratio),
            figure(c.least),
            figure(c.largest),
            str(c.hard),
            figure(c.hard_ratio),
            str(c.reference_only),
            str(c.other_only),
        )
        for c in comparisons
    ]
    return Table(f"Suite {suite}: speed-up of {reference}", header, rows)


def figure(value: float | None) -> str:
    """Seconds or a factor with three digits.

    >>> figure(0.01234), figure(1234.5), figure(None)
    ('0.0123', '1,230', '-')
    """
    if value is None:
        return "-"
    return f"{value:.3g}" if value < 999.5 else f"{float(f'{value:.3g}'):,.0f}"


def percent(value: float | None) -> str:
    """A share with two decimals."""
    return "-" if value is None else f"{100 * value:.2f} %"


def tables_of(suite: str, records: Sequence[Record]) -> list[Table]:
    """The tables of a benchmark; speed-ups are those of the solver that was named first."""
    tables = [solver_table(suite, summarise(records))]
    if suite == LARGE:
        tables.insert(0, bound_table(records))
    comparisons = speed_ups(records, records[0].solver)
    return [*tables, speed_table(suite, comparisons)] if comparisons else tables


def notes(records: Sequence[Record]) -> list[str]:
    """How the figures were obtained, a sentence or two each."""
    loads = [record.load for record in records if record.load is not None]
    lines = [
        "Seconds are wall-clock time of the solve alone; reading, verification and the warm-up of each process, in "
        "which Numba compiles and solver processes start, are not in them.",
        "Mean s: geometric mean over the cells claimed optimal. Capped: over all cells, the others counted with "
        "the time limit. Proved: the verifier accepted a certificate of optimality. Check / solve: seconds of the "
        "compiled verifier over those of the solve, geometric mean and maximum over the cells proved.",
        f"Time limit {span([r.time_limit_s for r in records])} s, memory limit "
        f"{span([r.memory_limit_gb for r in records])} GB, threads for a solver: "
        f"{span([r.workers for r in records])}, cells at a time: {span([r.jobs for r in records])}.",
    ]
    if loads:
        lines.append(f"Load average of the machine before the cells: {span([round(load, 1) for load in loads])}.")
    for where in distinct(environment(record) for record in records if record.machine):
        lines.append(f"{where}.")
    return lines


def environment(record: Record) -> str:
    """Machine and versions of a record in one line."""
    m = record.machine
    software = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return f"{m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB, {m['system']}; {software}"


def span(values: Sequence[float]) -> str:
    """The one value, or the range.

    >>> span([2, 2]), span([0.5, 3.0])
    ('2', '0.5 to 3')
    """
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def text_report(suite: str, records: Sequence[Record]) -> str:
    """Tables and notes for a terminal."""
    return "\n".join([*(table.text() for table in tables_of(suite, records)), *notes(records)])


def write_report(suite: str, records: Sequence[Record], folder: Path, *, parquet: bool = False) -> list[Path]:
    """Write results.csv, tables.md, tables.tex and, if a solver gave bounds, profile.png and gaps.png.

    Parameters
    ----------
    suite : str
        Named in the titles.
    records : sequence of Record
    folder : Path
    parquet : bool
        Write results.parquet as well; needs pyarrow.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If one cannot be written.
    """
    tables = tables_of(suite, records)
    files = {
        "results.csv": records_csv(records),
        "tables.md": markdown_page(tables, notes(records)).encode(),
        "tables.tex": latex_page(tables, notes(records)).encode(),
    }
    if parquet:
        files["results.parquet"] = parquet_bytes(records)
    for name, data in files.items():
        write_bytes(folder / name, data)
    written = [folder / name for name in files]
    profile = profile_times(records)
    if profile:
        from kvopt.plot import gap_profile, performance_profile, save

        for name, ax in (("profile", performance_profile(profile)), ("gaps", gap_profile(profile_gaps(records)))):
            written.append(folder / f"{name}.png")
            save(ax.figure.figure, written[-1])
    return written


def markdown_page(tables: Sequence[Table], lines: Sequence[str]) -> str:
    """Tables, then the notes as a list."""
    return "\n".join([*(table.markdown() for table in tables), *(f"- {line}" for line in lines)]) + "\n"


def latex_page(tables: Sequence[Table], lines: Sequence[str]) -> str:
    """Tables, then the notes as a paragraph."""
    return "\n".join([*(table.latex() for table in tables), *map(latex_text, lines)]) + "\n"
