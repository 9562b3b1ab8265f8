"""``kvopt bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kvopt.cli.completing import solver_names
from kvopt.cli.console import Json, Quiet, Workers, echo_json, say, terminable

if TYPE_CHECKING:
    from kvopt.bench.cell import Record


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(bench)


def bench(
    suite: Annotated[
        str,
        typer.Argument(
            help="speed; large; a family of the library (types, different, model1, ...); files; or generated "
            "instances, such as types:requests=20,types=2,seed=0-9."
        ),
    ],
    solvers: Annotated[
        str | None,
        typer.Option(
            help="Names; speed-ups are those of the first. [default: dp,cp-sat,highs,scip; for large "
            "prices,svf,mc-sf,fcfs]",
            autocompletion=solver_names,
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the solvers, such as 0,1 or 0-4.")] = "0",
    trace: Annotated[
        str | None, typer.Option(help="For large: a trace in the Azure format, or SOURCE:FILE; drawn if not given.")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds for each solve.")] = 60.0,
    memory_limit: Annotated[float, typer.Option(help="Gigabytes of resident memory for each cell.")] = 8.0,
    workers: Workers = 2,
    jobs: Annotated[int, typer.Option(min=1, max=1_000, help="Cells at the same time on this machine.")] = 1,
    cluster: Annotated[str | None, typer.Option(help="Run on the Dask cluster with this scheduler address.")] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write results.parquet too (needs pyarrow).")] = False,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Folder; out/bench/SUITE if not given.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run solvers on a suite, each cell in its own process; the same command goes on where it was ended."""
    from pathlib import Path

    from kvopt.bench.large import LARGE, large_suite
    from kvopt.bench.log import open_log
    from kvopt.bench.parquet import require_pyarrow
    from kvopt.bench.ranges import whole_numbers
    from kvopt.bench.report import text_report, write_report
    from kvopt.bench.run import cells_of, run_cells
    from kvopt.bench.suite import folder_name, load_suite
    from kvopt.bench.summary import contradictions, speed_ups, summarise
    from kvopt.errors import InputError

    if parquet:
        require_pyarrow()
    if trace is not None and suite != LARGE:
        raise InputError(f"--trace is for the suite {LARGE}")
    chosen = large_suite(trace) if suite == LARGE else load_suite(suite)
    solvers = solvers or ("prices,svf,mc-sf,fcfs" if suite == LARGE else "dp,cp-sat,highs,scip")
    names = list(dict.fromkeys(name.strip() for name in solvers.split(",")))
    cells = cells_of(
        chosen,
        names,
        whole_numbers(seeds, "--seeds"),
        workers=workers,
        time_limit_s=time_limit,
        memory_limit_gb=memory_limit,
    )
    folder = Path(output) if output is not None else Path("out/bench") / folder_name(suite)
    with open_log(folder / "results.jsonl") as log:
        finished = {record.key for record in log.records}
        done = before = sum(cell.key in finished for cell in cells)
        if before:
            say(f"{before} of {len(cells)} cells stand in {log.path}", quiet)

        def note(record: Record) -> None:
            nonlocal done
            done += 1
            say(f"[{done:{len(str(len(cells)))}}/{len(cells)}] {described(record)}", quiet)

        try:
            with terminable():
                records = run_cells(cells, log, jobs, note, cluster)
        except KeyboardInterrupt:
            say(f"{done} of {len(cells)} cells are in {log.path}; the same command goes on from there", quiet)
            raise
    written = write_report(suite, records, folder, parquet=parquet)
    contradicting = contradictions(records)
    if json:
        summary = {
            "suite": suite,
            "results": str(log.path),
            "files": [str(path) for path in written],
            "cells": len(cells),
            "ran": len(cells) - before,
            "solvers": summarise(records),
            "speed_ups": speed_ups(records, names[0]),
            "contradictions": contradicting,
        }
        echo_json(summary)
    else:
        if not quiet:
            typer.echo(text_report(suite, records))
        say(f"written to {folder}: {', '.join(path.name for path in [log.path, *written])}", quiet)
    for contradiction in contradicting:
        say(f"CONTRADICTION  {contradiction}", quiet)
    if contradicting:
        raise typer.Exit(1)


def described(record: Record) -> str:
    """A record in one line."""
    from kvopt.bench.cell import Outcome
    from kvopt.bench.report import figure, percent

    who = f"{record.instance} {record.solver} seed {record.seed}:"
    if record.outcome is not Outcome.FINISHED:
        return f"{who} {record.outcome}: {record.error}"
    value = "no schedule" if record.total_latency is None else f"{record.status} {record.total_latency:,}"
    gap = "" if record.optimal or record.gap is None else f", gap {percent(float(record.gap))}"
    proof = ", proved" if record.proved else ""
    return f"{who} {value}{gap}{proof}, {figure(record.runtime_s)} s"
