"""The ``search`` certificate: what the label search kept, and why every other label can be left out.

docs/certificates.md states the format and proves that it proves the bound; `kvopt.verify` checks it by
replaying the kept labels in plain integers.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np

from kvopt.exact.search import LayerProof, Pass, Search
from kvopt.model import Certificate


def search_certificate(done: Pass, threshold: int, search: Search) -> Certificate:
    """Certificate of a recorded pass without a cut, for the bound ``done.bound``."""
    prices, relaxation, n = search.prices, search.relaxation, search.instance.n
    # Complete schedules are compared by value: the last layer needs no codes for its children.
    values = [layer_codes(proof, last=depth == n - 1) for depth, proof in enumerate(done.proofs)]
    stream = varints(np.concatenate(values)) if values else b""
    return Certificate(
        "search",
        {
            "threshold": threshold,
            "denominator": prices.denominator,
            "prices": prices.numerators.tolist(),
            "relaxation": None
            if relaxation is None
            else {"class_of": relaxation.class_of.tolist(), "multipliers": relaxation.multipliers.tolist()},
            "layers": done.layers,
            "codes": base64.b64encode(zlib.compress(stream, 6)).decode(),
        },
    )


def layer_codes(proof: LayerProof, last: bool) -> np.ndarray:
    """The layer's numbers: the gap run of each label, then for each child 0 (kept) or dominator and shift."""
    gaps = np.column_stack((proof.gap_kind, zigzag(proof.gap_start))).reshape(-1)
    if last:
        return gaps
    kept = proof.killer < 0
    # A dominator is named by its distance from the newest kept child, which is mostly short.
    distance = np.cumsum(kept) - 1 - proof.killer
    pairs = np.column_stack((np.where(kept, 0, 1 + zigzag(distance)), proof.shift))
    used = np.column_stack((np.ones(len(kept), dtype=bool), ~kept))
    return np.concatenate((gaps, pairs[used]))


def zigzag(values: np.ndarray) -> np.ndarray:
    """Signed to unsigned: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def varints(values: np.ndarray) -> bytes:
    """Unsigned integers as little-endian groups of seven bits, the high bit set on all but the last."""
    values = values.astype(np.uint64)
    columns = []
    rest = values
    while True:
        more = rest >= 128
        columns.append(np.where(more, (rest & np.uint64(127)) | np.uint64(128), rest).astype(np.uint8))
        if not more.any():
            break
        rest = rest >> np.uint64(7)
    table = np.column_stack(columns)
    length = np.ones(len(values), dtype=np.int64)
    for j in range(1, len(columns)):
        length += values >= np.uint64(1) << np.uint64(7 * j)
    return table[np.arange(len(columns)) < length[:, None]].tobytes()
