"""A large layer in parts: children that leave the same requests fall into one part, so dominance needs no other.

All labels are expanded once for each part, and only children that survive are kept until the next: a layer then takes
the memory of its labels and of one part's children. At the end all are put in order of generation, which is what a
certificate counts by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvopt.exact.kernels import Children, Labels

#: Bytes that `merged` takes for each child, at most, and those that it returns.
MERGING_BYTES, MERGED_BYTES = 64, 12


@dataclass(frozen=True)
class Part:
    """Children of one part after dominance.

    Attributes
    ----------
    place : int64 array
        Sorts the children of all parts in order of generation.
    killer, shift : int32 and int64 arrays
        By child: its dominator in this part, or -1, and the rounds that waits.
    kept : Children
        Those that none dominates.
    """

    place: np.ndarray
    killer: np.ndarray
    shift: np.ndarray
    kept: Children


def thinned(children: Children, killer: np.ndarray, shift: np.ndarray, labels: Labels, kinds: int) -> Part:
    """What is to be kept of a part's children, in a layer for which `divisible` holds."""
    later = children.start - labels.time[children.parent]
    place = (children.parent.astype(np.int64) * waits(labels) + later) * kinds + children.kind
    kept = np.flatnonzero(killer < 0)
    return Part(place, killer, shift, Children(*(column[kept] for column in children)))


def waits(labels: Labels) -> int:
    """More rounds than a label may wait for its next start."""
    return labels.window.shape[1] + 1


def divisible(labels: Labels, kinds: int) -> bool:
    """Whether the places of a layer's children fit into 64 bits."""
    return len(labels.key) * waits(labels) * kinds < 2**63


def merged(parts: list[Part]) -> tuple[Children, np.ndarray, np.ndarray]:
    """The kept children of all parts, and of each child its dominator's rank among them, or -1, and the shift.

    All in order of generation. The parts are given up on the way, for want of room for both.
    """
    first = np.cumsum([0] + [len(part.killer) for part in parts])
    killer = np.concatenate(
        [np.where(part.killer < 0, -1, part.killer + at) for part, at in zip(parts, first[:-1], strict=True)]
    )
    order = np.argsort(np.concatenate([part.place for part in parts]), kind="stable")
    shift = np.concatenate([part.shift for part in parts])[order]
    columns = (list(column) for column in zip(*(part.kept for part in parts), strict=True))
    parts.clear()
    survives = killer < 0
    # By child: how many kept ones its part, and those before, have before it.
    row = np.cumsum(survives) - 1
    kept = order[survives[order]]
    rows = row[kept]
    row[kept] = np.arange(len(kept))
    killer = killer[order]
    ranks = np.where(killer < 0, -1, row[killer]).astype(np.int32)
    whole = []
    for column in columns:
        whole.append(np.concatenate(column)[rows])
        column.clear()
    return Children(*whole), ranks, shift
