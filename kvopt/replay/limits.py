"""What fits into machine integers."""

from __future__ import annotations

import numpy as np

#: Sums of a few numbers of at most this size fit their integers.
SMALL = 1 << 58
#: Longest output: what is done once for each round of a profile takes no longer than the rest.
LONGEST = 1 << 10


class Unfit(Exception):
    """Something is too large for the machine integers or tables of this package; `kvopt.verify` knows no such limit."""


def require_small(*values: int) -> None:
    """Raise Unfit for a value too large."""
    if max(map(abs, values)) > SMALL:
        raise Unfit


def cell_type(capacity: int, longest: int) -> type[np.int16 | np.int32]:
    """Of the tokens held in a round, in profiles of the longest output; raises Unfit where that is too long."""
    if longest > LONGEST:
        raise Unfit
    return np.int16 if capacity < 1 << 15 else np.int32
