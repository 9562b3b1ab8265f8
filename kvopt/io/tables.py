"""Tables as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def csv_bytes(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """A header line and a line for each row, UTF-8; None is an empty cell.

    >>> csv_bytes(["policy", "latency"], [["fcfs", 3], ["a,b", None]])
    b'policy,latency\\nfcfs,3\\n"a,b",\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
