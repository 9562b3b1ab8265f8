"""The label search: one pass over the layers, with or without a beam.

`kvopt.exact.dp` decides which passes to make; this module makes one. docs/dynamic_programme.md states the
dynamic programme and proves its rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from operator import is_
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from kvopt.bounds.packing import DENOMINATOR, Found, start_gains
from kvopt.bounds.prices import MemoryPrices
from kvopt.errors import TooLargeError
from kvopt.exact import kernels
from kvopt.exact import parts as parting
from kvopt.exact.kernels import Children, Labels, Lineage, Packed, Priced, Relaxed, Rules, Shapes, Trace
from kvopt.exact.parts import Part
from kvopt.exact.relaxation import Relaxation
from kvopt.exact.watch import Watch
from kvopt.model import Instance, IntArray, exact_sum
from kvopt.monitor import Monitor
from kvopt.verify import MOST_PRICED_STARTS

#: Parents expanded in one kernel call, and rows of the array the call fills.
PARENTS_PER_CALL, ROWS_PER_CALL = 512, 1 << 17
#: Bytes of the profiles of so many children as small layers may have, and at the very most of those of one label.
BYTES_PER_CALL, MOST_BYTES_PER_CALL = 1 << 26, 1 << 31
#: Kernel calls that are handed to the threads at once.
BATCH = 16
#: A part of a layer is to take that share of the memory limit; labels hardly have more children than that.
PART_SHARE, MANY_CHILDREN = 0.3, 50
#: A large layer is sampled in so many ranges of so many labels at most, in all at most that part of it.
SAMPLES, SAMPLE, SAMPLED_PART = 32, 128, 1 / 12
#: From so many labels on runs are asked to make way if at most that share of the sample's children is left then.
MOVE_FROM, MOVE_PAYS = 100_000, 0.9
#: Layers of at most so many labels, and so many children, are not worth threads.
SMALL_LABELS, SMALL_CHILDREN = 4_000, 1 << 14
#: Children of small layers after which the limits are looked at.
SHARE = 20_000
#: The same for a pass with a pace: this part of its budget at first, then as many as before.
FIRST_SHARE = 1 / 20
#: Children that no pass makes.
UNLIMITED = 2**62

#: Unit of all bounds: this fraction of a round, or a coarser one for huge instances.
LARGEST_DENOMINATOR = 2**20
#: Types of a profile's cells, with their bytes and their largest values; most requests (16 bits for those of a type).
CELLS = tuple((cell, np.dtype(cell).itemsize, int(np.iinfo(cell).max)) for cell in (np.int8, np.int16, np.int32))
MOST_REQUESTS = int(np.iinfo(np.uint16).max)
#: Types of the columns of `Children`, in their order.
CHILD_COLUMNS = tuple(
    np.int32 if name in ("mark", "parent", "kind", "node", "spot") else np.int64 for name in Children._fields
)
#: Types of the columns of `Lineage`.
LINEAGE = (np.int32, np.int32, np.int64, np.int64)
#: What they take for each child.
COLUMNS_BYTES = sum(np.dtype(kind).itemsize for kind in CHILD_COLUMNS)

#: The search with every rule.
ALL_RULES = Rules()

#: How a step ended, the labels not yet expanded, the lineage with these, whether the beam dropped any, what happened.
Step: TypeAlias = tuple[int, Labels, Lineage, bool, Trace]


class Limits(NamedTuple):
    """What ends or thins a step: the largest bound, labels kept in a layer (-1 for all), children it may make.

    `record` asks for dominators and gap runs; after `share` children of small layers the monitor is looked at. A layer
    that is expected to have fewer children than the one before, which had `last`, may have `falling`.
    """

    limit: int
    beam: int
    record: bool
    most: int
    share: int
    last: int
    falling: int


class Expansion(NamedTuple):
    """What `kernels.expand` needs for a layer, in its order."""

    labels: Labels
    lineage: Lineage
    first: int
    gap: np.ndarray
    left: int
    shapes: Shapes
    priced: Priced
    relaxed: Relaxed
    packed: Packed
    rules: Rules
    limit: int


@dataclass(frozen=True)
class Pace:
    """Part of the layers that a promising pass has finished: `first` at the beginning, `last` at the end of its budget.

    Layers grow and shrink again: a pass that is behind after a tenth of its budget will mostly not end within it.
    """

    first: float
    last: float

    def layers(self, used: float) -> float:
        """The part after that part of the budget."""
        return self.first + (self.last - self.first) * used


@dataclass
class Pass:
    """Outcome of one pass over the layers.

    Attributes
    ----------
    threshold : int
    complete : bool
        No label was dropped by the beam or left unexpanded: every schedule below the threshold was covered.
    bound : int
        A proven lower bound on the optimum when `cut` is False; see `Search.run`.
    cut : bool
        The beam dropped labels.
    generated, kept : int
        Children that passed the rules, and labels kept after dominance.
    last : int
        Children of the last finished layer.
    layers : int
        Finished layers.
    lineage : Lineage
        Of the labels kept.
    traces : list of Trace
        Of the finished layers, in order; with dominators and gap runs when the pass was recorded.
    open : Labels or None
        Labels left unexpanded where the pass was given up.
    bounds : tuple
        `Search.bounds` of then.
    """

    threshold: int
    complete: bool
    bound: int
    cut: bool = False
    generated: int = 0
    kept: int = 0
    last: int = 0
    layers: int = 0
    lineage: Lineage = field(default_factory=lambda: Lineage(*(np.empty(256, dtype=kind) for kind in LINEAGE)))
    traces: list[Trace] = field(default_factory=list)
    open: Labels | None = None
    bounds: tuple[object, ...] = ()

    def add(self, lineage: Lineage, trace: Trace) -> None:
        """Take over finished layers."""
        self.lineage = lineage
        _, children, labels = trace.sizes.sum(axis=0).tolist()
        self.generated += children
        self.kept += labels
        self.layers += len(trace.sizes)
        if len(trace.sizes) > 0:
            self.last = int(trace.sizes[-1, 1])
        self.traces.append(trace)

    def runs(self, label: int) -> tuple[IntArray, IntArray]:
        """Types and starts, in order, of the runs that lead to a label of the last layer."""
        kind, start = [], []
        row = self.kept - int(self.traces[-1].sizes[-1, 2]) + label
        while row >= 0:
            kind.append(self.lineage.kind[row])
            start.append(self.lineage.start[row])
            row = int(self.lineage.parent[row])
        return np.array(kind[::-1]), np.array(start[::-1])


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

    def __init__(self, instance: Instance, prices: MemoryPrices, monitor: Monitor, rules: Rules = ALL_RULES) -> None:
        if not rules.gap and instance.has_arrivals:
            raise ValueError("without the gap rule nothing limits waiting for arrivals")
        self.instance = instance
        self.rules = rules
        #: The same where no run is asked to make way.
        self.still = rules._replace(move=False)
        self.monitor = monitor
        if len(instance.types) * len(prices.numerators) > MOST_PRICED_STARTS:
            # More than the checker takes, and more than the memory of its tables is worth.
            prices = MemoryPrices(prices.numerators[:0], prices.denominator)
        self.prices = within_int64(instance, prices)
        self.relaxation: Relaxation | None = None
        self.packing: Found | None = None
        self.watch = Watch(monitor)
        types = instance.types
        self.width, self.cell, self.rows_per_call = profile_sizes(instance)
        cells = np.zeros(self.width, dtype=self.cell)
        demand, room = kernels.shape_rows(types.prompt, types.output, instance.capacity, cells)
        self.shapes = Shapes(
            demand,
            room,
            types.prompt,
            types.output,
            types.arrival,
            *self._multipliers(),
            instance.capacity,
        )
        price = self.prices.numerators
        self.scale = self.prices.denominator
        self.horizon = len(price)
        self.priced: Priced = kernels.price_tables(self.scale, price, types.prompt, types.output, types.arrival)
        #: What kernel bounds have on top of the true bound, so that they grow by priced idle memory alone.
        self.offset = instance.capacity * int(self.priced.price_sum[-1])
        self.first = int(types.arrival.min())
        self._passed = instance.capacity * int(self.priced.price_sum[min(self.first, self.horizon)])
        #: Kernel bound of the root by memory prices alone.
        ahead = self.priced.least_cost[self.first] if self.first < self.horizon else self.scale * types.output
        self.price_bound = self._passed + int(types.count @ ahead)
        self.rooms: list[Children] = []

    def _multipliers(self) -> tuple[IntArray, bool]:
        """Weights whose sum over the remaining requests identifies them: exactly (mixed radix) if it fits."""
        radix = [1]
        for count in self.instance.types.count.tolist():
            radix.append(radix[-1] * (count + 1))
        if radix[-1] < 2**62:
            return np.array(radix[:-1], dtype=np.int64), True
        return np.random.default_rng(0).integers(-(2**62), 2**62, len(radix) - 1, dtype=np.int64), False

    @cached_property
    def room(self) -> Children:
        """Arrays for the children of small layers."""
        return self._room(min(SMALL_CHILDREN, BYTES_PER_CALL // (self.width * np.dtype(self.cell).itemsize)))

    def _room(self, rows: int) -> Children:
        """Arrays for so many children."""
        return Children(*(np.empty(rows, dtype=kind) for kind in CHILD_COLUMNS))

    def root(self) -> Labels:
        """The label with nothing started, at the first arrival."""
        types = self.instance.types

        def one(value: int, kind: type[np.signedinteger] = np.int64) -> np.ndarray:
            return np.array([value], dtype=kind)

        return Labels(
            window=np.zeros((1, 2 * self.width), dtype=self.cell),
            rem=types.count.astype(np.uint16)[None, :],
            key=one(types.count @ self.shapes.multiplier),
            time=one(self.first),
            latency=one(0),
            base=one(self._passed),
            bound=one(self.root_bound),
            deadline=one(int(kernels.NEVER)),
            mark=one(0, np.int32),
            node=one(0, np.int32),
            lag=one(0),
            gain=one(0 if self.relaxation is None else int(types.count @ self.relaxation.reward)),
            spot=one(0, np.int32),
            banked=one(0 if self.packing is None else self._before_arrivals(self.packing)),
        )

    @property
    def root_bound(self) -> int:
        """Kernel bound of the root (see `ceiling`): the best of memory prices, relaxation and packing."""
        relaxation, packing, best = self.relaxation, self.packing, self.price_bound
        if relaxation is not None:
            relaxed = self.scale * self.instance.n * self.first + int(relaxation.cost[-1, 0])
            relaxed += int(self.instance.types.count @ relaxation.reward)
            best = max(best, relaxed + self.offset)
        if packing is not None:
            gained = packing.rewards.total(self.instance) - packing.swept.best
            best = max(best, self.scale // DENOMINATOR * gained + self.offset)
        return best

    @property
    def all_types_relaxed(self) -> bool:
        """There is a relaxation, and in it every type is a class of its own: it gets no finer."""
        return self.relaxation is not None and len(self.relaxation.multipliers) == len(self.instance.types)

    @property
    def least_priced_cost(self) -> IntArray:
        """Least priced cost of a start of each type, arrivals left aside; shape (K,)."""
        types = self.instance.types
        return np.minimum(self.priced.cost.min(axis=0, initial=2**62), self.scale * (self.horizon + types.output)) + (
            self.scale * types.arrival
        )

    def ceiling(self, bound: int) -> int:
        """Total latency (integer, rounded up) that a kernel bound stands for."""
        return -((self.offset - bound) // self.scale)

    def run(
        self,
        threshold: int,
        beam: int | None = None,
        record: bool = False,
        budget: int | None = None,
        pace: Pace | None = None,
        given_up: Pass | None = None,
    ) -> Pass:
        """One pass: every schedule with total latency below `threshold` is followed unless the beam drops it.

        Better schedules go to the monitor. A pass gives up rather than make more than `budget` children, or twice as
        many from a layer on that has fewer than the one before, or when a look at it shows that it falls behind
        `pace`. Without a cut, `Pass.bound` is a proven lower bound: the least of `threshold`, the complete schedules
        found and, when a limit stopped the pass, the bounds of the labels of the last finished layer.

        A pass that was given up with the same threshold goes on where it ended if it `can_go_on`.
        """
        if record and not self.rules.gap:
            raise ValueError("a proof names the run behind the gap rule of each label")
        limit, n = self.scale * (threshold - 1) + self.offset, self.instance.n
        if given_up is not None and given_up.open is not None and self.can_go_on(given_up):
            labels, done = given_up.open, given_up
            done.bound, done.open = threshold, None
        else:
            labels, done = self.root(), Pass(threshold, complete=False, bound=threshold, bounds=self.bounds)
        relaxed, packed = self._relaxed(), self._packed()
        while done.layers < n and len(labels.key) > 0:
            share = SHARE
            if budget is not None and pace is not None:
                share = min(SHARE, max(int(FIRST_SHARE * budget), done.generated))
            for step in (self._small_layers, self._large_layer):
                falling = UNLIMITED if budget is None else 2 * budget - done.generated
                most = falling if budget is None or done.generated > budget else budget - done.generated
                limits = Limits(limit, -1 if beam is None else beam, record, most, share, done.last, falling)
                state, labels, lineage, cut, trace = step(labels, done, relaxed, packed, limits)
                done.add(lineage, trace)
                done.cut |= cut
                if state != kernels.LARGE:
                    break
            self.monitor.report(layer=done.layers, of=n, labels=len(labels.key), beam=beam or "unlimited")
            unfinished = done.layers < n and len(labels.key) > 0
            slow = budget is not None and pace is not None and done.layers < n * pace.layers(done.generated / budget)
            if state == kernels.EXCEEDED or (unfinished and (slow or self.monitor.stopped)):
                done.bound, done.open = min(threshold, self.ceiling(int(labels.bound.min()))), labels
                return done
        done.complete = not done.cut
        if len(labels.key) > 0:
            leader = int(np.argmin(labels.latency))
            done.bound = min(threshold, int(labels.latency[leader]))
            self.monitor.offer(self.instance.types.starts_of_requests(*done.runs(leader)))
        return done

    @property
    def bounds(self) -> tuple[object, ...]:
        """What labels are bounded by."""
        return self.prices, self.relaxation, self.packing

    def can_go_on(self, given_up: Pass) -> bool:
        """Whether a pass left labels unexpanded, and these were bounded by what the search has now."""
        return given_up.open is not None and all(map(is_, given_up.bounds, self.bounds))

    def _small_layers(self, labels: Labels, done: Pass, relaxed: Relaxed, packed: Packed, limits: Limits) -> Step:
        """Small layers, many in one call; none if the first is large."""
        fixed = (self.shapes, self.priced, relaxed, packed, self.still)
        limit, beam, record, most, share, *_ = limits
        given = (*fixed, limit, beam, record, most, SMALL_LABELS, share)
        return kernels.advance(self.watch.halt, labels, done.lineage, done.kept, *given, self.room)

    def _large_layer(self, labels: Labels, done: Pass, relaxed: Relaxed, packed: Packed, limits: Limits) -> Step:
        """One layer, its labels and then its buckets shared out among threads; in parts where children are many."""
        size = len(labels.key)
        gap = np.full((size, 4), kernels.UNTRIED, dtype=np.int32)
        none = Trace(
            np.zeros((0, 3), dtype=np.int64), gap[:0], np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
        )
        limit, beam, record, most = limits.limit, limits.beam, limits.record, limits.falling
        left = int(labels.rem[0].sum()) - 1
        of_layer = labels, done.lineage, done.kept - size, gap, left
        fixed = Expansion(*of_layer, self.shapes, self.priced, relaxed, packed, self.still, limit)
        exceeded: Step = kernels.EXCEEDED, labels, done.lineage, False, none
        each, cut = sum(column.nbytes for column in labels) // size, False
        fixed, parts = (fixed, 1) if beam >= 0 else self._planned(fixed, limits)
        if parts == 0:
            return exceeded
        if parts == 1:
            found = self._part(fixed, 0, 1, most)
            if found is None:
                return exceeded
            children, killer, shift = found
            made = len(killer)
            kept = kernels.survivors_of(children, killer, beam)
            cut = len(kept) < int((killer < 0).sum())
            killer = kernels.ranks(kept, killer)
            if beam < 0 and not self.monitor.affords(len(kept) * each):
                return exceeded
        else:
            made, thin = 0, list[Part]()
            for part in range(parts):
                thinned = self._thinned(fixed, part, parts, most - made)
                if thinned is None:
                    return exceeded
                made += len(thinned.killer)
                thin.append(thinned)
                self.monitor.report(part=part + 1, of=parts, labels=size, children=made)
            survivors = sum(len(thinned.kept.key) for thinned in thin)
            # What merging takes is given back before there are labels.
            merging, merged = made * parting.MERGING_BYTES, made * parting.MERGED_BYTES
            if not self.monitor.affords(max(merging, merged + survivors * each)):
                return exceeded
            children, killer, shift = parting.merged(thin)
            kept = np.arange(len(children.key))
        trace = Trace(np.array([(size, made, len(kept))]), *((gap, killer, shift) if record else none[1:]))
        started = (column[kept] for column in (children.parent, children.kind, children.start))
        lineage = kernels.extended(done.lineage, done.kept, size, *started)
        return kernels.PAUSED, kernels.next_labels(labels, children, kept, self.shapes), lineage, cut, trace

    def _planned(self, fixed: Expansion, limits: Limits) -> tuple[Expansion, int]:
        """How to expand a layer, by a sample of its labels: whether runs make way, and in how many parts.

        In none where it would have more children than it may: then it is not begun.
        """
        size = len(fixed.labels.key)
        room = 1e9 * PART_SHARE * self.monitor.most_gb / COLUMNS_BYTES
        may_move = self.rules.gap and self.rules.move and size >= MOVE_FROM
        if not may_move and size * MANY_CHILDREN <= min(room, limits.most):
            return fixed, 1
        each = self._children_each(fixed)
        if may_move:
            moving = fixed._replace(rules=self.rules)
            fewer = self._children_each(moving)
            if fewer <= MOVE_PAYS * each:
                fixed, each = moving, fewer
        if each * size > (limits.falling if each * size < limits.last else limits.most):
            return fixed, 0
        divisible = parting.divisible(fixed.labels, len(self.shapes.prompt))
        return fixed, max(1, math.ceil(each * size / room)) if divisible else 1

    def _children_each(self, fixed: Expansion) -> float:
        """Children of a label, on average over a sample."""
        size, gap = len(fixed.labels.key), fixed.gap
        length = max(1, min(SAMPLE, int(SAMPLED_PART * size) // SAMPLES))
        ranges = [(at, min(at + length, size)) for at in range(0, size, max(length, size // SAMPLES))]
        made = self.watch.run(self._expand, [(lo, hi, (*fixed, 0, 1)) for lo, hi in ranges])
        for lo, hi in ranges:
            gap[lo:hi, 2] = kernels.UNTRIED
        return sum(len(chunk.key) for chunks in made for chunk in chunks) / sum(hi - lo for lo, hi in ranges)

    def _thinned(self, fixed: Expansion, part: int, parts: int, most: int) -> Part | None:
        """What is to be kept of a part; all else is given up here, for the next part needs the room."""
        found = self._part(fixed, part, parts, most)
        return None if found is None else parting.thinned(*found, fixed.labels, len(self.shapes.prompt))

    def _part(
        self, fixed: Expansion, part: int, parts: int, most: int
    ) -> tuple[Children, np.ndarray, np.ndarray] | None:
        """Children of a part of the layer in order of generation, their dominators, or -1, and the rounds these wait.

        None after more than `most` children, or when halted.
        """
        labels, left = fixed.labels, fixed.left
        size, made = len(labels.key), 0
        chunks: list[Children] = []
        for lo in range(0, size, PARENTS_PER_CALL * BATCH):
            edges = range(lo, min(lo + PARENTS_PER_CALL * BATCH, size), PARENTS_PER_CALL)
            ranges = [(at, min(at + PARENTS_PER_CALL, size), (*fixed, part, parts)) for at in edges]
            for new in self.watch.run(self._expand, ranges):
                chunks += new
                made += sum(len(chunk.key) for chunk in new)
            if self.watch.halted or made > most:
                return None
        children = joined(chunks)
        killer, shift = np.full(made, -1, dtype=np.int32), np.zeros(made, dtype=np.int64)
        if left == 0:
            kernels.cheapest(children, made, killer)
        elif made > 1:
            order, begin, latest = kernels.buckets_of(children, made, labels.rem, self.shapes)
            arguments = (order, begin, latest, children, labels, self.shapes.demand, left, self.rules, killer, shift)
            pieces = even_ranges(begin, 16 * self.monitor.workers)
            self.watch.run(kernels.dominate, [(self.watch.halt, lo, hi, *arguments) for lo, hi in pieces])
        return None if self.watch.halted else (children, killer, shift)

    def _expand(self, lo: int, hi: int, fixed: tuple[Any, ...]) -> list[Children]:
        """Children of labels lo..hi-1 in order of generation."""
        parts = []
        while True:
            # Rooms are kept, because fresh memory costs more than what is written into it.
            try:
                out = self.rooms.pop()
            except IndexError:
                out = self._room(self.rows_per_call)
            lo, made = kernels.expand(self.watch.halt, lo, hi, *fixed, out)  # type: ignore[call-arg]
            parts.append(Children(*(column[:made].copy() for column in out)))
            self.rooms.append(out)
            if lo >= hi or self.watch.halted:
                return parts

    def _relaxed(self) -> Relaxed:
        """The relaxation as the kernels read it."""
        relaxation = self.relaxation
        if relaxation is None:
            none, table = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int64)
            nowhere = table.astype(np.uint32), table.astype(np.int16)
            return Relaxed(False, none, none, table, none.astype(np.uint32), *nowhere)
        graph = relaxation.graph
        by_type, starts = (relaxation.class_of, relaxation.reward), (graph.later, graph.to, graph.moved)
        return Relaxed(True, *by_type, relaxation.cost, *starts)

    def _packed(self) -> Packed:
        """The packing as the kernels read it."""
        instance, packing = self.instance, self.packing
        if packing is None:
            none, nowhere = np.zeros(0, dtype=np.int64), np.zeros(2, dtype=np.int32)
            reward, to_come = np.zeros(len(instance.types), dtype=np.int64), np.zeros(1, dtype=np.int64)
            graph = nowhere, nowhere[:0], np.zeros(0, dtype=np.int16), nowhere[:1], to_come
            gain = none.reshape(0, len(reward))
            return Packed(-int(kernels.NEVER // 2), none, reward, gain, none.astype(np.bool_), *graph)
        unit, swept = self.scale // DENOMINATOR, packing.swept
        reward, price = unit * packing.rewards.reward, unit * packing.rewards.price
        rounds = max(int(swept.round_of.max(initial=-1)) + 1, len(price))
        gain = start_gains(instance.types, reward, price, self.scale, rounds)
        gaining = np.zeros(rounds, dtype=np.bool_)
        gaining[swept.round_of] = True
        candidates = swept.parent, swept.kind, swept.group, swept.first, swept.round_of
        total = unit * packing.rewards.total(instance)
        return Packed(
            total,
            np.append(price, np.zeros(rounds - len(price), dtype=np.int64)),
            reward,
            gain,
            gaining,
            *kernels.packed_tables(*candidates, gain),
        )

    def _before_arrivals(self, packing: Found) -> int:
        """Price of the memory that idles until the first request arrives."""
        idle = int(packing.rewards.price[: self.first].sum())
        return self.scale // DENOMINATOR * self.instance.capacity * idle


def joined(parts: list[Children]) -> Children:
    """All children in one; the parts are given up one column after the other, for want of room for both."""
    columns = [list(column) for column in zip(*parts, strict=True)]
    parts.clear()
    whole = []
    for column in columns:
        whole.append(np.concatenate(column))
        column.clear()
    return Children(*whole)


def profile_sizes(instance: Instance) -> tuple[int, type[np.signedinteger], int]:
    """Rounds and type of a label's memory profile, and rows of the arrays that a kernel call fills with children.

    Raises
    ------
    TooLargeError
        If there are too many requests, or profiles are too long; found without allocating anything.
    """
    types = instance.types
    if instance.n > MOST_REQUESTS:
        raise TooLargeError(f"dp takes at most {MOST_REQUESTS} requests, got {instance.n}")
    longest = int(types.output.max())
    width = -(-longest // 32) * 32
    # One bit of each cell stays free, which lets the kernels compare many cells at once.
    cell, cell_bytes = next((cell, size) for cell, size, most in CELLS if instance.capacity <= most)
    # One label may have a child for each type and round of waiting.
    most = len(types) * (width + 1)
    if most * width * cell_bytes > MOST_BYTES_PER_CALL:
        raise TooLargeError(
            f"dp keeps a memory profile of {longest} rounds for each label, too long for {len(types)} types; "
            "use --solver starts for few requests, prices for many"
        )
    return width, cell, max(ROWS_PER_CALL, most)


def within_int64(instance: Instance, prices: MemoryPrices) -> MemoryPrices:
    """Prices over a denominator so small that no sum of the search leaves 64 bits.

    Raises
    ------
    TooLargeError
        If not even whole rounds would fit.
    """
    finer = max(0, prices.denominator.bit_length() - LARGEST_DENOMINATOR.bit_length())
    numerators, denominator = prices.numerators >> finer, prices.denominator >> finer
    end = int(instance.arrival.max()) + len(numerators) + exact_sum(instance.output) + 1
    while denominator > 0:
        rounds = denominator * instance.n * end
        if 8 * (rounds + instance.capacity * exact_sum(numerators)) < 2**62:
            return MemoryPrices(numerators, denominator)
        numerators, denominator = numerators >> 1, denominator >> 1
    raise TooLargeError("the dynamic programme would leave 64-bit integers; use --solver prices")


def even_ranges(begin: IntArray, pieces: int) -> list[tuple[int, int]]:
    """Split buckets into ranges of about equal quadratic work."""
    work = np.cumsum(np.diff(begin).astype(np.float64) ** 2)
    cuts = np.searchsorted(work, np.linspace(0, work[-1], pieces + 1)[1:-1])
    edges = np.unique(np.concatenate(([0], cuts + 1, [len(work)]))).tolist()
    return list(pairwise(edges))
