"""``kvopt generate``: seeded instance families."""

from __future__ import annotations

from typing import Annotated

import typer

from kvopt.cli.completing import family_names
from kvopt.cli.console import Json, Quiet, echo_json, say


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(generate)


def generate(
    family: Annotated[
        str,
        typer.Argument(
            help="types, different, arrivals, a100, identical, model1, model2, adversarial-sf, adversarial-svf, "
            "lmsys-like, azure-like, counterexample, worst-ratio, teaching or baseline.",
            autocompletion=family_names,
        ),
    ],
    requests: Annotated[int | None, typer.Option(help="Number of requests.")] = None,
    capacity: Annotated[int | None, typer.Option(help="KV cache capacity in tokens.")] = None,
    types: Annotated[int | None, typer.Option(help="types, arrivals, a100: number of types.")] = None,
    prompt: Annotated[int | None, typer.Option(help="identical: prompt tokens.")] = None,
    output_tokens: Annotated[int | None, typer.Option(help="identical, adversarial-svf: output tokens.")] = None,
    rounds: Annotated[int | None, typer.Option(help="model2: rounds with arrivals.")] = None,
    copies: Annotated[
        int | None, typer.Option(help="adversarial-sf, adversarial-svf: requests with a long prompt.")
    ] = None,
    number: Annotated[
        int | None, typer.Option(help="counterexample, worst-ratio, teaching, baseline: which one.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random families (default 0).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the instance.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Instance file, - for standard output.")] = "-",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make an instance of a seeded family; unset options take the family's defaults."""
    from kvopt.generate import generate as make
    from kvopt.io.formats import write

    given = {
        "requests": requests,
        "capacity": capacity,
        "types": types,
        "prompt": prompt,
        "output": output_tokens,
        "rounds": rounds,
        "copies": copies,
        "number": number,
    }
    instance = make(family, seed=seed, name=name, **{key: value for key, value in given.items() if value is not None})
    write(instance, output)
    say(
        f"{instance.name}: {instance.n:,} requests of {len(instance.types):,} types, capacity {instance.capacity:,}",
        quiet,
    )
    if json and output != "-":
        echo_json({"written": output, "digest": instance.digest, **instance.meta})
