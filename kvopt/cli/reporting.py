"""``kvopt report``."""

from __future__ import annotations

from typing import Annotated

import typer

from kvopt.cli.console import Json, Quiet, check_output, echo_json, say


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(report)


def report(
    result: Annotated[str, typer.Argument(help="Result file.")],
    instance: Annotated[str | None, typer.Option(help="Instance file, if it is not next to the result.")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Page to write; RESULT.html by default.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page on a result: proof, picture, requests, policies; it opens without a network."""
    from pathlib import Path

    from kvopt.cli.solving import check_claims
    from kvopt.io.files import read_bytes, write_bytes
    from kvopt.io.formats import read, read_result
    from kvopt.io.nearby import find_instance, result_stem
    from kvopt.report import report_html

    if output is None:
        output = str(Path(result).with_name(f"{result_stem(Path(result))}.html"))
    check_output(output, json)
    source, whole = find_instance(result) if instance is None else (Path(instance), read(instance))
    read_in = read_result(result, whole)
    verification = check_claims(whole, read_bytes(result))
    page = report_html(read_in, verification, instance_file=str(source), result_file=result)
    write_bytes(output, page.encode())
    if json:
        verdict = {"verdict": verification.verdict, "optimal": verification.optimal}
        echo_json({"result": result, "instance": str(source), **verdict, "page": output})
    else:
        say(f"{verification.verdict}; written to {output}", quiet)
