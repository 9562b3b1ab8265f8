"""``kvopt import``: public traces as instances."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

import typer

from kvopt.cli.completing import source_names
from kvopt.cli.console import Json, Quiet, echo_json, exact, say
from kvopt.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("import")(import_)


def import_(
    source: Annotated[
        str,
        typer.Argument(help="azure, vidur, sharegpt, lmsys, burstgpt, mooncake or csv.", autocompletion=source_names),
    ],
    file: Annotated[str, typer.Argument(help="Trace file, gzipped or not, - for standard input.")],
    capacity: Annotated[int, typer.Option(help="KV cache capacity in tokens.")],
    limit: Annotated[int | None, typer.Option(help="Keep the first so many usable requests.")] = None,
    backlog: Annotated[bool, typer.Option("--backlog", help="Set all arrivals to round 0.")] = False,
    draw: Annotated[int | None, typer.Option(help="With --backlog: draw so many of them at random.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of --draw.")] = 0,
    rounds_per_second: Annotated[str | None, typer.Option(help="Rounds in a second (default 20).")] = None,
    round_ms: Annotated[str | None, typer.Option(help="Or: milliseconds of a round.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="csv: column of prompt tokens.")] = None,
    output_column: Annotated[str | None, typer.Option(help="csv: column of output tokens.")] = None,
    arrival_column: Annotated[str | None, typer.Option(help="csv: column of arrivals in seconds.")] = None,
    tokens_per_word: Annotated[str | None, typer.Option(help="Conversations: tokens of a word (default 4/3).")] = None,
    turns: Annotated[str | None, typer.Option(help="Conversations: first answer only, or all.")] = None,
    skip_malformed: Annotated[bool, typer.Option("--skip-malformed", help="Count malformed rows and go on.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the instance.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Instance file, - for standard output.")] = "-",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read a public trace as an instance; what was left out is counted and reported."""
    from kvopt.io.formats import write
    from kvopt.io.traces import import_trace

    options: dict[str, Any] = {
        "rounds_per_second": round_rate(rounds_per_second, round_ms),
        "prompt_column": prompt_column,
        "output_column": output_column,
        "arrival_column": arrival_column,
        "tokens_per_word": None if tokens_per_word is None else exact(tokens_per_word, "--tokens-per-word"),
        "turns": turns,
    }
    instance, report = import_trace(
        source,
        file,
        capacity,
        limit=limit,
        backlog=backlog,
        draw=draw,
        seed=seed,
        skip_malformed=skip_malformed,
        name=name,
        **{key: value for key, value in options.items() if value is not None},
    )
    write(instance, output)
    say(f"{report.kept:,} of {report.rows_read:,} rows read are requests of {instance.name!r}", quiet)
    if draw is not None:
        say(f"  {draw:,} drawn from them with seed {seed}", quiet)
    for why, count in report.skipped.items():
        lines = ", ".join(map(str, report.examples[why]))
        say(f"  {count:,} skipped: {why} (line {lines}{', ...' if count > len(report.examples[why]) else ''})", quiet)
    if report.empty_prompts:
        say(f"  {report.empty_prompts:,} kept with a prompt of 0 tokens", quiet)
    say(f"  arrivals: {instance.meta['arrivals']}", quiet)
    if json and output != "-":
        echo_json({"written": output, "digest": instance.digest, **instance.meta})


def round_rate(rounds_per_second: str | None, round_ms: str | None) -> Fraction | None:
    """Rounds in a second from one of the two options, None if neither is given."""
    if rounds_per_second is not None and round_ms is not None:
        raise InputError("give --rounds-per-second or --round-ms, not both")
    if rounds_per_second is not None:
        return exact(rounds_per_second, "--rounds-per-second")
    if round_ms is None:
        return None
    length = exact(round_ms, "--round-ms")
    if length <= 0:
        raise InputError(f"--round-ms: must be above 0, got {round_ms}")
    return 1000 / length
