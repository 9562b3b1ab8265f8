"""The command line: each module holds a few commands; a command reads, calls the library, writes, never computes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from kvopt import __version__
from kvopt.cli import (
    adversary,
    benching,
    bounding,
    capacity,
    crosschecking,
    experiment,
    fluid,
    generating,
    importing,
    library,
    plotting,
    regret,
    reporting,
    schema,
    simulating,
    solving,
    versioning,
)
from kvopt.cli.console import say
from kvopt.errors import ArgumentError, KvoptError

#: Exit codes (docs/formats.md).
EXIT_DONE, EXIT_NO, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="kvopt",
    help="Exact and certified scheduling of LLM requests under a KV cache capacity.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def show_version(asked: bool) -> None:
    """Print the version and end, when asked to."""
    if asked:
        typer.echo(f"kvopt {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Exact and certified scheduling of LLM requests under a KV cache capacity."""


solving.register(app)
bounding.register(app)
capacity.register(app)
schema.register(app)
importing.register(app)
generating.register(app)
library.register(app)
plotting.register(app)
reporting.register(app)
crosschecking.register(app)
benching.register(app)
adversary.register(app)
simulating.register(app)
regret.register(app)
fluid.register(app)
experiment.register(app)
versioning.register(app)


def option(argument: str) -> str:
    """The option that a Python argument is on the command line, which leaves units to the help texts.

    >>> option("time_limit_s"), option("workers")
    ('--time-limit', '--workers')
    """
    short = {"time_limit_s": "time-limit", "memory_limit_gb": "memory-limit", "target_gap": "gap"}
    return f"--{short.get(argument, argument.replace('_', '-'))}"


def main() -> None:
    """Run the command line: one readable message and the right exit code for each failure."""
    try:
        app()
    except ArgumentError as error:
        say(f"kvopt: {option(error.argument)} {error.rule}")
        sys.exit(EXIT_BAD_INPUT)
    except KvoptError as error:
        say(f"kvopt: {error}")
        sys.exit(EXIT_BAD_INPUT)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:  # Typer's own ending of an interrupted command is silent
            print("kvopt: interrupted", file=sys.stderr)
        raise
    except MemoryError:
        print("kvopt: out of memory", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_NO)
    except OSError as error:  # files name themselves in an InputError; what is left are the standard streams
        say(f"kvopt: standard output: {error.strerror or error}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BAD_INPUT)
