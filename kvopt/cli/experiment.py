"""``kvopt experiment``: seeded simulations and searches with a table and a picture."""

from __future__ import annotations

from typing import Annotated

import typer

from kvopt.cli.completing import experiment_names
from kvopt.cli.console import Json, ProgressLine, Quiet, Seed, echo_json, say


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(experiment)


def experiment(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=experiment_names,
            help="prediction-error, load-sweep, alpha-beta, energy, wait; with the exact engine: "
            "ablation, smallest-counterexamples, identical-requests, worst-ratios, published-models.",
        ),
    ],
    seed: Seed = 0,
    out: Annotated[str, typer.Option(help="Folder for NAME.csv and NAME.png.")] = "out/experiments",
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter runs: seconds.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment; after Ctrl-C what was measured so far is written."""
    from pathlib import Path

    from kvopt.experiments import find_experiment, run
    from kvopt.io.files import make_folder, require_writable, write_bytes
    from kvopt.plot import save

    chosen = find_experiment(name)
    table, picture = (Path(out) / f"{name}{suffix}" for suffix in (".csv", ".png"))
    make_folder(out)
    require_writable(table)
    require_writable(picture)
    line = ProgressLine(quiet)
    outcome = run(chosen, seed=seed, quick=quick, on_progress=line)
    line.end()
    if outcome.rows:
        write_bytes(table, outcome.csv())
        save(chosen.draw(outcome.rows), picture)
    found = chosen.findings(outcome.rows) if outcome.rows and not outcome.interrupted else []
    if json:
        report = {
            "experiment": name,
            "title": chosen.title,
            "seed": seed,
            "quick": quick,
            "interrupted": outcome.interrupted,
            "rows": len(outcome.rows),
            "csv": str(table),
            "picture": str(picture),
            "findings": found,
        }
        echo_json(report)
    else:
        typer.echo("\n".join([f"{chosen.title}: {len(outcome.rows)} runs", *(f"  {text}" for text in found)]))
    say(f"written to {table} and {picture}", quiet or not outcome.rows)
    if outcome.interrupted:
        raise typer.Exit(130)
