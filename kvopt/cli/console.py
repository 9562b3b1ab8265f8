"""What the commands share: options, the progress line, interruption, JSON for scripts, numbers as typed."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.arguments import fraction
from kvopt.errors import InputError
from kvopt.monitor import Monitor

if TYPE_CHECKING:
    from kvopt.model import Instance

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no messages.")]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds of wall-clock time.")]
MemoryLimit = Annotated[float | None, typer.Option(help="Gigabytes; if not given, 3/4 of the machine's memory.")]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.")]
Workers = Annotated[int, typer.Option(help="Threads to use.")]


def say(message: str, quiet: bool = False) -> None:
    """A message for people: standard error, so that standard output stays clean for scripts."""
    if not quiet:
        print(visible(message), file=sys.stderr)


def echo_json(value: Any) -> None:
    """An object as JSON on standard output, for ``--json``."""
    import msgspec

    typer.echo(msgspec.json.encode(value))


def visible(text: str) -> str:
    """Text from a file without power over the terminal: control characters are shown as escapes.

    >>> visible("a\\x1b[31m\\nb")
    'a\\\\x1b[31m\\nb'
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def check_output(path: str | None, json: bool) -> None:
    """Refuse an output file that cannot be written, or that would share standard output with ``--json``."""
    from kvopt.io.files import require_writable

    if path is None:
        return
    if path == "-" and json:
        raise InputError("--json and -o - both write to standard output; choose one")
    require_writable(path)


class ProgressLine:
    """Shows progress reports: one line rewritten on a terminal, a line every few seconds elsewhere."""

    EVERY_S = 5.0

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.terminal = sys.stderr.isatty()
        self.width = 0
        self.last = time.perf_counter()

    def __call__(self, fields: dict[str, Any]) -> None:
        if self.quiet:
            return
        if "message" in fields:
            self.end()
            print(fields["message"], file=sys.stderr)
            return
        parts = [f"{fields['elapsed_s']:7.1f} s"]
        for key, value in fields.items():
            if key != "elapsed_s" and value is not None:
                parts.append(f"{key.replace('_', ' ')} {value:,}" if isinstance(value, int) else f"{key} {value}")
        incumbent, bound = fields.get("incumbent"), fields.get("bound")
        if incumbent is not None and bound:
            parts.append(f"gap {100 * (incumbent - bound) / bound:.2f} %")
        text = "  ".join(parts)
        if self.terminal:
            sys.stderr.write("\r" + text.ljust(self.width))
            sys.stderr.flush()
            self.width = len(text)
        elif time.perf_counter() - self.last >= self.EVERY_S:
            self.last = time.perf_counter()
            print(text, file=sys.stderr)

    def end(self) -> None:
        """Leave the rewritten line."""
        if self.terminal and self.width:
            sys.stderr.write("\r" + " " * self.width + "\r")
            sys.stderr.flush()


def watched(quiet: bool, instance: Instance | None = None, **limits: Any) -> tuple[Monitor, ProgressLine]:
    """A monitor with these limits, and the line that shows its progress; the instance matters to solvers only."""
    from kvopt.model import Instance

    line = ProgressLine(quiet)
    return Monitor(instance or Instance.from_rows(1, [(0, 1)]), on_progress=line, **limits), line


@contextmanager
def interruptible(monitor: Monitor) -> Iterator[None]:
    """First SIGINT or SIGTERM asks the solver to stop and keeps what it has; a second one ends it hard."""

    def ask(number: int, frame: Any) -> None:
        if monitor.interrupted:
            raise KeyboardInterrupt
        monitor.interrupt()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends a long run as Ctrl-C does, with what it has to say last and exit code 130."""

    def end(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def exact(text: str, what: str) -> Fraction:
    """The option's number by `kvopt.arguments.fraction`; raises InputError naming the option if it is none."""
    try:
        return fraction(text)
    except ValueError:
        raise InputError(f"{what}: expected a number such as 0.9, got {text!r}") from None
