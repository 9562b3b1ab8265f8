"""``kvopt library``: the instance library's results, index and checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kvopt.cli.completing import solver_names
from kvopt.cli.console import Json, MemoryLimit, Quiet, TimeLimit, echo_json, say

if TYPE_CHECKING:
    from kvopt.library import Entry, Outcome

Root = Annotated[str, typer.Argument(help="Folder of the library.")]
Family = Annotated[str | None, typer.Option(help="Only this family.")]
Jobs = Annotated[int, typer.Option(min=1, help="Instances at the same time.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(
        help="The instance library: best known results, their proofs, and the index.", no_args_is_help=True
    )
    for command in (verify, index, improve, solve, create):
        group.command()(command)
    app.add_typer(group, name="library")


def verify(
    root: Root = "instances", family: Family = None, jobs: Jobs = 1, json: Json = False, quiet: Quiet = False
) -> None:
    """Verify every result anew and compare with the index; exit code 1 if anything differs."""
    from kvopt.library import verify_library

    checked, problems = verify_library(root, family, jobs)
    if json:
        echo_json({"checked": len(checked), "problems": problems, "proofs": proofs(checked)})
    else:
        for problem in problems:
            typer.echo(problem)
        say(f"{len(checked)} instances: {summary(checked)}; {len(problems) or 'no'} problems", quiet)
    if problems:
        raise typer.Exit(1)


def index(root: Root = "instances", jobs: Jobs = 1, json: Json = False, quiet: Quiet = False) -> None:
    """Make index.json and README.md from the files; changed results are verified."""
    from kvopt.library import build_index, write_index

    made = build_index(root, jobs)
    write_index(root, made)
    if json:
        echo_json(made)
    else:
        say(f"{len(made)} instances: {summary(made)}", quiet)
    if any(entry.proof == "refused" for entry in made):
        raise typer.Exit(1)


def improve(
    result: Annotated[str, typer.Argument(help="Result file of an instance of the library.")],
    root: Annotated[str, typer.Option(help="Folder of the library.")] = "instances",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take in a result that is better and passes the verifier; exit code 1 if it is not better."""
    from kvopt.library import build_index, write_index
    from kvopt.library import improve as take

    path, better = take(root, result)
    if better:
        write_index(root, build_index(root))
    if json:
        echo_json({"instance": str(path), "better": better})
    else:
        say(f"{path}: {'improved' if better else 'what is there is at least as good'}", quiet)
    if not better:
        raise typer.Exit(1)


def solve(
    root: Root = "instances",
    family: Family = None,
    solver: Annotated[str, typer.Option(help="Any solver of `kvopt solve`.", autocompletion=solver_names)] = "auto",
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
    workers: Annotated[int, typer.Option(help="Threads for each instance.")] = 1,
    jobs: Jobs = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Solve what lacks a proof, keep the better of old and new, and make the index; may be ended and run again."""
    from kvopt.library import build_index, solve_library, write_index
    from kvopt.solving import load_solver

    load_solver(solver)
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        say(described(outcome), quiet)

    try:
        solve_library(
            root,
            family,
            solver=solver,
            time_limit_s=time_limit,
            memory_limit_gb=memory_limit,
            workers=workers,
            jobs=jobs,
            on_outcome=note,
        )
    finally:
        made = build_index(root, jobs)
        write_index(root, made)
    say(f"{len(made)} instances: {summary(made)}", quiet)
    if json:
        rows = [
            {"instance": str(o.path), "seconds": round(o.seconds, 2), "better": o.better, "failure": o.failure}
            for o in outcomes
        ]
        echo_json({"solved": rows, "proofs": proofs(made)})
    if any(outcome.failure is not None for outcome in outcomes):
        raise typer.Exit(1)


def create(root: Root = "instances", json: Json = False, quiet: Quiet = False) -> None:
    """Write the instance files that are missing; existing ones are compared, never overwritten."""
    from kvopt.library import create as write_missing

    written = [str(path) for path in write_missing(root)]
    if json:
        echo_json({"written": written})
    else:
        say(f"{len(written)} files written below {root}", quiet)


def described(outcome: Outcome) -> str:
    """One line about one instance."""
    what = outcome.failure or ("stored" if outcome.better else "nothing better")
    return f"{outcome.path}: {what} ({outcome.seconds:.1f} s)"


def proofs(entries: list[Entry]) -> dict[str, int]:
    """Number of instances by proof."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.proof] = counts.get(entry.proof, 0) + 1
    return counts


def summary(entries: list[Entry]) -> str:
    """The same in words."""
    return ", ".join(f"{count} {proof}" for proof, count in proofs(entries).items()) or "none"
