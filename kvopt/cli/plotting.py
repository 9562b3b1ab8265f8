"""``kvopt plot``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from kvopt.cli.console import Json, Quiet, echo_json, say


class Kind(StrEnum):
    """The pictures of a result."""

    SCHEDULE = "schedule"
    MEMORY = "memory"
    LATENCIES = "latencies"
    WAITING = "waiting"
    TRAJECTORY = "trajectory"


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(plot)


def plot(
    files: Annotated[list[str], typer.Argument(help="[FILE] RESULT...: the instance may be left out if next to it.")],
    kind: Annotated[Kind, typer.Option(help="What to draw.")] = Kind.SCHEDULE,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Picture to write: .png, .svg or .pdf.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw result files: one panel for each schedule, or all of them in one picture to compare."""
    from pathlib import Path

    from kvopt.io.nearby import read_results, result_stem
    from kvopt.plot import draw, picture_suffix, save

    if output is None:
        last = Path(files[-1])
        output = str(last.with_name(f"{result_stem(last)}.png"))
    picture_suffix(output)
    results = read_results(files)
    drawn = files[-len(results) :]
    solvers = [result.solver for result in results]
    names = solvers if len(set(solvers)) == len(solvers) else drawn
    save(draw(kind, dict(zip(names, results, strict=True))), output)
    if json:
        echo_json({"kind": kind, "results": drawn, "picture": output})
    else:
        say(f"written to {output}", quiet)
