"""One sweep of the packing bound over the rounds: all labels, dominated ones given up for their dominators."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from kvopt.model import Instance, IntArray

#: Most candidates of a sweep: memory, and the length of the certificate.
MOST_CANDIDATES = 4_000_000
#: Candidates that are compared with each other after they have been compared with all labels kept before: at
#: least so many, and at least this part of the round's.
LEAST_CHUNK, CHUNKS = 2048, 16
#: Nominal nanoseconds for a candidate, for a block of kept labels that it is compared with, and for a round.
CANDIDATE_NS, BLOCK_NS, ROUND_NS = 250.0, 40.0, 100_000.0


class Swept(NamedTuple):
    """The candidates and labels of a sweep, in their order.

    Attributes
    ----------
    best : int
        Largest gain of a packing.
    work_ns : float
        What the sweep cost, in nominal nanoseconds.
    parent, kind, group : int32, int16 and int32 arrays with an entry for each candidate
        Candidate to which a start is added, or label where there is none; the type of the start, or -1; the label
        that stands for it in the next round. All are counted within their round.
    first, round_of, labels : int64 arrays of shape (rounds + 1,), (rounds,), (rounds + 2,)
        First candidate of each round in which something starts; these rounds; labels before each, before the
        rounds that follow, and in all.
    """

    best: int
    work_ns: float
    parent: np.ndarray
    kind: np.ndarray
    group: np.ndarray
    first: IntArray
    round_of: IntArray
    labels: IntArray


class Sweeper:
    """The dynamic programme over packings of an instance.

    Parameters
    ----------
    instance : Instance
    workers : int
        Threads; one or two. Results do not depend on it.

    Attributes
    ----------
    spent_ns : float
        Nominal nanoseconds of all sweeps so far, also of those that were given up.
    """

    def __init__(self, instance: Instance, workers: int = 1) -> None:
        types = instance.types
        self.instance, self.types, self.workers, self.spent_ns = instance, types, workers, 0.0
        self.bits = 8 if instance.capacity < 128 else 16
        cells = 64 // self.bits
        self.longest = int(types.output.max())
        self.words = -(-self.longest // cells)
        shapes = np.zeros((len(types), self.words * cells), dtype=np.uint64)
        for k, (s, o) in enumerate(zip(types.prompt.tolist(), types.output.tolist(), strict=True)):
            shapes[k, :o] = s + 1 + np.arange(o)
        place = np.uint64(self.bits) * np.arange(cells, dtype=np.uint64)
        self.shapes = (shapes.reshape(len(types), self.words, cells) << place).sum(axis=2, dtype=np.uint64)
        self.capacity = (np.uint64(instance.capacity) << place).sum(dtype=np.uint64)
        self.high = (np.uint64(1 << (self.bits - 1)) << place).sum(dtype=np.uint64)

    def sweep(self, gains: IntArray, worth: float, most_ns: float, most: int = MOST_CANDIDATES) -> Swept | None:
        """All packings of the starts with a gain, round by round; None where they are too many.

        Parameters
        ----------
        gains : int64 array of shape (R, K)
        worth : float
            Gain that a token held in some later round is worth: decides the order in which dominators are sought.
        most_ns, most : float and int
            Work and candidates after which the sweep is given up.
        """
        from kvopt.bounds.packing_kernels import expand, named

        profile = np.zeros((1, self.words), dtype=np.uint64)
        gained, tokens = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        best, work, now, first, labels, rounds, parts = 0, 0.0, 0, [0], [0, 1], [], []
        with ThreadPoolExecutor(1) as pool:
            for t in np.flatnonzero(gains.max(axis=1, initial=0) > 0).tolist():
                left = most - first[-1]
                given = self.shapes, self.types.volume, self.types.count, gains[t], self.capacity, self.high, self.bits
                profile, gained, tokens, parent, kind = expand(profile, gained, tokens, t - now, *given, left)
                work += ROUND_NS + CANDIDATE_NS * len(gained)
                if len(gained) > left or work > most_ns:
                    self.spent_ns += work
                    return None
                best, now = max(best, int(gained.max())), t + 1
                # A dominator has gained no less and holds no more, so it comes first in this order.
                order = np.argsort(worth * tokens - gained, kind="stable")
                leader, kept_from, blocks, looked = self.dominate(profile, gained, order, pool)
                work += BLOCK_NS * looked
                group, whose = named(leader, kept_from, blocks)
                profile, gained, tokens = profile[whose], gained[whose], tokens[whose]
                parts.append((parent, kind, group))
                rounds.append(t)
                first.append(first[-1] + len(group))
                labels.append(labels[-1] + len(whose))
        work = max(work, ROUND_NS)  # also where nothing gains
        self.spent_ns += work
        parent, kind, group = (
            np.concatenate([part[i] for part in parts]) if parts else np.zeros(0, dtype=dtype)
            for i, dtype in enumerate((np.int32, np.int16, np.int32))
        )
        return Swept(
            best, work, parent, kind, group, np.array(first), np.array(rounds, dtype=np.int64), np.array(labels)
        )

    def dominate(
        self, profile: np.ndarray, gained: IntArray, order: IntArray, pool: ThreadPoolExecutor
    ) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Slot of the dominator of each candidate, candidate in each slot, blocks of slots, and blocks compared.

        Chunks of candidates are first compared with what was kept before, by both threads, then with each other.
        """
        from kvopt.bounds.packing_kernels import BLOCK, marks, search, settle

        count = len(gained)
        mark, family = marks(profile, self.bits, self.longest, self.instance.capacity)
        families, chunk = 1 << int(family).bit_count(), max(LEAST_CHUNK, count // CHUNKS)
        most = count // BLOCK + (count // chunk + 1) * families + 1
        kept_from = np.empty(most * BLOCK, dtype=np.int32)
        kept: tuple[Any, ...] = (
            np.empty((most * BLOCK, self.words), dtype=np.uint64),
            np.empty(most * BLOCK, dtype=np.int64),
            np.empty(most * BLOCK, dtype=np.uint64),
            np.empty(most, dtype=np.uint64),
            np.empty(most, dtype=np.int64),
            self.high,
        )
        size, open_block = np.empty(most, dtype=np.int64), np.full(families, -1)
        leader = np.full(count, -1, dtype=np.int32)
        blocks = looked = 0
        for lo in range(0, count, chunk):
            hi = min(lo + chunk, count)
            if blocks > 0:
                half = (lo + hi) // 2 if self.workers > 1 else lo
                given: tuple[Any, ...] = order, blocks, leader, profile, gained, mark, *kept
                other = pool.submit(search, lo, half, *given) if half > lo else None
                looked += search(half, hi, *given)
                looked += other.result() if other is not None else 0
            given = order, blocks, leader, profile, gained, mark, family, open_block, kept_from, size, *kept
            blocks, compared = settle(lo, hi, *given)
            looked += compared
        return leader, kept_from, blocks, looked
