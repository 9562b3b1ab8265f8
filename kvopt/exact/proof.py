"""The ``search`` certificate: what the label search kept, and why every other label can be left out.

docs/certificates.md states the format and proves that it proves the bound; `kvopt.verify` checks it by
replaying the kept labels in plain integers.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numba import njit

from kvopt.exact.search import Pass, Search
from kvopt.model import Certificate


def search_certificate(done: Pass, threshold: int, search: Search) -> Certificate:
    """Certificate of a recorded pass without a cut, for the bound ``done.bound``."""
    prices, relaxation, n = search.prices, search.relaxation, search.instance.n
    stream = b"".join(
        # Complete schedules are compared by value: the last layer needs no codes for its children.
        layer_codes(layer.gap_kind, layer.gap_start, layer.killer, layer.shift, depth == n - 1).tobytes()
        for depth, layer in enumerate(done.layers)
    )
    return Certificate(
        "search",
        {
            "threshold": threshold,
            "denominator": prices.denominator,
            "prices": prices.numerators.tolist(),
            "relaxation": None
            if relaxation is None
            else {"class_of": relaxation.class_of.tolist(), "multipliers": relaxation.multipliers.tolist()},
            "layers": len(done.layers),
            "codes": base64.b64encode(zlib.compress(stream, 4)).decode(),
        },
    )


@njit(cache=True, nogil=True)
def layer_codes(gap_kind, gap_start, killer, shift, last):
    """The layer's numbers as varints: the gap run of each label, then for each child 0 (kept) or dominator and shift.

    A varint has the number's bits in groups of seven, the low ones first, the high bit set on all but the last.
    """
    codes = np.empty(20 * (gap_kind.shape[0] + killer.shape[0]), dtype=np.uint8)
    at = 0
    for i in range(gap_kind.shape[0]):
        at = put(codes, at, gap_kind[i])
        at = put(codes, at, zigzag(gap_start[i]))
    if last:
        return codes[:at].copy()
    newest = -1
    for c in range(killer.shape[0]):
        if killer[c] < 0:
            newest += 1
            at = put(codes, at, 0)
        else:
            # A dominator is named by its distance from the newest kept child, which is mostly short.
            at = put(codes, at, 1 + zigzag(newest - killer[c]))
            at = put(codes, at, shift[c])
    return codes[:at].copy()


@njit(cache=True, nogil=True)
def put(codes, at, value):
    """Write one varint; returns the place after it."""
    while value >= 128:
        codes[at] = (value & 127) | 128
        value >>= 7
        at += 1
    codes[at] = value
    return at + 1


@njit(cache=True, nogil=True)
def zigzag(value):
    """Signed to unsigned: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return -2 * value - 1 if value < 0 else 2 * value
