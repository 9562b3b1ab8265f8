"""Traces as instances: lengths checked against a capacity, times turned into rounds, provenance kept."""

from __future__ import annotations

import csv
import importlib
import zlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kvopt.arguments import whole_number
from kvopt.errors import InputError, UnknownNameError
from kvopt.io.files import reason
from kvopt.io.formats import MAX_REPORTED
from kvopt.io.traces.row import TraceRow
from kvopt.io.traces.stream import TraceFile
from kvopt.model import MAX_REQUESTS, MAX_VALUE, Instance, IntArray
from kvopt.options import check_options

#: source name -> module with a function `rows`.
SOURCES: dict[str, str] = {
    "azure": "kvopt.io.traces.azure",
    "vidur": "kvopt.io.traces.vidur",
    "csv": "kvopt.io.traces.columns",
    "sharegpt": "kvopt.io.traces.sharegpt",
    "lmsys": "kvopt.io.traces.lmsys",
    "burstgpt": "kvopt.io.traces.burstgpt",
    "mooncake": "kvopt.io.traces.mooncake",
}

#: One round is 50 ms where nothing else is said, about one iteration of a 70B model on two A100s.
ROUNDS_PER_SECOND = Fraction(20)

#: Lines kept as examples of each reason for skipping.
EXAMPLES = 5

NO_OUTPUT = "output of 0 tokens"
TOO_LONG = "prompt + output above the capacity"
MALFORMED = "malformed"


@dataclass
class ImportReport:
    """What became of the rows of a trace.

    Attributes
    ----------
    rows_read : int
        Rows looked at, kept or not.
    kept : int
        Requests of the instance.
    skipped : dict
        Reason -> number of rows.
    examples : dict
        Reason -> first lines of the file that were skipped for it.
    empty_prompts : int
        Kept requests with a prompt of 0 tokens.
    """

    rows_read: int = 0
    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[int]] = field(default_factory=dict)
    empty_prompts: int = 0

    def skip(self, line: int, why: str) -> None:
        """Count a row that is left out."""
        self.skipped[why] += 1
        if self.skipped[why] <= EXAMPLES:
            self.examples.setdefault(why, []).append(line)


def import_trace(
    source: str,
    path: str | Path,
    capacity: int,
    *,
    limit: int | None = None,
    backlog: bool = False,
    draw: int | None = None,
    seed: int = 0,
    rounds_per_second: Fraction = ROUNDS_PER_SECOND,
    skip_malformed: bool = False,
    name: str | None = None,
    **options: Any,
) -> tuple[Instance, ImportReport]:
    """Read a public trace as an instance; the file is streamed.

    Parameters
    ----------
    source : str
        One of `SOURCES`.
    path : str or Path
        The trace, packed with gzip or not, ``-`` for standard input.
    capacity : int
        KV cache capacity of the instance; requests that exceed it by themselves are skipped and counted.
    limit : int, optional
        Keep the first so many usable requests.
    backlog : bool
        Set all arrivals to round 0.
    draw : int, optional
        Take so many requests at random out of those kept, each as likely every time; only as a backlog.
    seed : int
        Seed of this draw, >= 0.
    rounds_per_second : Fraction
        A request that arrives x seconds after the earliest kept one gets the arrival round
        ``ceil(x * rounds_per_second)``, the first round that begins once it is there.
    skip_malformed : bool
        Skip and count rows that break the format; otherwise they are an error.
    name : str, optional
        Name of the instance; default the file's name and the number of requests.
    **options
        Of the source: columns for ``csv``, words to tokens for conversations.

    Returns
    -------
    instance : Instance
        With provenance in `meta`.
    report : ImportReport

    Raises
    ------
    UnknownNameError
        If there is no such source.
    InputError
        If the file cannot be read, has malformed rows (their lines are named) or no usable one, or an option is wrong.
    """
    if source not in SOURCES:
        raise UnknownNameError("source", source, list(SOURCES))
    read = importlib.import_module(SOURCES[source]).rows
    check_options(f"source {source!r}", read, options)
    if capacity < 1 or (limit is not None and limit < 1) or rounds_per_second <= 0:
        raise InputError("capacity, limit and rounds per second must be above 0")
    if capacity > MAX_VALUE:
        raise InputError(f"the capacity must be at most {MAX_VALUE}, got {capacity}")
    if draw is not None:
        whole_number("draw", draw, 1, MAX_REQUESTS)
        whole_number("seed", seed, 0)
        if not backlog:
            raise InputError("requests can be drawn for a backlog only: drawn ones have no arrivals of their own")
    report, broken, line = ImportReport(), list[str](), 1
    prompt, output, times, lines = array("q"), array("q"), array("q"), array("q")
    file = TraceFile(path)
    try:
        for row in read(file.text, **options):
            report.rows_read += 1
            line = row.line
            if not isinstance(row, TraceRow):
                report.skip(line, MALFORMED if row.malformed else row.reason)
                if row.malformed and len(broken) < MAX_REPORTED:
                    broken.append(f"{path}: line {line}: {row.reason}")
            elif row.output == 0:
                report.skip(line, NO_OUTPUT)
            elif row.prompt + row.output > capacity:
                report.skip(line, TOO_LONG)
            else:
                prompt.append(row.prompt)
                output.append(row.output)
                if row.arrival_ns is not None:
                    times.append(row.arrival_ns)
                    lines.append(line)
                if len(prompt) == limit:
                    break
        sha256 = file.digest()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read after line {line} ({reason(error)})") from error
    finally:
        file.close()
    if broken and not skip_malformed:
        more = report.skipped[MALFORMED] - len(broken)
        broken += [f"{path}: ... and {more} more malformed rows"] * (more > 0)
        raise InputError("\n".join(broken))
    report.kept = len(prompt)
    report.empty_prompts = prompt.count(0)
    if not prompt:
        counts = ", ".join(f"{why}: {count}" for why, count in report.skipped.items()) or "the file has no rows"
        raise InputError(f"{path}: no request that can be used ({counts})")
    try:
        arrival, conversion = arrivals(times, lines, backlog, rounds_per_second)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    stem = "stdin" if str(path) == "-" else Path(path).name.removesuffix(".gz").rpartition(".")[0] or Path(path).name
    meta = {
        "source": source,
        "file": Path(path).name,
        "sha256": sha256,
        "rows_read": report.rows_read,
        "kept": report.kept,
        "skipped": dict(report.skipped),
        "arrivals": conversion,
    }
    columns, size = np.array([prompt, output]), str(report.kept)
    if draw is not None:
        columns = columns[:, np.random.default_rng(seed).integers(report.kept, size=draw)]
        meta |= {"drawn": draw, "seed": seed}
        size = f"drawn-{draw}"
    if options:
        meta["options"] = {key: str(value) for key, value in options.items()}
    instance = Instance(
        capacity,
        columns[0],
        columns[1],
        arrival,  # type: ignore[arg-type]
        name=name if name is not None else f"{stem}-{size}",
        meta=meta,
    )
    return instance, report


def arrivals(
    times: array[int], lines: array[int], backlog: bool, rounds_per_second: Fraction
) -> tuple[IntArray | None, str]:
    """Arrival rounds (None for all 0) of arrivals in nanoseconds on these lines, and the rule by which they were found.

    Raises
    ------
    InputError
        If the last arrival would be beyond the largest round; the message names its line and that of the first.
    """
    if not times:
        return None, "all 0: the file has no times"
    if backlog:
        return None, "all 0: taken as a backlog"
    first, last = min(times), max(times)
    rate, per = rounds_per_second.numerator, rounds_per_second.denominator * 10**9
    round_ms = Decimal(1000 * rounds_per_second.denominator) / rounds_per_second.numerator
    rule = f"ceil(seconds after the earliest * {rounds_per_second}), {round_ms:g} ms a round"
    latest = -(-(last - first) * rate // per)
    if latest > MAX_VALUE:
        after_s = Decimal(last - first).scaleb(-9)
        raise InputError(
            f"line {lines[times.index(last)]}: arrives {after_s:f} s after the earliest request (line "
            f"{lines[times.index(first)]}), in round {latest}, above {MAX_VALUE}; use fewer rounds a second"
        )
    return np.array([-(-(time - first) * rate // per) for time in times], dtype=np.int64), rule
