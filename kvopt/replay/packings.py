"""Packing certificates followed by kernels: candidates and labels, round by round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kvopt import verify
from kvopt.replay.limits import Unfit, cell_type, require_small

#: Most candidates of all rounds, where partial schedules will be followed along them.
MOST_FOLLOWED = 1 << 26


class Tree(NamedTuple):
    """Candidates of all rounds, for partial schedules to follow.

    Attributes
    ----------
    next_place, to_come : int64 arrays of shape (C + 1,)
        What becomes of a candidate in the next round that has any, and the most that further starts gain; the last
        is the end.
    first : int64 array of shape (C + 2,)
        Candidates with one more start than x are rows `first[x]` to `first[x + 1]` - 1 of the next two.
    kind, child : int64 arrays
    """

    next_place: np.ndarray
    to_come: np.ndarray
    first: np.ndarray
    kind: np.ndarray
    child: np.ndarray


@njit(cache=True, nogil=True)
def moved(labels, gains, size, by, cells, gain):
    """Write labels into the first candidates of a round, so many rounds later."""
    width = labels.shape[1]
    for x in range(size):
        for j in range(width):
            cells[x, j] = labels[x, j + by] if j + by < width else 0
        gain[x] = gains[x]


@njit(cache=True, nogil=True)
def all_candidates(size, starts, prompt, output, capacity, cells, gain, parent, kind):
    """Add starts to the labels at the beginning of a round; how many candidates there are, -1 if there is no room.

    `starts` are rows of a type, what a start gains, and how many there may be; `parent` and `kind` tell of each
    candidate the one before its last start, or -1, and that start's type.
    """
    parent[:size], kind[:size] = -1, 0
    for s in range(len(starts)):
        k, more = starts[s, 0], starts[s, 1]
        begin, end = 0, size
        for _ in range(starts[s, 2]):
            for x in range(begin, end):
                over = False
                for j in range(output[k]):
                    over |= cells[x, j] + prompt[k] + 1 + j > capacity
                if over:
                    continue
                if size == len(cells):
                    return -1
                for j in range(cells.shape[1]):
                    cells[size, j] = cells[x, j]
                for j in range(output[k]):
                    cells[size, j] += prompt[k] + 1 + j
                gain[size], parent[size], kind[size] = gain[x] + more, x, k
                size += 1
            if size == end:
                break
            begin, end = end, size
    return size


@njit(cache=True, nogil=True)
def merged(codes, at, size, cells, gain, labels, gains, group):
    """Put each candidate to the label that stands for it a round later: how many labels, and where codes go on.

    -1 where codes end, or name no label. `group` becomes the label of each candidate.
    """
    width, found = cells.shape[1], 0
    for x in range(size):
        # As `kvopt.replay.labels.number_at`: Numba's cache does not notice a changed kernel in another file.
        code, shift = np.int64(0), 0
        while True:
            if at == len(codes) or shift > 55:
                return -1, at
            byte = np.int64(codes[at])
            at += 1
            code |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if code > found:
            return -1, at
        i = found if code == 0 else found - code
        group[x] = i
        if code == 0:
            for j in range(width):
                labels[i, j] = cells[x, j + 1] if j + 1 < width else 0
            gains[i] = gain[x]
            found += 1
        else:
            for j in range(width - 1):
                labels[i, j] = min(labels[i, j], cells[x, j + 1])
            labels[i, width - 1] = 0
            gains[i] = max(gains[i], gain[x])
    return found, at


@njit(cache=True, nogil=True)
def looked_back(parent, kind, more, next_place):
    """`to_come`, `first`, `kind` and `child` of `Tree`; `more` is what the last start of a candidate gains."""
    end = len(parent)
    to_come, first = np.zeros(end + 1, np.int64), np.zeros(end + 2, np.int64)
    for x in range(end - 1, -1, -1):
        next_place[x] = min(next_place[x], end)
        to_come[x] = max(to_come[x], to_come[next_place[x]])
        if parent[x] >= 0:
            to_come[parent[x]] = max(to_come[parent[x]], to_come[x] + more[x])
            first[parent[x] + 2] += 1
    for x in range(end):
        first[x + 2] += first[x + 1]
    kinds, children = np.empty(first[end + 1], np.int64), np.empty(first[end + 1], np.int64)
    for x in range(end):
        if parent[x] >= 0:
            place = first[parent[x] + 1]
            kinds[place], children[place] = kind[x], x
            first[parent[x] + 1] += 1
    return to_come, first, kinds, children


def followed(problem: verify.Problem, certificate: Mapping[str, Any]) -> int | None:
    """The bound that the certificate proves, or None if a rule does not hold.

    Raises
    ------
    kvopt.verify.Refusal, Unfit
        The first if something is malformed.
    """
    packing = verify.Packing(problem, certificate)
    return None if swept(packing, problem) is None else packing.value


def swept(packing: verify.Packing, problem: verify.Problem, *, followed: bool = False) -> Tree | None:
    """Do what `kvopt.verify.Packing.sweep` does, to ``packing.most`` and ``packing.rounds``; None if a code is wrong.

    The tree is empty unless `followed`.
    """
    prompt, output, _, _ = (np.array(column, np.int64) for column in zip(*problem.types, strict=True))
    width, capacity = max(problem.output), problem.capacity
    n = len(problem.output)
    largest = max(packing.rewards, default=0)
    require_small(packing.total, packing.scale * n * largest)
    dtype = cell_type(capacity, width)
    allowance = verify.Allowance((capacity.bit_length() + 1) * width)
    most = min(verify.MOST_CANDIDATES, verify.MOST_BYTES // 4 // allowance.profile)
    codes = np.frombuffer(verify.unpacked(packing.codes), np.uint8)
    room = 1 << 12
    labels, gains, size = np.zeros((1, width), dtype), np.zeros(1, np.int64), 1
    now = at = base = 0
    columns: list[tuple[np.ndarray, ...]] = []
    for t, starts in packing.starts(problem, capacity.bit_length() + 1):
        table = np.array([start[:3] for start in starts], np.int64)
        while True:
            cells, gain = np.empty((room, width), dtype), np.empty(room, np.int64)
            parent, kind, group = (np.empty(room, np.int64) for _ in range(3))
            found = -1
            if size <= room:
                moved(labels, gains, size, t - now, cells, gain)
                found = all_candidates(size, table, prompt, output, capacity, cells, gain, parent, kind)
            if found >= 0:
                break
            room *= 2
            if room > 2 * most:
                raise Unfit
        if found > most:
            raise Unfit
        allowance.take(found)
        labels, gains = np.empty((found, width), dtype), np.empty(found, np.int64)
        size, at = merged(codes, at, found, cells, gain, labels, gains, group)
        if size < 0:
            return None
        base += found
        if followed:
            if base > MOST_FOLLOWED:
                raise Unfit
            more = np.zeros(len(problem.types), np.int64)
            more[table[:, 0]] = packing.scale * table[:, 1]
            parents = np.where(parent[:found] < 0, -1, parent[:found] + base - found)
            columns.append((parents, kind[:found].copy(), more[kind[:found]], base + group[:found]))
            packing.rounds.add(t)
        now = t + 1
    if (codes[at:] < 128).any():
        return None
    packing.most = packing.scale * int(gains[:size].max())
    none = np.zeros(0, np.int64)
    parent, kind, more, next_place = map(np.concatenate, zip((none,) * 4, *columns, strict=True))
    behind = looked_back(parent, kind, more, next_place)
    return Tree(np.append(next_place, len(parent)), *behind)
