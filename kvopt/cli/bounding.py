"""``kvopt bound``."""

from __future__ import annotations

from typing import Annotated

import typer

from kvopt.cli.console import Json, Quiet, TimeLimit, check_output, say, visible


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(bound)


def bound(
    file: Annotated[str, typer.Argument(help="Instance file, - for standard input.")],
    method: Annotated[str, typer.Option(help="volume, lp, prices, growth, room, packing, flow or best.")] = "best",
    time_limit: TimeLimit = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Result file to write.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Lower bound on the total latency, with a certificate that `kvopt verify` checks."""
    import time

    from kvopt.bounds import lower_bound
    from kvopt.io.formats import encode_result, read, write_result
    from kvopt.model import Result, Status
    from kvopt.versions import versions

    check_output(output, json)
    instance = read(file)
    begun = time.perf_counter()
    found = lower_bound(instance, method, time_limit_s=time_limit)
    result = Result(
        instance=instance,
        solver=f"bound-{method}",
        status=Status.UNKNOWN,
        lower_bound=found.value,
        certificate=found.certificate,
        limits={} if time_limit is None else {"time_limit_s": time_limit},
        statistics={"runtime_s": round(time.perf_counter() - begun, 4)},
        versions=versions(),
    )
    if output is not None:
        write_result(result, output)
    if json:
        typer.echo(encode_result(result), nl=False)
        return
    if not quiet:
        average = found.value / instance.n
        typer.echo(
            f"{visible(instance.name)}: no schedule has a total latency below {found.value:,} "
            f"(average {average:.4f} rounds), certificate: {found.certificate.kind}"
        )
    if output is not None:
        say(f"written to {output}", quiet)
