"""Numba kernel of the fluid prices (`kvopt.bounds.fluid`)."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def sums_to_busy_end(volume, drop):
    """For each round t the sum over u >= t of the drop of the largest volume from t to u, to its busy period's end.

    Volume 0 marks idle rounds, which get 0. O(rounds): the largest volumes from round t on are a stack, as is what
    they add up to; the last of the stack counts for `rounds` rounds, with `behind` as the sum of those under it.
    """
    sums = np.zeros_like(drop)
    largest, rounds, behind = np.empty_like(volume), np.empty_like(volume), np.empty_like(drop)
    deep = 0
    for t in range(len(volume) - 1, -1, -1):
        if volume[t] == 0:
            deep = 0
            continue
        count, rest = 1, sums[t + 1] if deep > 0 else 0
        while deep > 0 and largest[deep - 1] <= volume[t]:
            deep -= 1
            count += rounds[deep]
            rest = behind[deep]
        largest[deep], rounds[deep], behind[deep] = volume[t], count, rest
        deep += 1
        sums[t] = rest + count * drop[t]
    return sums
