"""``kvopt schema``: the JSON Schema of the file formats."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from kvopt.cli.console import Json, Quiet, say


class Kind(StrEnum):
    """A file format."""

    INSTANCE = "instance"
    RESULT = "result"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(schema)


def schema(
    kind: Annotated[Kind, typer.Argument(help="Which file format.")],
    output: Annotated[str, typer.Option("--output", "-o", help="File to write, - for standard output.")] = "-",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the JSON Schema (draft 2020-12) of instance or result files; with -o and --json, write and print it."""
    import msgspec

    from kvopt.io.files import write_bytes
    from kvopt.io.formats import json_schema

    text = msgspec.json.format(msgspec.json.encode(json_schema(kind.value)), indent=2)
    write_bytes(output, text + b"\n")
    if output != "-":
        if json:
            typer.echo(text)
        say(f"written to {output}", quiet)
