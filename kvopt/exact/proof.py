"""The ``search`` certificate: what the label search kept, and why every other label can be left out.

docs/certificates.md states the format and proves that it proves the bound; `kvopt.verify` checks it by
replaying the kept labels in plain integers.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numba import njit

from kvopt.exact.relaxation import Relaxation
from kvopt.exact.search import Pass, Search
from kvopt.exact.sublimation import Closed
from kvopt.model import Certificate
from kvopt.verify import MOST_CODES

#: Costs to go, times the costs of a profile, that a checker had rather read than find again: it reads all costs of a
#: profile at once.
CLAIMED_FROM = 200_000
#: Compression level: higher ones take as long as a small search.
LEVEL = 1


def search_certificate(done: Pass, search: Search) -> Certificate:
    """Certificate of a recorded pass without a cut, for the bound ``done.bound``."""
    prices, relaxation, packing, n = search.prices, search.relaxation, search.packing, search.instance.n
    types = len(search.instance.types)
    depth, parts = 0, []
    for trace in done.traces:
        # Complete schedules are compared by value: the last layer needs no codes for its children.
        parts.append(codes_of(trace.sizes, trace.gap, trace.killer, trace.shift, n - 1 - depth, types))
        depth += len(trace.sizes)
    return Certificate(
        "search",
        {
            "threshold": done.threshold,
            "denominator": prices.denominator,
            "prices": prices.numerators.tolist(),
            "relaxation": None if relaxation is None else relaxation_data(relaxation, search.scale),
            "packing": None if packing is None else packing.bound.certificate.data,
            "layers": done.layers,
            "codes": encoded(b"".join(part.tobytes() for part in parts)),
        },
    )


def encoded(stream: bytes) -> str:
    """The stream in zlib's format and base64; what it is compressed with need not be larger than the stream itself."""
    window = min(max(len(stream).bit_length(), 9), zlib.MAX_WBITS)
    packer = zlib.compressobj(LEVEL, wbits=window, memLevel=window - 7)
    return base64.b64encode(packer.compress(stream) + packer.flush()).decode()


def sublimation_certificate(closed: Closed) -> Certificate:
    """Certificate that no schedule has a total latency below ``closed.threshold``."""
    relaxation = closed.relaxation
    return Certificate(
        "sublimation",
        {
            "threshold": closed.threshold,
            "denominator": closed.scale,
            "relaxation": relaxation_data(relaxation, closed.scale),
            "stages": [
                {"multipliers": stage.multipliers.tolist(), "counted": stage.counted} for stage in closed.stages
            ],
        },
    )


def relaxation_data(relaxation: Relaxation, scale: int) -> dict[str, Any]:
    """What the checker rebuilds a relaxation from; the costs to go as well where finding them again takes long."""
    data = {"class_of": relaxation.class_of.tolist(), "multipliers": relaxation.multipliers.tolist()}
    graph, layers = relaxation.graph, len(relaxation.cost)
    size = layers * len(graph.nodes)
    if size * layers < CLAIMED_FROM or size > MOST_CODES // 8:
        return data
    cheapest = int((scale * graph.output - relaxation.multipliers).min())
    rows, row_of = second_differences(relaxation.cost, graph.nodes, graph.depth, cheapest)
    costs, names = rows.astype("<i8", copy=False).tobytes(), row_of.astype("<u4", copy=False).tobytes()
    return data | {"costs": encoded(costs), "row_of": encoded(names)}


@njit(cache=True, nogil=True)
def second_differences(cost, nodes, depth, cheapest):
    """Rows of the costs to go of `nodes`: differences of differences; for all but the first, of what they are above it.

    Costs that are of no meaning become some that compress well. So long as they fall by `fall` with each start to
    come, measured by the first row, they are no more than a start, at least `cheapest`, and what follows, of meaning
    or not. Many profiles have the same.

    Returns
    -------
    the different rows, the first profile's first, and the row of each profile
    """
    layers, profiles = len(cost), len(nodes)
    fall = np.int64(0)
    for j in range(1, layers):
        fall = max(fall, cost[j, 0] - cost[j - 1, 0] - cheapest)
    rows = np.empty((profiles, layers), dtype=np.int64)
    row_of = np.zeros(profiles, dtype=np.uint32)
    size = 1
    while size < 2 * profiles:
        size *= 2
    slot = np.full(size, -1, dtype=np.int32)
    found = 0
    for c in range(profiles):
        p = np.int64(nodes[c])
        before = step = np.int64(0)
        code = np.uint64(0)
        for j in range(layers):
            above = cost[j, p] - (cost[j, 0] if c > 0 else 0) if depth[p] + j < layers else -fall * j
            rows[found, j] = above - before - step
            before, step = above, above - before
            code = (code ^ np.uint64(rows[found, j])) * np.uint64(0x9E3779B97F4A7C15)
            code ^= code >> np.uint64(32)
        if c == 0:
            # All others are differences from this one, so it is shared with none.
            found = 1
            continue
        at = np.int64(code & np.uint64(size - 1))
        while slot[at] >= 0 and not np.array_equal(rows[slot[at]], rows[found]):
            at = (at + 1) & (size - 1)
        if slot[at] < 0:
            slot[at] = found
            found += 1
        row_of[c] = slot[at]
    return rows[:found], row_of


@njit(cache=True, nogil=True)
def codes_of(sizes, gap, killer, shift, last, types):
    """A trace's numbers as varints: of each layer the gap run of each label, then of each child 0 (kept) or dominator
    and shift; the children of layer `last` have no codes. Types of gap runs for which another makes way are counted
    from `types` on, and followed by that.

    A varint has the number's bits in groups of seven, the low ones first, the high bit set on all but the last.
    """
    codes = np.empty(20 * (gap.shape[0] + killer.shape[0]), dtype=np.uint8)
    at = label = child = 0
    for layer in range(sizes.shape[0]):
        for i in range(label, label + sizes[layer, 0]):
            at = put(codes, at, gap[i, 0] + types * (gap[i, 2] >= 0))
            at = put(codes, at, zigzag(gap[i, 1]))
            if gap[i, 2] >= 0:
                at = put(codes, at, gap[i, 2])
                at = put(codes, at, zigzag(gap[i, 3]))
        label += sizes[layer, 0]
        newest = -1
        for c in range(child, child + sizes[layer, 1] * (layer != last)):
            if killer[c] < 0:
                newest += 1
                at = put(codes, at, 0)
            else:
                # A dominator is named by its distance from the newest kept child, which is mostly short.
                at = put(codes, at, 1 + zigzag(newest - killer[c]))
                at = put(codes, at, shift[c])
        child += sizes[layer, 1]
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
