"""Traces with their own times: requests for the seconds clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from kvopt.io.traces import ImportReport, import_trace
from kvopt.online.traffic import Traffic

#: Arrivals of traces are kept to the millisecond, rounded up.
PER_SECOND = 1000


def read_traffic(source: str, path: str | Path, capacity: int, **options: Any) -> tuple[Traffic, ImportReport]:
    """Read a public trace with its arrival times in seconds after the earliest, rounded up to milliseconds.

    Parameters
    ----------
    source, path, capacity, **options
        As of `kvopt.io.traces.import_trace` (without ``rounds_per_second``).

    Returns
    -------
    traffic : Traffic
        With provenance in `meta`; all arrivals are 0 where the file has no times.
    report : ImportReport

    Raises
    ------
    InputError
        As `import_trace` does.
    """
    instance, report = import_trace(source, path, capacity, rounds_per_second=Fraction(PER_SECOND), **options)
    return Traffic.from_instance(instance, 1 / PER_SECOND), report
