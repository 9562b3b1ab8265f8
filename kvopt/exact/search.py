"""The label search: one pass over the layers, with or without a beam.

`kvopt.exact.dp` decides which passes to make; this module makes one. docs/dynamic_programme.md states the
dynamic programme and proves its rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from kvopt.bounds.prices import MemoryPrices
from kvopt.errors import TooLargeError
from kvopt.exact import kernels
from kvopt.exact.relaxation import Relaxation, arcs_of
from kvopt.exact.watch import Watch
from kvopt.model import Instance, IntArray, exact_sum
from kvopt.monitor import Monitor
from kvopt.verify import MOST_PRICED_STARTS

#: Parents expanded in one kernel call, and rows of the array the call fills.
PARENTS_PER_CALL, ROWS_PER_CALL = 512, 1 << 17
#: Bytes of profiles such an array takes as a rule, and at the very most.
BYTES_PER_CALL, MOST_BYTES_PER_CALL = 1 << 26, 1 << 31
#: Kernel calls that are handed to the threads at once.
BATCH = 16

#: Unit of all bounds: this fraction of a round, or a coarser one for huge instances.
LARGEST_DENOMINATOR = 2**20
#: Below this many labels a layer is not worth threads.
SHARED_LABELS = 1_000

#: Fields of a child besides its profile, in the order of the kernel's output arguments.
CHILD_FIELDS = {
    "key": np.int64,
    "time": np.int64,
    "value": np.int64,
    "latency": np.int64,
    "base": np.int64,
    "bound": np.int64,
    "deadline": np.int64,
    "mark": np.int32,
    "parent": np.int32,
    "kind": np.int32,
    "start": np.int64,
    "node": np.int32,
    "lag": np.int64,
    "gain": np.int64,
}


@dataclass
class Layer:
    """The kept labels with the same number of started requests, as columns."""

    window: np.ndarray
    rem: np.ndarray
    key: IntArray
    time: IntArray
    latency: IntArray
    base: IntArray
    bound: IntArray
    deadline: IntArray
    mark: np.ndarray
    node: np.ndarray
    lag: IntArray
    gain: IntArray

    def __len__(self) -> int:
        return len(self.key)


@dataclass
class Moves:
    """How each kept label of a layer came about, for reading a schedule back."""

    parent: np.ndarray
    kind: np.ndarray
    start: IntArray


@dataclass
class LayerProof:
    """What became of the children of one layer, in the order of generation.

    Attributes
    ----------
    gap_kind, gap_start : arrays of shape (parents,)
        For each expanded label the run behind its gap rule: type, and start relative to the label's round.
    killer, shift : arrays of shape (children,)
        ``killer[c]`` is -1 for a kept child, else the rank of the kept child that dominates child c after
        waiting ``shift[c]`` rounds.
    """

    gap_kind: IntArray
    gap_start: IntArray
    killer: np.ndarray
    shift: IntArray


@dataclass
class Pass:
    """Outcome of one pass over the layers.

    Attributes
    ----------
    complete : bool
        No label was dropped by the beam or left unexpanded: every schedule below the threshold was covered.
    bound : int
        A proven lower bound on the optimum when `cut` is False; see `Search.run`.
    cut : bool
        The beam dropped labels.
    layers : int
        Layers finished.
    generated, kept : int
        Children that passed the rules, and labels kept after dominance.
    proofs : list of LayerProof
        One for each finished layer when the pass was recorded.
    """

    complete: bool
    bound: int
    cut: bool
    layers: int
    generated: int
    kept: int
    proofs: list[LayerProof] = field(default_factory=list)


@dataclass(frozen=True)
class Rules:
    """Rules of docs/dynamic_programme.md that a search uses: all of them, but for ablations.

    Attributes
    ----------
    time_shift : bool
        Dominance after waiting; otherwise without.
    gap, shift : bool
        Rules 2 and 3. Without rule 2 the search takes backlogs only, and proofs cannot be recorded.
    """

    time_shift: bool = True
    gap: bool = True
    shift: bool = True


class Search:
    """The label search on one instance with fixed memory prices and, where there is one, a relaxation.

    Parameters
    ----------
    instance : Instance
    prices : MemoryPrices
        Their denominator is the unit of all bounds.
    monitor : Monitor
    rules : Rules
    """

    def __init__(self, instance: Instance, prices: MemoryPrices, monitor: Monitor, rules: Rules = Rules()) -> None:
        if not rules.gap and instance.has_arrivals:
            raise ValueError("without the gap rule nothing limits waiting for arrivals")
        self.instance = instance
        self.rules = rules
        self.monitor = monitor
        if len(instance.types) * len(prices.numerators) > MOST_PRICED_STARTS:
            # More than the checker takes, and more than the memory of its tables is worth.
            prices = MemoryPrices(prices.numerators[:0], prices.denominator)
        self.prices = within_int64(instance, prices)
        self.relaxation: Relaxation | None = None
        self.watch = Watch(monitor)
        types = instance.types
        self.width, self.cell, self.rows_per_call = profile_sizes(instance)
        offset = np.arange(self.width)
        tokens = types.prompt[:, None] + 1 + offset
        running = offset < types.output[:, None]
        self.demand = np.where(running, tokens, 0).astype(self.cell)
        self.room = np.where(running, instance.capacity - tokens, instance.capacity).astype(self.cell)
        self.multiplier, self.exact_key = self._multipliers()
        self._price_tables()

    def _multipliers(self) -> tuple[IntArray, bool]:
        """Weights whose sum over the remaining requests identifies them: exactly (mixed radix) if it fits."""
        radix = [1]
        for count in self.instance.types.count.tolist():
            radix.append(radix[-1] * (count + 1))
        if radix[-1] < 2**62:
            return np.array(radix[:-1], dtype=np.int64), True
        return np.random.default_rng(0).integers(-(2**62), 2**62, len(radix) - 1, dtype=np.int64), False

    def _price_tables(self) -> None:
        """Priced cost of each start and its minimum over all later starts, shape (horizon, K)."""
        types, price = self.instance.types, self.prices.numerators
        self.scale = self.prices.denominator
        self.horizon = horizon = len(price)
        plain = np.concatenate(([0], np.cumsum(price)))
        timed = np.concatenate(([0], np.cumsum(price * np.arange(horizon))))
        self.price_sum = plain
        #: What kernel bounds have on top of the true bound, so that they grow by priced idle memory alone.
        self.offset = self.instance.capacity * int(plain[-1])
        start = np.arange(horizon)[:, None]
        end = np.minimum(start + types.output, horizon)
        cost = self.scale * (start + types.output - types.arrival)
        cost = cost + (types.prompt + 1 - start) * (plain[end] - plain[start]) + timed[end] - timed[start]
        after = self.scale * (np.maximum(horizon, types.arrival) + types.output - types.arrival)
        allowed = np.where(start >= types.arrival, cost, np.iinfo(np.int64).max)
        stacked = np.vstack((allowed, after[None, :]))
        self.cost = np.ascontiguousarray(cost)
        self.least_cost = np.ascontiguousarray(np.minimum.accumulate(stacked[::-1])[::-1][:-1])

    def root(self) -> Layer:
        """The label with nothing started, at the first arrival."""
        types = self.instance.types
        first = int(types.arrival.min())
        rem = types.count.astype(np.uint16)[None, :]

        def one(value: int) -> IntArray:
            return np.array([value], dtype=np.int64)

        base = self.instance.capacity * int(self.price_sum[min(first, self.horizon)])
        return Layer(
            window=np.zeros((1, 2 * self.width), dtype=self.cell),
            rem=rem,
            key=(types.count * self.multiplier).sum(keepdims=True),
            time=one(first),
            latency=one(0),
            base=one(base),
            bound=one(self.root_bound),
            deadline=one(int(kernels.NEVER)),
            mark=np.zeros(1, dtype=np.int32),
            node=np.zeros(1, dtype=np.int32),
            lag=one(0),
            gain=one(0 if self.relaxation is None else int((types.count * self.relaxation.reward).sum())),
        )

    @property
    def root_bound(self) -> int:
        """Kernel bound of the root (see `ceiling`): the better of memory prices and relaxation."""
        types = self.instance.types
        first = int(types.arrival.min())
        ahead = self.least_cost[first] if first < self.horizon else self.scale * types.output
        bound = self.instance.capacity * int(self.price_sum[min(first, self.horizon)]) + int(
            (types.count * ahead).sum()
        )
        if self.relaxation is not None:
            relaxed = self.scale * self.instance.n * first + int(self.relaxation.cost[-1, 0])
            relaxed += int((types.count * self.relaxation.reward).sum())
            bound = max(bound, relaxed + self.offset)
        return bound

    @property
    def all_types_relaxed(self) -> bool:
        """There is a relaxation, and in it every type is a class of its own: it gets no finer."""
        return self.relaxation is not None and len(self.relaxation.multipliers) == len(self.instance.types)

    @property
    def least_priced_cost(self) -> IntArray:
        """Least priced cost of a start of each type, arrivals left aside; shape (K,)."""
        types = self.instance.types
        return np.minimum(self.cost.min(axis=0, initial=2**62), self.scale * (self.horizon + types.output)) + (
            self.scale * types.arrival
        )

    def ceiling(self, bound: int) -> int:
        """Total latency (integer, rounded up) that a kernel bound stands for."""
        return -((self.offset - bound) // self.scale)

    def run(self, threshold: int, beam: int | None = None, record: bool = False, budget: int | None = None) -> Pass:
        """One pass: every schedule with total latency below `threshold` is followed unless the beam drops it.

        Better schedules go to the monitor. A pass gives up after more than `budget` children. Without a cut,
        `Pass.bound` is a proven lower bound: the least of `threshold`, the complete schedules found and, when
        a limit stopped the pass, the bounds of the labels of the last finished layer.
        """
        if record and not self.rules.gap:
            raise ValueError("a proof names the run behind the gap rule of each label")
        limit = self.scale * (threshold - 1) + self.offset
        layer = self.root()
        moves: list[Moves] = []
        proofs: list[LayerProof] = []
        generated = kept_labels = 0
        cut = False
        best = threshold
        for depth in range(self.instance.n):
            left = self.instance.n - depth - 1
            most = None if budget is None else budget - generated
            children = self._expand(layer, left, limit, most)
            if children is not None:
                profile, columns = children
                generated += len(profile)
                killer, shift = self._dominance(profile, columns, left, layer)
            if children is None or self.watch.halted:
                open_bound = self.ceiling(int(layer.bound.min()))
                return Pass(False, min(best, open_bound), cut, depth, generated, kept_labels, proofs)
            survivors = np.flatnonzero(killer < 0)
            if beam is not None and len(survivors) > beam:
                cut = True
                order = np.argsort(columns["bound"][survivors], kind="stable")[:beam]
                survivors = np.sort(survivors[order])
            if record:
                proofs.append(LayerProof(*self._gap_runs(layer), rank_among(survivors, killer), shift))
            moves.append(Moves(columns["parent"][survivors], columns["kind"][survivors], columns["start"][survivors]))
            kept_labels += len(survivors)
            if len(survivors) == 0:
                return Pass(not cut, best, cut, depth + 1, generated, kept_labels, proofs)
            if left == 0:
                leader = int(np.argmin(columns["latency"][survivors]))
                best = min(best, int(columns["latency"][survivors[leader]]))
                self.monitor.offer(self._starts(moves, leader))
                break
            layer = self._next_layer(layer, columns, survivors)
            self.monitor.report(layer=depth + 1, of=self.instance.n, labels=len(layer), beam=beam or "unlimited")
        return Pass(not cut, best, cut, len(moves), generated, kept_labels, proofs)

    def _expand(
        self, layer: Layer, left: int, limit: int, most: int | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
        """All children of a layer in order of generation; None when stopped, or when there are more than `most`."""
        parts: list[list[np.ndarray]] = []
        made = 0
        step = PARENTS_PER_CALL * BATCH if len(layer) >= SHARED_LABELS else SHARED_LABELS
        for lo in range(0, len(layer), step):
            hi = min(lo + step, len(layer))
            edges = range(lo, hi, PARENTS_PER_CALL)
            ranges = [(layer, at, min(at + PARENTS_PER_CALL, hi), left, limit) for at in edges]
            if len(layer) < SHARED_LABELS:
                results = [self._expand_range(*bounds) for bounds in ranges]
            else:
                results = self.watch.run(self._expand_range, ranges)
            new = [part for result in results for part in result]
            made += sum(len(part[0]) for part in new)
            if self.watch.halted or self.monitor.stopped or (most is not None and made > most):
                return None
            parts += new
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return columns[0], dict(zip(CHILD_FIELDS, columns[1:], strict=True))

    def _expand_range(self, layer: Layer, lo: int, hi: int, left: int, limit: int) -> list[list[np.ndarray]]:
        types = self.instance.types
        parts: list[list[np.ndarray]] = []
        rows = self.rows_per_call
        while True:
            out: list[np.ndarray] = [np.empty((rows, self.width), dtype=self.cell)]
            out += [np.empty(rows, dtype=kind) for kind in CHILD_FIELDS.values()]
            lo, made = kernels.expand(  # type: ignore[call-arg]
                self.watch.halt,
                lo,
                hi,
                layer.window,
                layer.rem,
                layer.key,
                layer.time,
                layer.latency,
                layer.base,
                layer.deadline,
                layer.mark,
                left,
                self.demand,
                self.room,
                types.prompt,
                types.output,
                types.arrival,
                self.multiplier,
                self.instance.capacity,
                self.scale,
                self.horizon,
                self.prices.numerators,
                self.price_sum,
                self.cost,
                self.least_cost,
                limit,
                *self._relaxation_arguments(left),
                layer.node,
                layer.lag,
                layer.gain,
                self.rules.gap,
                self.rules.shift,
                *out,
            )
            parts.append([column[:made].copy() for column in out])
            if lo >= hi or self.watch.halted:
                return parts

    def _relaxation_arguments(self, left: int) -> tuple[object, ...]:
        relaxation = self.relaxation
        if relaxation is None:
            none = np.zeros(0, dtype=np.int64)
            small = np.zeros(0, dtype=np.int32)
            return False, none, none, none, none, small, small, np.zeros(0, dtype=np.int16)
        graph = arcs_of(relaxation.graph)
        return True, relaxation.class_of, relaxation.reward, relaxation.cost[left], *graph

    def _dominance(
        self, profile: np.ndarray, columns: dict[str, np.ndarray], left: int, layer: Layer
    ) -> tuple[np.ndarray, IntArray]:
        """Dominator (or -1) and shift of each child."""
        size = len(profile)
        killer, shift = np.full(size, -1, dtype=np.int32), np.zeros(size, dtype=np.int64)
        if size < 2:
            return killer, shift
        if left == 0:
            best = int(np.argmin(columns["latency"]))
            killer[:] = best
            killer[best] = -1
            return killer, shift
        origin = (columns["parent"], columns["kind"], layer.rem)
        bucket, buckets, first = kernels.group(columns["key"], self.exact_key, *origin)
        order, begin = kernels.by_bucket(bucket, buckets)
        latest = kernels.latest_arrivals(first, *origin, self.instance.types.arrival)

        columns_read = [columns[name] for name in ("value", "time", "mark")]
        bits, longest = 8 * profile.itemsize, kernels.NEVER if self.rules.time_shift else 0
        arguments = (order, begin, profile, *columns_read, left, latest, bits, longest, killer, shift)
        if size < SHARED_LABELS:
            kernels.dominate(self.watch.halt, 0, buckets, *arguments)
        else:
            pieces = even_ranges(begin, 16 * self.monitor.workers)
            self.watch.run(kernels.dominate, [(self.watch.halt, lo, hi, *arguments) for lo, hi in pieces])
        return killer, shift

    def _next_layer(self, layer: Layer, columns: dict[str, np.ndarray], survivors: np.ndarray) -> Layer:
        parent, kind = columns["parent"][survivors], columns["kind"][survivors]
        window = np.zeros((len(survivors), 2 * self.width), dtype=self.cell)
        kernels.child_windows(
            survivors,
            columns["parent"],
            columns["kind"],
            columns["start"],
            columns["time"],
            layer.window,
            layer.time,
            self.demand,
            window,
        )
        rem = layer.rem[parent]
        rem[np.arange(len(survivors)), kind] -= 1
        names = ("key", "time", "latency", "base", "bound", "deadline", "mark", "node", "lag", "gain")
        return Layer(window=window, rem=rem, **{name: columns[name][survivors] for name in names})

    def _gap_runs(self, layer: Layer) -> tuple[IntArray, IntArray]:
        types = self.instance.types
        kind, at = np.zeros(len(layer), dtype=np.int64), np.zeros(len(layer), dtype=np.int64)
        kernels.gap_runs(layer.window, layer.rem, layer.time, self.room, types.output, types.arrival, kind, at)
        return kind, at

    def _starts(self, moves: list[Moves], label: int) -> IntArray:
        """Start rounds of all requests, read back from a complete label."""
        runs = []
        for move in reversed(moves):
            runs.append((int(move.kind[label]), int(move.start[label])))
            label = int(move.parent[label])
        kind, start = np.array(runs[::-1], dtype=np.int64).T
        return self.instance.types.starts_of_requests(kind, start)


def profile_sizes(instance: Instance) -> tuple[int, type[np.signedinteger], int]:
    """Rounds and type of a label's memory profile, and rows of the array that a kernel call fills with profiles.

    Raises
    ------
    TooLargeError
        If there are too many requests, or profiles are too long; found without allocating anything.
    """
    types = instance.types
    if instance.n > np.iinfo(np.uint16).max:
        raise TooLargeError(f"dp takes at most {np.iinfo(np.uint16).max} requests, got {instance.n}")
    longest = int(types.output.max())
    width = -(-longest // 32) * 32
    # One bit of each cell stays free, which lets the kernels compare many cells at once.
    cell = next(cell for cell in (np.int8, np.int16, np.int32) if instance.capacity <= np.iinfo(cell).max)
    # One label may have a child for each type and round of waiting.
    size = width * np.dtype(cell).itemsize
    rows = max(min(ROWS_PER_CALL, BYTES_PER_CALL // size), len(types) * (width + 1))
    if rows * size > MOST_BYTES_PER_CALL:
        raise TooLargeError(
            f"dp keeps a memory profile of {longest} rounds for each label, too long for {len(types)} types; "
            "use --solver cp-sat-starts for few requests, prices for many"
        )
    return width, cell, rows


def within_int64(instance: Instance, prices: MemoryPrices) -> MemoryPrices:
    """Prices over a denominator so small that no sum of the search leaves 64 bits.

    Raises
    ------
    TooLargeError
        If not even whole rounds would fit.
    """
    numerators, denominator = prices.numerators, prices.denominator
    end = int(instance.arrival.max()) + len(numerators) + exact_sum(instance.output) + 1
    while denominator > 0:
        rounds = denominator * instance.n * end
        if denominator <= LARGEST_DENOMINATOR and 8 * (rounds + instance.capacity * exact_sum(numerators)) < 2**62:
            return MemoryPrices(numerators, denominator)
        numerators, denominator = numerators >> 1, denominator >> 1
    raise TooLargeError("the dynamic programme would leave 64-bit integers; use --solver prices")


def rank_among(survivors: np.ndarray, killer: np.ndarray) -> np.ndarray:
    """Dominators given by their rank among the kept children; -1 stays -1."""
    rank = np.full(len(killer) + 1, -1, dtype=np.int64)
    rank[survivors] = np.arange(len(survivors))
    return rank[killer]


def even_ranges(begin: IntArray, pieces: int) -> list[tuple[int, int]]:
    """Split buckets into ranges of about equal quadratic work."""
    work = np.cumsum(np.diff(begin).astype(np.float64) ** 2)
    cuts = np.searchsorted(work, np.linspace(0, work[-1], pieces + 1)[1:-1])
    edges = np.unique(np.concatenate(([0], cuts + 1, [len(work)]))).tolist()
    return list(pairwise(edges))
