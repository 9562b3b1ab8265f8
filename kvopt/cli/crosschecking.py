"""``kvopt crosscheck`` and ``kvopt export``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.cli.completing import solver_names
from kvopt.cli.console import (
    Json,
    MemoryLimit,
    Quiet,
    Seed,
    TimeLimit,
    Workers,
    echo_json,
    interruptible,
    say,
    visible,
    watched,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvopt.crosscheck import Row


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(crosscheck)
    app.command()(export)


def crosscheck(
    file: Annotated[str, typer.Argument(help="Instance file, - for standard input.")],
    solvers: Annotated[
        str | None,
        typer.Option(
            help="Names, separated by commas (default: dp,cp-sat,highs,scip,cbc; brute-force if small).",
            autocompletion=solver_names,
        ),
    ] = None,
    time_limit: TimeLimit = 60.0,
    memory_limit: MemoryLimit = None,
    seed: Seed = 0,
    workers: Workers = 2,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Solve an instance with several exact methods and compare; exit code 1 if two of them contradict.

    The time limit is for each method. Every schedule is verified.
    """
    from kvopt.crosscheck import attempt, contradictions, default_solvers
    from kvopt.io.formats import read
    from kvopt.solving import load_solver

    instance = read(file)
    names = default_solvers(instance) if solvers is None else [name.strip() for name in solvers.split(",")]
    for name in names:
        load_solver(name)
    rows: list[Row] = []
    for name in names:
        monitor, line = watched(
            quiet, instance, time_limit_s=time_limit, memory_limit_gb=memory_limit, seed=seed, workers=workers
        )
        say(f"{name} ...", quiet)
        with interruptible(monitor):
            rows.append(attempt(instance, name, monitor))
        line.end()
        if monitor.interrupted:
            break
    found = contradictions(rows)
    if json:
        report = {"instance": {"name": instance.name, "digest": instance.digest}, "rows": [as_dict(r) for r in rows]}
        echo_json(report | {"contradictions": found})
    else:
        show(rows, instance.name)
        for text in found:
            typer.echo(f"CONTRADICTION  {text}")
        if not found:
            typer.echo(agreement(rows))
    if monitor.interrupted:
        raise typer.Exit(130)
    if found or all(row.value is None for row in rows):
        raise typer.Exit(1)


def as_dict(row: Row) -> dict[str, Any]:
    """A row for ``--json``."""
    return {
        "solver": row.solver,
        "status": row.status,
        "total_latency": row.value,
        "lower_bound": row.bound,
        "verdict": row.verification and row.verification.verdict,
        "runtime_s": round(row.runtime_s, 4),
        "error": row.error,
    }


def show(rows: Sequence[Row], name: str) -> None:
    """The table on standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(name)), title_justify="left")
    for heading in ("solver", "total latency", "lower bound", "status", "verified", "seconds"):
        table.add_column(heading, justify="left" if heading in ("solver", "status", "verified") else "right")
    for row in rows:
        value, bound = ("-" if number is None else f"{number:,}" for number in (row.value, row.bound))
        verdict = "-" if row.verification is None else row.verification.verdict
        table.add_row(row.solver, value, bound, row.status, verdict, f"{row.runtime_s:.2f}")
    console = Console()
    console.print(table)
    for row in rows:
        if row.error:
            console.print(f"{row.solver}: {row.error}", markup=False, highlight=False)


def agreement(rows: Sequence[Row]) -> str:
    """What the rows, which do not contradict, say together."""
    values = [row.value for row in rows if row.value is not None]
    bounds = [row.bound for row in rows if row.bound is not None]
    if not values:
        return "no method found a schedule"
    provers = [row.solver for row in rows if row.status == "optimal"]
    if provers:
        return f"no contradiction; total latency {min(values):,} is optimal according to {', '.join(provers)}"
    return (
        f"no contradiction; best total latency {min(values):,}, best bound {max(bounds):,}"
        if bounds
        else (f"no contradiction; best total latency {min(values):,}, no bound")
    )


def export(
    file: Annotated[str, typer.Argument(help="Instance file, - for standard input.")],
    format: Annotated[str, typer.Option(help="lp or mps.")],
    output: Annotated[str, typer.Option("--output", "-o", help="File to write, - for standard output.")],
    formulation: Annotated[str, typer.Option(help="aggregated (by type) or indexed (by request).")] = "aggregated",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write an instance as an integer programme for other solvers."""
    from kvopt.errors import InputError
    from kvopt.io.files import write_bytes
    from kvopt.io.formats import read
    from kvopt.mip.pulp_cbc import export as programme

    if json and output == "-":
        raise InputError("--output -: the model and the JSON object cannot both go to standard output")
    data = programme(read(file), format, formulation)
    write_bytes(output, data)
    if json:
        report = {"output": output, "format": format, "formulation": formulation, "bytes": len(data)}
        echo_json(report)
    elif output != "-":
        say(f"written to {output}", quiet)
