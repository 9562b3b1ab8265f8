"""``kvopt versions``."""

from __future__ import annotations

import typer

from kvopt.cli.console import Json, Quiet, echo_json


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(versions)


def versions(json: Json = False, quiet: Quiet = False) -> None:
    """Print versions and machine, to be pasted into a bug report."""
    from kvopt.bench.machine import machine
    from kvopt.versions import installation

    found = {**installation(), **{key: str(value) for key, value in machine().items()}}
    if json:
        echo_json(found)
    elif not quiet:
        for name, value in found.items():
            typer.echo(f"{name:<{max(map(len, found))}}  {value}")
