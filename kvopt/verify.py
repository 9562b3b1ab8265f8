"""The checker: schedules, objectives, bounds and certificates, in plain integers and fractions.

This file needs nothing but Python's standard library, not even the rest of kvopt: who does not trust kvopt
can copy it, read it in one sitting and run ``python verify.py INSTANCE RESULT``. It trusts no figure of a
result file. The total latency is recomputed, every round's memory is tested, and a lower bound counts only
where its certificate yields exactly the number claimed. docs/certificates.md says why each certificate
proves its bound.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import struct
import sys
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush, nsmallest
from itertools import accumulate, chain, pairwise, permutations, repeat
from operator import add, mul
from typing import Any, Optional

PROVED = "PROVED"
FEASIBLE = "FEASIBLE"
REFUSED = "REFUSED"
NOTHING = "NOTHING"

#: Limits on the prices of a certificate: size of an integer, number of rounds.
LARGEST = 1 << 62
MOST_ROUNDS, MOST_ROUNDS_NOT_CONVEX = 1 << 26, 1 << 22
#: Longest output, most unpacked bytes of codes, and most types times priced rounds in a search certificate.
MOST_OUTPUT, MOST_CODES, MOST_PRICED_STARTS = 20_000, 1 << 30, 1 << 22
#: Most starts and credits of a room certificate, each once for the memory and once for each level.
MOST_ROOM_STEPS = 1 << 24
#: Claimed costs are fields of 64 bits, the two highest free, with so much for a cost of zero.
FIELD, ZERO = (1 << 64) - 1, 1 << 61
#: Most levels of a room certificate.
MOST_LEVELS = 64
#: Most arcs between states in a sublimation certificate.
MOST_ARCS = 1 << 24
#: What relaxations and packings may take: steps of up to half a microsecond, and bytes that are kept.
MOST_STEPS, MOST_BYTES = 1 << 32, 4 << 30
#: Most candidates of one round in a packing certificate.
MOST_CANDIDATES = 1 << 22
#: Most requests in a tree certificate, most cuts on a path of the tree, and most nodes that wait for their turn.
MOST_TREE_REQUESTS, MOST_CUTS, MOST_PENDING = 60, 10_000, 4_096
#: Most requests of an instance.
MOST_REQUESTS = 10_000_000
#: Bits by which convex prices are finer than the prices of a certificate.
FINER = 32
#: Above every cost that numbers up to `LARGEST` can add up to.
BEYOND = 1 << 160
#: Orders of the three cases of a pair, as numbered in a tree certificate.
ORDERS = tuple(permutations(range(3)))

#: Least differences of starts, and rows (factors, right side), known at a node of a tree.
Known = list[list[int]]
Cuts = tuple[tuple[list[int], int], ...]


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold, where, and by how much."""

    rule: str
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.where}: {self.detail}"


@dataclass(frozen=True)
class Verification:
    """What could be verified of a result.

    Attributes
    ----------
    verdict : str
        ``PROVED``: schedule and objective are right and the certificate yields the claimed lower bound;
        ``FEASIBLE``: schedule and objective are right, the bound is not certified;
        ``NOTHING``: there is neither a schedule nor a certificate;
        ``REFUSED``: some claim is wrong, see `violations`.
    total_latency : int or None
        Recomputed.
    lower_bound : int or None
        The certified bound, None where no certificate was checked.
    violations : tuple of Violation
    """

    verdict: str
    total_latency: int | None
    lower_bound: int | None
    violations: tuple[Violation, ...] = ()

    @property
    def optimal(self) -> bool:
        """Whether the schedule is proved optimal."""
        return self.verdict == PROVED and self.total_latency is not None and self.total_latency == self.lower_bound


class Refusal(Exception):
    """A certificate does not prove what it should."""


class Allowance:
    """What may still be spent on a certificate, as a few numbers can ask for years and for all memory there is.

    Parameters
    ----------
    width : int
        Bits of the longest memory profile: a step with a long one counts more.
    """

    def __init__(self, width: int) -> None:
        #: Steps that one operation on a profile counts, and bytes of a profile that is kept with what belongs to it.
        self.weight, self.profile = 1 + (width >> 13), 150 + width // 7
        self.steps, self.bytes = MOST_STEPS, MOST_BYTES

    def take(self, steps: int, kept: int = 0) -> None:
        """Spend operations on profiles, and bytes."""
        self.steps -= steps * self.weight
        self.bytes -= kept
        if self.steps < 0 or self.bytes < 0:
            raise Refusal("the certificate takes too much time or memory to check")


@dataclass(frozen=True)
class Problem:
    """An instance as plain lists; `types` are the distinct (prompt, output, arrival), sorted, with counts."""

    capacity: int
    prompt: list[int]
    output: list[int]
    arrival: list[int]

    @classmethod
    def of(cls, instance: Any) -> Problem:
        """The plain form of a `kvopt.model.Instance`."""
        return cls(instance.capacity, instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist())

    @property
    def types(self) -> list[tuple[int, int, int, int]]:
        """Sorted list of (prompt, output, arrival, count)."""
        count: dict[tuple[int, int, int], int] = {}
        for request in zip(self.prompt, self.output, self.arrival, strict=True):
            count[request] = count.get(request, 0) + 1
        return [(*request, count[request]) for request in sorted(count)]

    @property
    def digest(self) -> str:
        """Hash of capacity and requests in order, as in result files."""
        text = "".join(f"{s} {o} {a}\n" for s, o, a in zip(self.prompt, self.output, self.arrival, strict=True))
        return "sha256:" + hashlib.sha256(f"{self.capacity}\n{text}".encode()).hexdigest()


# ---------------------------------------------------------------- schedules


def schedule_violations(
    capacity: int, prompt: Sequence[int], output: Sequence[int], arrival: Sequence[int], starts: Sequence[int]
) -> list[Violation]:
    """Every start before its arrival, and every completion round in which memory exceeds the capacity.

    Memory grows between completions, so its local peaks are the last rounds of running requests; testing
    those is testing every round. O(n log n).

    >>> schedule_violations(5, [1, 1], [3, 3], [0, 0], [0, 0])[0].detail
    '8 tokens, 3 above the capacity 5'
    """
    if len(starts) != len(output):
        return [Violation("one start for each request", "starts", f"{len(starts)} starts for {len(output)} requests")]
    found = [
        Violation("start >= arrival", f"request {i}", f"starts {a - p} rounds before its arrival in round {a}")
        for i, (p, a) in enumerate(zip(starts, arrival, strict=True))
        if p < a
    ]
    # In round r a running request holds (s - p + 1) + r tokens.
    begin = sorted((p, s - p + 1) for p, s in zip(starts, prompt, strict=True))
    end = sorted((p + o, s - p + 1) for p, o, s in zip(starts, output, prompt, strict=True))
    running = level = i = 0
    for k, (completion, base) in enumerate(end):
        while i < len(begin) and begin[i][0] < completion:
            level += begin[i][1]
            running += 1
            i += 1
        last = completion - 1
        if k == 0 or end[k - 1][0] != completion:
            held = level + running * last
            if held > capacity:
                excess = f"{held} tokens, {held - capacity} above the capacity {capacity}"
                found.append(Violation("memory <= capacity", f"round {last}", excess))
        level -= base
        running -= 1
    return found


def total_latency(output: Sequence[int], arrival: Sequence[int], starts: Sequence[int]) -> int:
    """Sum of start + output - arrival.

    >>> total_latency([1, 1, 3, 3], [0, 0, 0, 0], [0, 1, 0, 3])
    12
    """
    return sum(starts) + sum(output) - sum(arrival)


# ---------------------------------------------------------------- certificates


def check_volume(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Bound by ranks: the k-th completion is late for want of rounds, or for want of memory.

    It is no earlier than the k-th smallest arrival + output, and no earlier than the k-th completion of a
    machine that serves M token-rounds a round, always the arrived request with the least volume remaining:
    no schedule completes more requests by any round than that (Schrage, Oper. Res. 16, 1968).
    """
    alone = sorted(a + o for a, o in zip(problem.arrival, problem.output, strict=True))
    ranks = zip(alone, memory_completions(problem), strict=True)
    return sum(max(pair) for pair in ranks) - sum(problem.arrival)


def memory_completions(problem: Problem) -> list[int]:
    """Sorted completion rounds of shortest-remaining-volume service; the clock counts token-rounds offered."""
    requests = sorted(
        (a * problem.capacity, s * o + o * (o + 1) // 2)
        for s, o, a in zip(problem.prompt, problem.output, problem.arrival, strict=True)
    )
    waiting: list[int] = []
    completions = []
    clock = 0
    for arrival, volume in requests:
        while waiting and clock + waiting[0] <= arrival:
            clock += heappop(waiting)
            completions.append(clock)
        if waiting:
            waiting[0] -= arrival - clock  # the least stays the least
        clock = arrival
        heappush(waiting, volume)
    completions += accumulate(sorted(waiting)[1:], initial=clock + min(waiting))
    return [-(-completion // problem.capacity) for completion in completions]


def check_prices(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Lagrangian bound of memory prices: the least priced cost of every request, less the price of all memory.

    ``TEL >= sum_i min_p [p + o_i - a_i + sum_j price[p+j-1] (s_i + j)] - M sum_t price[t]``, prices in
    units of 1 / denominator. They come as drops from round to round, run-length coded.
    """
    denominator, prices, convex = read_prices(certificate)
    total = -problem.capacity * prices.sums(0)[1]
    start = 0
    for s, o, a, count in sorted(problem.types, key=lambda kind: (2 * kind[0] + kind[1] + 1) * kind[1]):
        start, least = least_cost(s, o, a, prices, convex, denominator, start)
        total += count * (least + (o - a) * denominator)
    return -(-total // denominator)


def read_prices(certificate: Mapping[str, Any]) -> tuple[int, Prices, Prices]:
    """Denominator, prices, and convex prices nowhere above these, in units finer by `FINER` bits."""
    denominator = whole(certificate, "denominator", 1)
    drops = whole_list(certificate, "drops", -LARGEST)
    rounds = whole_list(certificate, "rounds", 1)
    if len(drops) != len(rounds) or sum(rounds) > MOST_ROUNDS:
        raise Refusal(f"drops and rounds must be of equal length, and rounds sum to {MOST_ROUNDS} at most")
    prices = Prices(drops, rounds)
    if prices.least < 0:
        raise Refusal("a price is negative")
    # In a finer unit the drops of the convex prices may be rounded down to integers.
    return denominator, prices, Prices(*convex_drops([drop << FINER for drop in drops], rounds))


def least_cost(s: int, o: int, a: int, prices: Prices, convex: Prices, unit: int, guess: int) -> tuple[int, int]:
    """A start that is best for the convex prices, and the least start + priced memory for the true ones.

    Convex prices make the cost convex in the start (its slope is a sum of drops with fixed weights), so the
    starts that could undercut the best one for convex prices lie around it. The guess only saves time.
    """

    def below(p: int) -> int:
        return p * (unit << FINER) + convex.memory(s, o, p)

    best = first_true(lambda p: (unit << FINER) + convex.rise(s, o, p) >= 0, a, guess)
    least = best * unit + prices.memory(s, o, best)
    if below(best) < least << FINER:
        first = first_true(lambda p: below(p) < least << FINER, a, best)
        end = first_true(lambda p: below(p) >= least << FINER, best, best)
        least = min(least, prices.least_cost(s, o, first, end, unit))
    return best, least


class Prices:
    """Prices of rounds 0, 1, ... that drop by ``drops[i]`` after each of ``rounds[i]`` rounds, down to zero."""

    def __init__(self, drops: list[int], rounds: list[int]) -> None:
        self.drops, self.rounds = drops, rounds
        self.begin = list(accumulate(rounds, initial=0))
        price = once = twice = self.least = 0
        #: For each segment: drop, and price, sum of prices and sum of these sums in the round after it.
        self.segments = [(0, 0, 0, 0)]
        for drop, length in zip(reversed(drops), reversed(rounds), strict=True):
            self.segments.append((drop, price, once, twice))
            price, once, twice = self.ahead(-1, length)
            self.least = min(self.least, price)
        self.segments.reverse()

    def ahead(self, segment: int, left: int) -> tuple[int, int, int]:
        """`sums` at the round in which `left` rounds of the segment are left."""
        drop, price, once, twice = self.segments[segment]
        pairs = left * (left + 1) // 2
        triples = pairs * (left + 2) // 3
        return (
            price + drop * left,
            once + price * left + drop * pairs,
            twice + once * left + price * pairs + drop * triples,
        )

    def sums(self, t: int) -> tuple[int, int, int]:
        """Price of round t, sum of the prices from t on, and sum of these sums from t on."""
        i = bisect_right(self.begin, t)
        return self.ahead(i - 1, self.begin[i] - t) if i < len(self.begin) else (0, 0, 0)

    def memory(self, s: int, o: int, p: int) -> int:
        """Price of the memory of a run from round p: s + j tokens in its j-th round."""
        _, once, twice = self.sums(p)
        _, once_after, twice_after = self.sums(p + o)
        return s * (once - once_after) + twice - twice_after - o * once_after

    def rise(self, s: int, o: int, p: int) -> int:
        """``memory(s, o, p + 1) - memory(s, o, p)``: round p is left, s + o tokens are new, the others are one less."""
        price, once, _ = self.sums(p)
        price_after, once_after, _ = self.sums(p + o)
        return (s + o) * price_after - s * price - (once - once_after)

    @cached_property
    def table(self) -> tuple[list[int], list[int]]:
        """The two sums of every round up to the first without a price, as lists."""
        if self.begin[-1] > MOST_ROUNDS_NOT_CONVEX:
            raise Refusal(f"prices that are not convex may cover {MOST_ROUNDS_NOT_CONVEX} rounds at most")
        falls = chain.from_iterable(map(repeat, reversed(self.drops), reversed(self.rounds)))
        once = [0, *accumulate(accumulate(falls))]
        return once[::-1], list(accumulate(once))[::-1]

    def least_cost(self, s: int, o: int, first: int, end: int, unit: int) -> int:
        """Minimum of start + priced memory over the starts from `first` to `end` - 1, each one evaluated.

        Starts behind the first round without a price are left out: that one is better.
        """
        once, twice = self.table
        now, after = slice(first, end), slice(first + o, end + o)
        completions = chain(once[after], repeat(0)), chain(twice[after], repeat(0))
        runs = zip(range(first, end), once[now], twice[now], *completions, strict=False)
        return min(p * unit + s * (x - y) + u - v - o * y for p, x, u, y, v in runs)


def convex_drops(drops: list[int], rounds: list[int]) -> tuple[list[int], list[int]]:
    """Drops, in non-increasing order, of convex prices that are nowhere above the given ones.

    Neighbours that are out of order are pooled: that is the lower convex hull. Rounding down only lowers it.
    """
    pooled: list[tuple[int, int]] = []  # (fall of the price, rounds)
    for drop, length in zip(drops, rounds, strict=True):
        fall = drop * length
        while pooled and pooled[-1][0] * length <= fall * pooled[-1][1]:
            before, longer = pooled.pop()
            fall, length = fall + before, length + longer
        pooled.append((fall, length))
    return [fall // length for fall, length in pooled], [length for _, length in pooled]


def first_true(holds: Callable[[int], bool], least: int, guess: int) -> int:
    """Smallest integer from `least` on for which a monotone property holds, sought outwards from a guess."""
    above, step = max(least, guess), 1
    while not holds(above):
        above, step = above + step, 2 * step
    below = above - step
    while below >= least and holds(below):
        above, below, step = below, below - 2 * step, 2 * step
    below = max(below + 1, least)
    while below < above:
        middle = (below + above) // 2
        if holds(middle):
            above = middle
        else:
            below = middle + 1
    return above


def check_growth(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Bound of memory prices that also charge for the memory which running requests are about to grow into.

    Until the next completion every running request grows by a token a round, and the capacity holds in that last
    round too: the memory of a round, plus the number running times the rounds to go, is at most M. `Growth` shares
    that out among the requests.
    """
    denominator, prices, convex = read_prices(certificate)
    growth = Growth(problem.capacity, denominator, prices, convex, certificate)
    total = -problem.capacity * prices.sums(0)[1]
    start = 0
    for s, o, a, count in sorted(problem.types, key=lambda kind: (2 * kind[0] + kind[1] + 1) * kind[1]):
        start, least = growth.least_cost(s, o, a, start)
        total += count * (least + (o - a) * denominator)
    return -(-total // denominator)


class Growth:
    """Spans of ``spans[k]`` rounds, the last one endless, each with a lead (rounds), a size (tokens) and a credit.

    A run that starts in span k pays, besides its memory, for ``leads[k] * min(1, tokens held / sizes[k])`` tokens in
    each of its rounds; if its last round is in span k, the credit of that span is taken off.
    """

    def __init__(
        self, capacity: int, unit: int, prices: Prices, convex: Prices, certificate: Mapping[str, Any]
    ) -> None:
        spans, leads = whole_list(certificate, "spans", 1), whole_list(certificate, "leads", 0)
        sizes = whole_list(certificate, "sizes", 1)
        if not len(spans) == len(leads) == len(sizes) >= 1:
            raise Refusal("spans, leads and sizes must be of equal length, at least 1")
        for k in range(1, len(leads)):
            if leads[k] < leads[k - 1] or leads[k] * sizes[k - 1] < leads[k - 1] * sizes[k]:
                raise Refusal(f"neither leads nor leads / sizes may fall, as they do at {k}")
        if sum(leads) > MOST_ROUNDS_NOT_CONVEX:
            raise Refusal(f"leads may sum to {MOST_ROUNDS_NOT_CONVEX} at most")
        self.unit, self.prices, self.convex, self.finer = unit, prices, convex, FINER
        if convex.drops == [drop << FINER for drop in prices.drops]:
            self.convex, self.finer = prices, 0
        self.begin, self.leads, self.sizes = list(accumulate(spans[:-1], initial=0)), leads, sizes
        # The highest price from each segment's first round on: credits must hold for prices that rise, too.
        tops = list(accumulate((prices.sums(t)[0] for t in reversed(prices.begin)), max))[::-1]

        def highest(t: int) -> int:
            after = bisect_right(prices.begin, t)
            return max(prices.sums(t)[0], tops[after]) if after < len(tops) else 0

        self.credits = []
        for t, lead, size in zip(self.begin, leads, sizes, strict=True):
            ahead = sum((lead - m) * highest(max(t - m, 0)) for m in range(lead))
            self.credits.append(-(-capacity * ahead // size))
        self.credits_before = list(accumulate(self.credits, max))
        self.credits_after = list(accumulate(reversed(self.credits), max))[::-1]

    def least_cost(self, s: int, o: int, a: int, guess: int) -> tuple[int, int]:
        """A start that is best for the convex prices alone, and the least of start + payment - credit.

        Pieces of starts with the same spans are visited from that start outwards, as long as the convex prices
        alone, less the largest credit ahead, are below the least cost found.
        """
        unit = self.unit << self.finer

        def below(p: int, credit: int) -> bool:
            return p * unit + self.convex.memory(s, o, p) < (least + credit) << self.finer

        centre = first_true(lambda p: unit + self.convex.rise(s, o, p) >= 0, a, guess)
        last, first, end = self.piece(o, centre)
        first = max(first, a)
        least = self.least_in_piece(s, o, first, end, centre)
        right, left = last, last
        while end < NEVER and below(end, self.credits_after[right]):
            right, begin, end = self.piece(o, end)
            least = min(least, self.least_in_piece(s, o, begin, end, begin))
        while first > a and below(first - 1, self.credits_before[left]):
            left, begin, end = self.piece(o, first - 1)
            first = max(begin, a)
            least = min(least, self.least_in_piece(s, o, first, end, end - 1))
        return centre, least

    def piece(self, o: int, p: int) -> tuple[int, int, int]:
        """Span of the last round of a run from p, and the range of starts with the same first and last span."""
        k, last = bisect_right(self.begin, p) - 1, bisect_right(self.begin, p + o - 1) - 1
        end = self.begin[k + 1] if k + 1 < len(self.begin) else NEVER
        if last + 1 < len(self.begin):
            end = min(end, self.begin[last + 1] - o + 1)
        return last, max(self.begin[k], self.begin[last] - o + 1), end

    def least_in_piece(self, s: int, o: int, first: int, end: int, guess: int) -> int:
        """The least cost over the starts from `first` to `end` - 1, all of one piece; convex prices make it convex."""
        k, last = bisect_right(self.begin, first) - 1, bisect_right(self.begin, first + o - 1) - 1
        lead, size = self.leads[k], self.sizes[k]
        # The rounds in which the run holds at most `size` tokens.
        part = min(max(size - s, 0), o)

        def at(prices: Prices, unit: int, p: int) -> tuple[int, bool]:
            """Start + payment, rounded down, and whether that does not fall to the next start."""
            price, once, twice = prices.sums(p)
            price_part, once_part, twice_part = prices.sums(p + part)
            price_after, once_after, twice_after = prices.sums(p + o)
            memory = s * (once - once_after) + twice - twice_after - o * once_after + lead * (once_part - once_after)
            small = s * (once - once_part) + twice - twice_part - part * once_part
            rise = (s + o) * price_after - s * price - once + once_after + lead * (price_after - price_part)
            rise_small = (s + part) * price_part - s * price - once + once_part
            return p * unit + memory + lead * small // size, size * (unit + rise) + lead * rise_small >= 0

        unit = self.unit << self.finer
        bottom = first_true(lambda p: p >= end - 1 or at(self.convex, unit, p)[1], first, guess)
        least = at(self.prices, self.unit, bottom)[0]
        if self.finer:

            def below(p: int) -> bool:
                return first <= p < end and at(self.convex, unit, p)[0] < least << FINER

            if below(bottom):
                left = first_true(below, first, bottom)
                right = first_true(lambda p: not below(p), bottom, bottom)
                least = min(at(self.prices, self.unit, p)[0] for p in range(left, right))
        return least - self.credits[last]


def check_room(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Bound of memory prices and charges for the room to grow, both given round by round.

    A run that holds h tokens in round t is charged ``sum_k rates[k][t] * min(h, levels[k])`` on top of the price of its
    memory, and what `room_credits` has for its last round is taken off.
    """
    denominator = whole(certificate, "denominator", 1)
    prices, levels = whole_list(certificate, "prices", 0), whole_list(certificate, "levels", 1)
    lists = certificate.get("rates")
    if not isinstance(lists, list) or len(lists) != len(levels):
        raise Refusal("rates must be a list with one list for each level")
    if len(levels) > MOST_LEVELS:
        raise Refusal(f"there may be {MOST_LEVELS} levels at most")
    rates = [whole_list({"rates": rates}, "rates", 0) for rates in lists]
    rounds, longest = len(prices), max(problem.output)
    if any(len(rate) != rounds for rate in rates):
        raise Refusal("each level must have as many rates as there are prices")
    types = len(problem.types)
    if max((types + longest) * (rounds + 1), types * longest) * (1 + len(levels)) > MOST_ROOM_STEPS:
        raise Refusal(f"starts and credits times levels may be {MOST_ROOM_STEPS} at most")
    credits = room_credits(problem.capacity, prices, levels, rates, longest)
    padded = [[*rate, *repeat(0, 2 * longest)] for rate in (prices, *rates)]
    once = [list(accumulate(reversed(rate)))[::-1] for rate in padded]
    twice = [list(accumulate(reversed(sums)))[::-1] for sums in once]
    total = -problem.capacity * sum(prices)
    for s, o, a, count in problem.types:
        # From the last of these starts on there is nothing to pay and no credit.
        end = max(a, rounds + longest - o) + 1
        later = chain(credits[a + o - 1 :], repeat(0))
        costs = [p * denominator - credit for p, credit in zip(range(a, end), later, strict=False)]
        for level, x, y in zip((NEVER, *levels), once, twice, strict=True):
            # In the first `part` rounds less than the level is held, then the level counts.
            part = min(max(level - s, 0), o)
            sums = zip(costs, x[a:], x[a + part :], x[a + o :], y[a:], y[a + part :], strict=False)
            costs = [c + s * (u - v) + level * (v - w) + x2 - y2 - part * v for c, u, v, w, x2, y2 in sums]
        total += count * (min(costs, default=a * denominator) + (o - a) * denominator)
    return -(-total // denominator)


def room_credits(
    capacity: int, prices: list[int], levels: list[int], rates: list[list[int]], longest: int
) -> list[int]:
    """What a completion gets whose last round is 0, 1, ...: no less than charges minus priced idle memory before it.

    If the next completion is m rounds after round t, the running requests hold h tokens each with
    ``sum (h + m) <= M``, and growth leaves ``sum m`` tokens idle. So ``sum (charge(h) - m price)`` is at most M times
    the largest ``(charge(h) - m price) / (h + m)``, and that is found at a level.
    """
    credits = [0] * (len(prices) + longest)
    for t, price in enumerate(prices):
        charges = [(sum(r[t] * min(h, level) for r, level in zip(rates, levels, strict=True)), h) for h in levels]
        for m in range(longest):
            most = max((-(-capacity * (charge - m * price) // (h + m)) for charge, h in charges), default=0)
            if most <= 0:
                break
            credits[t + m] += most
    return credits


def check_flow(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Bound by round prices for token-rounds that may be taken apart.

    A run's tokens have mean round p + (sum of (j-1)(s+j)) / volume, so its latency is that mean plus a
    constant. Whatever the start, its o rounds hold s+1, ..., s+o tokens; the cheapest way to give these
    numbers to any o rounds, the largest to the cheapest round, costs no more than the run.
    """
    denominator = whole(certificate, "denominator", 1)
    prices = whole_list(certificate, "prices", 0)
    if sum(len(prices) + o for _, o, _, _ in problem.types) > MOST_ROUNDS:
        raise Refusal("the instance is too large for a certificate of this kind")
    total = -problem.capacity * sum(prices)
    for s, o, a, count in problem.types:
        volume = s * o + o * (o + 1) // 2
        later = range(max(a, len(prices)), max(a, len(prices)) + o)
        rounds = [t * denominator + volume * price for t, price in enumerate(prices[a:], a)]
        cheapest = nsmallest(o, [*rounds, *(t * denominator for t in later)])
        tokens = sum((s + o - i) * cost for i, cost in enumerate(cheapest))
        moment = s * o * (o - 1) // 2 + (o - 1) * o * (o + 1) // 3
        total += count * (tokens + denominator * (volume * (o - a) - moment)) // volume
    return max(-(-total // denominator), sum(problem.output))


# ---------------------------------------------------------------- the search certificate

#: A label: window of memory, remaining requests, round, latency so far, priced cost so far, deadline, mark;
#: in the relaxation: node, rounds by which the label is later than the node, reward of the remaining requests; in the
#: packing: place and what was lost; its starts.
Label = tuple[int, "Remaining", int, int, int, int, int, int, int, int, int, int, Optional["Runs"]]

#: The starts of a label, the last one first: type, round, and those before.
Runs = tuple[int, int, Optional["Runs"]]

#: The run behind a label's gap rule: type and start; the run that makes way: how many starts before the last one, or
#: -1 for none, and its new start. Starts are relative to the label's round.
Gap = tuple[int, int, int, int]

#: The deadline of a label that has none.
NEVER = 1 << 62


def check_search(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Replay a closed search and return the bound it proves.

    Labels are partial schedules, given layer by layer (number of requests started). Each child of a label,
    that is each next start, must be ruled out by a rule that `Replay` re-evaluates, or be kept as a label of
    the next layer, or be dominated by a kept one. So every schedule below the threshold has a match of no
    larger cost among the complete schedules seen, or passes through a label that was left open.
    """
    replay, threshold, layers = opened(problem, certificate)
    if certificate.get("relaxation") is not None:
        replay.relax(certificate["relaxation"])
    if certificate.get("packing") is not None:
        replay.pack(problem, certificate["packing"]).sweep(problem, followed=True)
    numbers = read_varints(certificate.get("codes"))
    n = len(problem.output)
    best = threshold
    labels = [replay.root()]
    try:
        for depth in range(layers):
            gaps = [replay.read_gap(numbers) for _ in labels]
            left = n - depth - 1
            if left == 0:
                for label, gap in zip(labels, gaps, strict=True):
                    for child in replay.children(label, gap, 0):
                        best = min(best, child[3])
                labels = []
                break
            labels = next_layer(replay, labels, gaps, left, numbers)
    except StopIteration:
        raise Refusal("the codes end too early") from None
    if next(numbers, None) is not None:
        raise Refusal("there are more codes than labels and children")
    return min([best, *(replay.bound(label) for label in labels)])


def opened(problem: Problem, certificate: Mapping[str, Any]) -> tuple[Replay, int, int]:
    """What a search certificate begins with: the rules and their prices, threshold, number of layers."""
    n, threshold, layers = len(problem.output), whole(certificate, "threshold", 1), whole(certificate, "layers", 0)
    if layers > n:
        raise Refusal(f"{layers} layers for {n} requests")
    prices = whole_list(certificate, "prices", 0)
    return Replay(problem, threshold, whole(certificate, "denominator", 1), prices), threshold, layers


def next_layer(replay: Replay, labels: list[Label], gaps: list[Gap], left: int, numbers: Iterator[int]) -> list[Label]:
    """The kept children of a layer; raises Refusal if one that was dropped is not dominated."""
    kept: list[Label] = []
    ahead: list[tuple[Label, int, int]] = []  # dominators that come later in the stream
    for label, gap in zip(labels, gaps, strict=True):
        for child in replay.children(label, gap, left):
            code = next(numbers)
            if code == 0:
                kept.append(child)
                continue
            dominator, wait = len(kept) - 1 - unzigzag(code - 1), next(numbers)
            if dominator < 0:
                raise Refusal("a dominator is not among the kept labels")
            if dominator >= len(kept):
                ahead.append((child, dominator, wait))
            else:
                replay.require_dominance(kept[dominator], child, wait, left)
    for child, dominator, wait in ahead:
        if dominator >= len(kept):
            raise Refusal("a dominator is not among the kept labels")
        replay.require_dominance(kept[dominator], child, wait, left)
    return kept


#: A type as a label's next start: number, arrival, output, prompt + 1; room, guard bits and mask of a run's cells.
Kind = tuple[int, int, int, int, int, int, int]
#: A type as a look ahead needs it: arrival, prompt + 1, prompt - capacity, output; room, guard bits and mask.
Ahead = tuple[int, int, int, int, int, int, int]


class Remaining:
    """Requests that are still to start; the same for all labels that leave the same.

    Attributes
    ----------
    count : tuple of int
        How many of each type.
    kinds : list of Kind
        The types that are among them.
    ahead : dict
        By type: what `easy` found.
    known : dict
        By round: sum of their least priced costs from there on.
    less : dict
        By type: what remains after one more start.
    """

    __slots__ = ("_all", "ahead", "count", "kinds", "known", "less")

    def __init__(self, count: tuple[int, ...], kinds: list[Kind], ahead: list[Ahead]) -> None:
        self.count = count
        self.kinds = [kind for kind, number in zip(kinds, count, strict=True) if number]
        self._all, self.ahead = ahead, dict[int, list[Ahead]]()
        self.known: dict[int, int] = {}
        self.less: dict[int, Remaining] = {}

    def easy(self, first: int) -> list[Ahead]:
        """Of the types from `first` on those of which one fits wherever any fits; kept in `ahead`.

        No other has at most their prompt, output and arrival: where a request fits, a smaller one fits at its start,
        and into the last rounds of its run.
        """
        found: list[Kind] = []
        for kind in self.kinds:
            # Types are in ascending order of prompt, so a smaller one comes first.
            if kind[0] >= first and not any(other[1] <= kind[1] and other[2] <= kind[2] for other in found):
                found.append(kind)
        easy = self.ahead[first] = [self._all[kind[0]] for kind in found]
        return easy


class Replay:
    """Labels and their children with memory profiles packed into integers.

    A profile is one integer with a field of `bits` bits for each round, wide enough for the capacity
    and one guard bit on top: profiles are compared field by field with one subtraction, the guard bits
    telling where a field went below zero. A window covers `width` rounds before and after the label's round.
    """

    def __init__(self, problem: Problem, threshold: int, denominator: int, prices: list[int]) -> None:
        types = problem.types
        self.capacity = problem.capacity
        self.prompt, self.output, self.arrival, self.count = map(list, zip(*types, strict=True))
        #: Whether the type before has the same shape and an earlier arrival.
        self.follows = [k > 0 and types[k][:2] == types[k - 1][:2] for k in range(len(types))]
        self.width = width = max(self.output)
        if width > MOST_OUTPUT or len(types) * len(prices) > MOST_PRICED_STARTS:
            raise Refusal("the instance is too large for a certificate of this kind")
        self.bits = bits = self.capacity.bit_length() + 1
        self.field = (1 << bits) - 1
        self.demand, self.kinds, self.ahead = list[int](), list[Kind](), list[Ahead]()
        for k, (s, o, a, _) in enumerate(types):
            guard = sum(1 << (bits * j + bits - 1) for j in range(o))
            room = guard + sum((self.capacity - s - j - 1) << (bits * j) for j in range(o))
            self.demand.append(sum((s + j + 1) << (bits * (width + j)) for j in range(o)))
            fit = room, guard, (1 << (bits * o)) - 1
            self.kinds.append((k, a, o, s + 1, *fit))
            self.ahead.append((a, s + 1, s - self.capacity, o, *fit))
        ones = sum(1 << (bits * j) for j in range(width))
        self.all_guards = ones << (bits - 1)
        #: Added to a profile it sets the guard bits of the rounds that are full.
        self.almost_full = self.all_guards - self.capacity * ones
        self.denominator, self.prices = denominator, prices
        self.priced = [0, *accumulate(prices)]
        self.offset = self.capacity * self.priced[-1]
        #: Above this a total latency is not below the threshold, and the same with the price of all memory.
        self.most = denominator * (threshold - 1)
        self.limit = self.most + self.offset
        self.cost, self.least = self.cost_tables()
        self.remaining: dict[tuple[int, ...], Remaining] = {}
        self.relaxation: Relaxation | None = None
        self.packing: Packing | None = None

    def pack(self, problem: Problem, data: Any) -> Packing:
        """Use a packing's gains beside the prices, once it has been swept."""
        if not isinstance(data, Mapping):
            raise Refusal("packing must be an object")
        self.packing = packing = Packing(problem, data, self.denominator)
        return packing

    def relax(self, data: Any) -> Relaxation:
        """Use a relaxation's costs to go beside the prices."""
        self.relaxation = relaxation = self.classes(data)
        relaxation.settle(data.get("costs"), data.get("row_of"))
        return relaxation

    def classes(self, data: Any) -> Relaxation:
        """A relaxation of the certificate, without its costs."""
        if not isinstance(data, Mapping):
            raise Refusal("relaxation must be an object")
        class_of, multipliers = whole_list(data, "class_of", 0), whole_list(data, "multipliers", -NEVER)
        if len(class_of) != len(self.count) or set(class_of) != set(range(len(multipliers))):
            raise Refusal("class_of must give each type one of the classes, and leave no class empty")
        return Relaxation(self, class_of, multipliers)

    def cost_tables(self) -> tuple[list[list[int]], list[list[int]]]:
        """For each type the priced cost of a start in each round, and its minimum over all later starts."""
        horizon, scale = len(self.prices), self.denominator
        timed = [0, *accumulate(t * price for t, price in enumerate(self.prices))]
        costs, leasts = [], []
        for s, o, a in zip(self.prompt, self.output, self.arrival, strict=True):
            cost = []
            for p in range(horizon):
                q = min(p + o, horizon)
                memory = (s + 1 - p) * (self.priced[q] - self.priced[p]) + timed[q] - timed[p]
                cost.append(scale * (p + o - a) + memory)
            least = [0] * horizon
            best = scale * (max(horizon, a) + o - a)
            for p in reversed(range(horizon)):
                best = min(best, cost[p]) if p >= a else best
                least[p] = best
            costs.append(cost)
            leasts.append(least)
        return costs, leasts

    def root(self) -> Label:
        """Nothing started, in the round of the first arrival."""
        first = min(self.arrival)
        base = self.capacity * self.priced[min(first, len(self.prices))]
        gain = 0
        if self.relaxation is not None:
            gain = sum(count * reward for count, reward in zip(self.count, self.relaxation.reward, strict=True))
        lost = 0 if self.packing is None else self.packing.idle(0, first, self.capacity)
        return 0, self.left(tuple(self.count)), first, 0, base, NEVER, 0, 0, 0, gain, 0, lost, None

    def left(self, count: tuple[int, ...]) -> Remaining:
        """What remains, from how many of each type do."""
        found = self.remaining.get(count)
        if found is None:
            found = self.remaining[count] = Remaining(count, self.kinds, self.ahead)
        return found

    def after_start(self, remaining: Remaining, k: int) -> Remaining:
        """What remains after one more start, of type k."""
        rest = remaining.less.get(k)
        if rest is None:
            count = remaining.count
            rest = remaining.less[k] = self.left((*count[:k], count[k] - 1, *count[k + 1 :]))
        return rest

    def future(self, remaining: Remaining, t: int) -> int:
        """Sum over the remaining requests of their least priced cost from round t on."""
        value = remaining.known.get(t)
        if value is None:
            value = 0
            for k, *_ in remaining.kinds:
                if t < len(self.prices):
                    value += remaining.count[k] * self.least[k][t]
                else:
                    latency = max(t, self.arrival[k]) + self.output[k] - self.arrival[k]
                    value += remaining.count[k] * self.denominator * latency
            remaining.known[t] = value
        return value

    def bound(self, label: Label) -> int:
        """Total latency below which no completion of the label can be."""
        best = label[4] + self.future(label[1], label[2])
        if self.relaxation is not None:
            left = sum(label[1].count)
            relaxed = self.denominator * (label[3] + left * (label[2] - label[8]))
            best = max(best, relaxed + self.relaxation.cost(left, label[7]) + label[9] + self.offset)
        if self.packing is not None:
            best = max(best, self.packing.bound(label[10], label[11]) + self.offset)
        return -((self.offset - best) // self.denominator)

    def read_gap(self, numbers: Iterator[int]) -> Gap:
        """The run behind a label's gap rule: types from K on tell that another makes way, which follows."""
        k, x = next(numbers), unzigzag(next(numbers))
        types = len(self.count)
        return (k, x, -1, 0) if k < types else (k - types, x, next(numbers), unzigzag(next(numbers)))

    def last_wait(self, label: Label, gap: Gap) -> int:
        """Gap rule: a remaining request that fits before the next start, or if some run makes way, should run there."""
        window, count, t, runs = label[0], label[1].count, label[2], label[12]
        bits, width = self.bits, self.width
        k, x, back, q = gap
        if not (k < len(count) and count[k] and -width <= x <= width and -width <= q <= width):
            raise Refusal("a gap run names no remaining request")
        p, i = t, None
        if back >= 0:
            while back and runs is not None:
                runs, back = runs[2], back - 1
            if runs is None or runs[1] < t - width:
                raise Refusal("a run that makes way is not in the window")
            i, p, _ = runs
            window -= self.demand[i] >> bits * (t - p)
        if not self.fits(window, t, k, x):
            raise Refusal("a gap run does not fit")
        end = x + self.output[k] - 1
        if i is None:
            return end
        window += self.demand[k] << bits * x if x > 0 else self.demand[k] >> -bits * x
        if not self.fits(window, t, i, q):
            raise Refusal("a run that makes way does not fit")
        # Moving both is no better for a next start up to the round in which their starts sum up to the same.
        return max(end, q + self.output[i] - 1, x + q + t - p)

    def fits(self, window: int, t: int, k: int, x: int) -> bool:
        """Whether a request of type k has arrived and fits from round t + x on, in the window of round t."""
        _, arrival, _, _, room, guard, mask = self.kinds[k]
        return t + x >= arrival and (room - (window >> self.bits * (self.width + x) & mask)) & guard == guard

    def children(self, label: Label, gap: Gap, left: int) -> Iterator[Label]:
        """Every next start that no rule excludes: rounds ascending, then types; `left` requests stay."""
        window, remaining, t, latency, cost, due, mark, node, lag, gain, place, lost, runs = label
        # Names of its own, here and in `forward`: much of the checker's time is spent in these loops.
        bits, width, capacity, field, prices = self.bits, self.width, self.capacity, self.field, self.prices
        packing, relaxation, limit, scale = self.packing, self.relaxation, self.limit, self.denominator
        before = (window >> (bits * (width - 1))) & field
        ahead = window >> (bits * width)
        for w in range(self.last_wait(label, gap) + 1):
            r = t + w
            if w > 0:
                # Round r - 1 passes: no later start touches it, its memory is final.
                before, ahead = ahead & field, ahead >> bits
                if before == capacity:
                    due = NEVER
                elif r - 1 >= due:
                    return
                if r - 1 < len(prices):
                    cost += prices[r - 1] * (capacity - before)
                if cost + self.future(remaining, r) > limit:
                    return
                if packing is not None:
                    place, lost = packing.after(place, r - 1), lost + packing.idle(r - 1, r, capacity - before)
                    if packing.bound(place, lost) > self.most:
                        return
            moves, idle = None, capacity - (ahead & field)
            for k, arrival, output, first, room, guard, mask in remaining.kinds:
                if first > idle:
                    break  # all others have prompts at least as long
                if (room - (ahead & mask)) & guard != guard or arrival > r or (w == 0 and k < mark):
                    continue
                if self.follows[k] and remaining.count[k - 1]:
                    # A request of the same shape came earlier: exchanging the two changes nothing else.
                    continue
                child_due = due
                if r > arrival and before + first <= capacity:
                    # Shift rule: it could start a round earlier unless its run, but for the last round,
                    # meets a round that is exactly full.
                    child_due = min(due, r + output - 2)
                    if child_due < r:
                        continue
                alone = output - arrival + r
                child_latency = latency + alone
                child_cost = cost + (self.cost[k][r] if r < len(prices) else scale * alone)
                if left == 0:
                    if scale * child_latency + self.offset <= limit:
                        none = self.after_start(remaining, k)
                        yield 0, none, r, child_latency, child_cost, child_due, 0, 0, 0, 0, 0, 0, None
                    continue
                relaxed = (0, r, 0)
                if relaxation is not None:
                    if moves is None:
                        moves = relaxation.moves(node, lag + w)
                    reached, moved, row = moves[relaxation.class_of[k]]
                    relaxed = (reached, r + moved, gain - relaxation.reward[k])
                    bound = scale * (child_latency + left * relaxed[1]) + relaxed[2] + self.offset
                    if row:
                        bound += (row >> 64 * left & FIELD) - ZERO
                    else:
                        bound += relaxation.cost(left, reached, limit - bound)
                    if bound > limit:
                        continue
                packed = (0, 0)
                if packing is not None:
                    reached, gained = packing.start(place, r, k)
                    packed = reached, lost - gained
                    if packing.bound(*packed) > self.most:
                        continue
                rest = self.after_start(remaining, k)
                most = limit - self.future(rest, r)
                if child_cost > most:
                    continue
                cells = (window >> (bits * w)) + self.demand[k]
                started = k, r, runs
                child = self.forward(cells, rest, child_latency, child_cost, most, child_due, started, relaxed, packed)
                if child is None or child[4] + self.future(rest, child[2]) > limit:
                    continue
                if packing is None or packing.bound(child[10], child[11]) <= self.most:
                    yield child

    def forward(
        self,
        window: int,
        remaining: Remaining,
        latency: int,
        cost: int,
        most: int,
        due: int,
        runs: Runs,
        relaxed: tuple[int, int, int],
        packed: tuple[int, int],
    ) -> Label | None:
        """The label moved to the first round in which a remaining request may start; None if a rule drops it.

        On the way its cost may not exceed `most`.
        """
        bits, width, capacity, field = self.bits, self.width, self.capacity, self.field
        (place, lost), (node, time, gain), (mark, r, _) = packed, relaxed, runs
        ahead = window >> bits * width
        idle = capacity - (ahead & field)
        # In the round of the start only types from this one on may follow.
        for arrival, first, _, _, room, guard, mask in remaining.ahead.get(mark) or remaining.easy(mark):
            if first > idle:
                break
            if (room - (ahead & mask)) & guard == guard and arrival <= r:
                return window, remaining, r, latency, cost, due, mark, node, r - time, gain, place, lost, runs
        easy, end = remaining.ahead.get(0) or remaining.easy(0), r + width
        # The shift rule drops the label in its last round, unless one before is exactly full.
        last = full = end
        if due != NEVER:
            guards = (ahead + self.almost_full) & self.all_guards
            if guards:
                full = r + (guards & -guards).bit_length() // bits - 1
            if due < full and due < end:
                last = due
        # Rounds are told by the place of their field in the window.
        shift = bits * (width - r)
        following = shift + bits * (last + 1)
        for arrival, _, less, _, room, guard, mask in easy:
            at = shift + bits * (arrival if arrival > r else r + 1)
            while at < following:
                fits = (room - (window >> at & mask)) & guard
                if fits == guard:
                    following = at
                    break
                # The last round without room for the run has room for one that starts so much later, or is over then.
                over = (fits ^ guard).bit_length()
                later = over // bits
                short = less + later + (window >> at + over - bits & field)
                at += bits * (short if short < later else later)
        now = (following - shift) // bits
        if now > last:
            if last < end:
                return None
            now = end
        for t in range(r, min(now, len(self.prices))):
            cost += self.prices[t] * (capacity - (ahead & field))
            ahead >>= bits
        if cost > most:
            return None
        for arrival, first, less, output, room, guard, mask in easy:
            # Starts after this round have been tried.
            at = r - output + (1 if first + output <= idle + 1 else 2)
            at = shift + bits * (at if at > arrival else arrival)
            latest = shift + bits * (r if now - output > r else now - output)
            while at <= latest:
                fits = (room - (window >> at & mask)) & guard
                if fits == guard:
                    # A run could end before the next start.
                    return None
                over = (fits ^ guard).bit_length()
                later = over // bits
                short = less + later + (window >> at + over - bits & field)
                at += bits * (short if short < later else later)
        if full < now:
            due = NEVER
        if self.packing is not None:
            for t in range(r, now):
                idle = capacity - (window >> shift + bits * t & field)
                place, lost = self.packing.after(place, t), lost + self.packing.idle(t, t + 1, idle)
        if now == end:
            # The worker is empty: on to the next arrival.
            now = max(end, min(kind[1] for kind in remaining.kinds))
            if due < now:
                return None
            cost += capacity * (self.priced[min(now, len(self.prices))] - self.priced[min(end, len(self.prices))])
            if self.packing is not None:
                lost += self.packing.idle(end, now, capacity)
                for empty in sorted(t for t in self.packing.rounds if end <= t < now):
                    place = self.packing.after(place, empty)
        window >>= bits * (now - r)
        return window, remaining, now, latency, cost, due, 0, node, now - time, gain, place, lost, runs

    def require_dominance(self, better: Label, worse: Label, wait: int, left: int) -> None:
        """Raise Refusal unless `better`, after waiting, can do all that `worse` can, at no more cost."""
        if better[1] is not worse[1]:
            raise Refusal("a dominator has other requests left")
        if better[3] + left * (better[2] + wait) > worse[3] + left * worse[2]:
            raise Refusal("a dominator costs more")
        if wait == 0 and better[6] > worse[6]:
            raise Refusal("a dominator may start fewer types in its round")
        now = better[2] + wait
        if now < worse[2] and any(count and a > now for count, a in zip(better[1].count, self.arrival, strict=True)):
            raise Refusal("a dominator starts requests before they arrive")
        shift = self.bits * self.width
        memory = worse[0] >> shift | self.all_guards
        if (memory - (better[0] >> (shift + self.bits * wait))) & self.all_guards != self.all_guards:
            raise Refusal("a dominator holds more memory")


class Profiles:
    """Memory profiles, packed into integers with 0 for the empty worker, and the starts that lead from one to another.

    Parameters
    ----------
    shapes : list of (prompt, output)
        One for each class of requests; any number of each may start.
    allowance : Allowance
        Profiles are found, and kept, as long as it lasts.
    """

    def __init__(self, bits: int, capacity: int, shapes: list[tuple[int, int]], allowance: Allowance) -> None:
        self.bits, self.allowance = bits, allowance
        self.lengths = [o for _, o in shapes]
        #: Above that many tokens in a round no class can start there.
        self.field, self.most_before = (1 << bits) - 1, capacity - min(s for s, _ in shapes) - 1
        self.shapes = []
        for s, o in shapes:
            guard = sum(1 << (bits * j + bits - 1) for j in range(o))
            room = guard + sum((capacity - s - j - 1) << (bits * j) for j in range(o))
            demand = sum((s + j + 1) << (bits * j) for j in range(o))
            self.shapes.append((room, guard, (1 << (bits * o)) - 1, demand))
        #: For each node, by rounds waited, the starts: class, rounds to the next node, next node.
        self.ways: dict[int, list[list[tuple[int, int, int]]]] = {}

    def length(self, node: int) -> int:
        """Rounds in which the profile holds tokens."""
        return -(-node.bit_length() // self.bits)

    def starts(self, node: int, wait: int) -> list[tuple[int, int, int]]:
        """Starts `wait` rounds after a node: class, rounds to the next node, next node.

        The next node is the profile with the start, moved on to the first round in which some class fits.
        """
        ways = self.ways.setdefault(node, [])
        while len(ways) <= wait:
            found = self.starts_now(node >> (self.bits * len(ways)))
            self.allowance.take(0, 100 + len(found) * self.allowance.profile)
            ways.append(found)
        return ways[wait]

    def starts_now(self, profile: int) -> list[tuple[int, int, int]]:
        """The same for the first round of a profile, and not kept."""
        found = []
        self.allowance.take(len(self.shapes))
        for c, (room, guard, mask, demand) in enumerate(self.shapes):
            if (room - (profile & mask)) & guard == guard:
                following, move = profile + demand, 0
                while not self.startable(following):
                    following >>= self.bits
                    move += 1
                self.allowance.take((1 + move) * len(self.shapes))
                found.append((c, move, following))
        return found

    def startable(self, profile: int) -> bool:
        """Whether some class fits now."""
        if profile & self.field > self.most_before:
            return False
        for room, guard, mask, _ in self.shapes:
            if (room - (profile & mask)) & guard == guard:
                return True
        return False


class Relaxation:
    """Costs to go when all that is remembered is the memory profile and how many requests are still to start.

    Requests of a class run with the class's least prompt and output, and any number of them may start. Costs are
    found on demand and kept, exact or, where that is enough, as bounds.
    """

    def __init__(self, replay: Replay, class_of: list[int], multipliers: list[int]) -> None:
        members: list[list[int]] = [[] for _ in multipliers]
        for k, c in enumerate(class_of):
            members[c].append(k)
        output = [min(replay.output[k] for k in of) for of in members]
        prompt = [min(replay.prompt[k] for k in of) for of in members]
        self.allowance = Allowance(replay.bits * replay.width)
        self.profiles = Profiles(replay.bits, replay.capacity, list(zip(prompt, output, strict=True)), self.allowance)
        self.prompt, self.output = prompt, output
        self.scale, self.class_of = replay.denominator, class_of
        #: By node and rounds of waiting, see `moves`.
        self.known_moves: dict[int, list[dict[int, tuple[int, int, int]]]] = {}
        self.reward = [
            multipliers[c] + self.scale * (replay.output[k] - output[c] - replay.arrival[k])
            for k, c in enumerate(class_of)
        ]
        self.start_cost = [self.scale * o - multiplier for o, multiplier in zip(output, multipliers, strict=True)]
        self.requests = sum(replay.count)
        #: By the number of starts: known costs, and known lower bounds on others, of nodes.
        self.known: list[dict[int, int]] = []
        self.below: list[dict[int, int]] = []
        #: Costs that the certificate claims, once they have been tested.
        self.claimed: ClaimedCosts | None = None
        #: For each j: least cost of j starts from the empty worker, and at most that of the j - 1 after a start of
        #: each class.
        self.empty, self.after_start = [0], [[0] * len(members)]

    def settle(self, costs: Any, row_of: Any) -> None:
        """Test the costs that a certificate claims, or find those that starts from an empty worker lead to."""
        requests = self.requests
        self.allowance.take(requests, 300 * requests)
        if costs is not None:
            self.claimed = ClaimedCosts(self, requests, costs, row_of)
            self.empty = [self.claimed.cost(j, 0) for j in range(requests + 1)]
            return
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 3 * requests + 1000))
        self.known = [{} for _ in range(requests + 1)]
        self.below = [{} for _ in range(requests + 1)]
        for j in range(1, requests + 1):
            least, ahead = BEYOND, []
            for c, move, node in self.profiles.starts(0, 0):
                first = self.start_cost[c] + self.scale * move * (j - 1)
                rest = self.cost(j - 1, node, least - first)
                least = min(least, first + rest)
                ahead.append(self.scale * move * (j - 1) + rest)
            self.after_start.append(ahead)
            self.empty.append(least)

    def cost(self, j: int, node: int, enough: int = BEYOND) -> int:
        """Least cost of j more starts from a node; where it is above `enough`, any number between the two.

        A round of waiting costs 1 for each start to come. A start and what follows it cost no less than after the
        same start on an empty worker, and j starts no less than from an empty worker, however long one waits: ways
        that cannot beat the best, or that cost more than enough, are passed over.
        """
        if j == 0:
            return 0
        if self.claimed is not None:
            return self.claimed.cost(j, node)
        best = self.known[j].get(node)
        if best is not None:
            return best
        below = self.below[j].get(node)
        if below is not None and below > enough:
            return below
        best, low, scale, least = enough, BEYOND, self.scale, self.after_start[j]
        ways = self.profiles.ways.get(node, ())
        known = self.known[j - 1]
        found, looked = False, 0
        for wait in range(self.profiles.length(node) + 1):
            waited = scale * wait * j
            if waited + self.empty[j] > best:
                low = min(low, waited + self.empty[j])
                break
            starts = ways[wait] if wait < len(ways) else self.profiles.starts(node, wait)
            looked += 1 + len(starts)
            for c, move, reached in starts:
                value = waited + self.start_cost[c]
                floor = value + least[c]
                if floor <= best:
                    value += scale * move * (j - 1)
                    rest = known.get(reached)
                    if rest is None:
                        rest = self.cost(j - 1, reached, best - value)
                    floor = value + rest
                    if floor <= best:
                        best, found = floor, True
                        continue
                if floor < low:
                    low = floor
        self.allowance.take(looked, 80 if below is None else 0)
        if found:
            self.known[j][node] = best
            return best
        self.below[j][node] = low
        return low

    def moves(self, node: int, wait: int) -> dict[int, tuple[int, int, int]]:
        """By class: node after a start `wait` rounds later, its rounds from the start, its claimed costs or zero."""
        known = self.known_moves.setdefault(node, [])
        if wait >= len(known):
            wait = min(wait, self.profiles.length(node))
            for later in range(len(known), wait + 1):
                moves = {}
                for c, move, reached in self.profiles.starts(node, later):
                    moves[c] = reached, move, 0 if self.claimed is None else self.claimed.row(reached)
                self.allowance.take(0, 300 + 100 * len(moves))
                known.append(moves)
        return known[wait]


class ClaimedCosts:
    """Costs to go of all profiles as a certificate claims them, none of them above what a start leads to.

    The costs of a node for 0, 1, ..., n starts to come are fields of 64 bits of one integer, so that a few operations
    compare them for all numbers at once. Nodes are numbered in the order in which starts lead to them.
    """

    def __init__(self, relaxation: Relaxation, requests: int, text: Any, row_of: Any) -> None:
        self.fields = fields = requests + 1
        values = array("q")
        data = unpacked(text)
        if len(data) % (8 * fields):
            raise Refusal("claimed costs do not fill their rows")
        allowance, profiles = relaxation.allowance, relaxation.profiles
        # Integers of many fields are put together, and tested, in time that grows with their length.
        assembling, testing = 1 + (fields * fields >> 9), 1 + (fields >> 7)
        allowance.take(assembling + len(data) // 8, 3 * len(data) + 100 * (len(data) // (8 * fields)))
        values.frombytes(data)
        if sys.byteorder == "big":
            values.byteswap()
        scale, start_cost = relaxation.scale, relaxation.start_cost
        if max(map(abs, start_cost)) + scale * (requests + 1) * 3 * max(profiles.lengths) >= ZERO:
            raise Refusal("costs are too large for their fields")
        ones = sum(1 << 64 * j for j in range(fields))
        guards, tops = ones << 63, 3 * ones << 62
        rows = list[int]()
        base = [ZERO] * fields
        for at in range(len(values) // fields):
            # Second differences, of the first node's costs and of what the others' are above them.
            second = values[at * fields : (at + 1) * fields]
            try:
                row = array("Q", map(add, base, accumulate(accumulate(second))))
            except OverflowError:
                raise Refusal("a claimed cost is out of range") from None
            base = base if at else row.tolist()
            if row[0] > ZERO:
                raise Refusal("a claimed cost is out of range")
            if sys.byteorder == "big":
                row.byteswap()
            rows.append(int.from_bytes(row.tobytes(), "little"))
            if rows[-1] & tops:
                raise Refusal("a claimed cost is out of range")
        if row_of is not None:
            rows = self._chosen(rows, unpacked(row_of), allowance)
        number, nodes = {0: 0}, [0]
        self.number, self.rows = number, rows
        # For each number of starts to come, what a round of waiting adds, and what a start and the moves behind it,
        # which may be less than nothing, make of zero; nothing is asked of no start.
        waiting = sum(scale * j << 64 * j for j in range(fields))
        added: dict[tuple[int, int], int] = {}
        zeros, inside = ZERO * ones, (1 << 64 * fields) - 1
        # By profile: the least that starts now or later, and what follows them, cost by the claims; equal rows once.
        leading: dict[int, int] = {}
        kept: dict[int, int] = {}
        for at, node in enumerate(nodes):
            # Profiles that come up by waiting, the earliest first, until one that came up before.
            ahead = [node]
            while ahead[-1] and ahead[-1] not in leading:
                allowance.take(1, allowance.profile)
                ahead.append(ahead[-1] >> profiles.bits)
            least = leading.get(ahead[-1], 0)
            if least:
                ahead.pop()
            ways = [profiles.starts_now(profile) for profile in ahead]
            for _, _, following in chain.from_iterable(ways):
                if following not in number:
                    number[following] = len(nodes)
                    nodes.append(following)
                    allowance.take(0, allowance.profile)
            if len(nodes) > len(rows):
                raise Refusal("there are more profiles than claimed costs")
            for profile, starts in zip(reversed(ahead), reversed(ways), strict=True):
                allowance.take(testing * (1 + len(starts)))
                least = least + waiting if profile else guards - ones
                for c, move, following in starts:
                    more = added.get((move, c))
                    if more is None:
                        allowance.take(assembling, 8 * fields)
                        terms = (ZERO + scale * move * (j - 1) + start_cost[c] for j in range(1, fields))
                        more = added[move, c] = (1 << 62) + sum(term << 64 * j for j, term in enumerate(terms, 1))
                    least = cellwise_least(least, more + (rows[number[following]] << 64 & inside), guards, 64)
                if least not in kept:
                    allowance.take(0, 8 * fields)
                leading[profile] = least = kept.setdefault(least, least)
            if (guards + least - zeros - rows[at]) & guards != guards:
                raise Refusal("a claimed cost is above that of a start and what follows")

    @staticmethod
    def _chosen(rows: list[int], data: bytes, allowance: Allowance) -> list[int]:
        """A row for each profile, as 32-bit numbers name them."""
        if len(data) % 4:
            raise Refusal("names of rows of claimed costs are cut off")
        allowance.take(len(data) // 4, 3 * len(data))
        try:
            return [rows[name] for (name,) in struct.iter_unpack("<I", data)]
        except IndexError:
            raise Refusal(f"there are {len(rows)} rows of claimed costs, and a profile has another") from None

    def row(self, node: int) -> int:
        """Claimed costs of starts from a node."""
        at = self.number.get(node)
        if at is None:
            raise Refusal("a profile has no claimed costs")  # impossible: all that starts lead to have some
        return self.rows[at]

    def cost(self, j: int, node: int) -> int:
        """Claimed cost of j more starts from a node."""
        return (self.row(node) >> 64 * j & FIELD) - ZERO


# ---------------------------------------------------------------- the sublimation certificate


class Layer:
    """States with the same number of requests still to start, and the arcs that leave them, as columns.

    An arc is a start: the state it leaves, the rounds it costs (all waiting and the run), its type, and the state
    of the next layer that it leads to.
    """

    def __init__(self) -> None:
        self.columns = tuple(array("q") for _ in range(4))

    def add(self, *arc: int) -> None:
        """One more arc."""
        for column, value in zip(self.columns, arc, strict=True):
            column.append(value)

    def arcs(self) -> Iterator[tuple[int, int, int, int]]:
        """From, rounds, type, to."""
        return zip(*self.columns, strict=True)


def check_sublimation(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Lay out all paths of the relaxed problem that cost less than the threshold, and see what is left of them.

    A state is a memory profile and how many requests are still to start. Each stage prices starts by
    multipliers, drops states that no path of less than the threshold visits, and counts the starts of one more
    type. Every schedule below the threshold is a path that no stage drops.
    """
    replay, threshold, stages = opened_paths(problem, certificate)
    relaxation = replay.relax(certificate.get("relaxation"))
    scale = replay.denominator
    limit, best = scale * (threshold - 1), 0
    layers = relaxed_layers(replay, relaxation, limit)
    for stage in stages:
        multipliers, counted = read_stage(stage, len(replay.count))
        if not layers:
            break
        earned = sum(map(mul, replay.count, multipliers))
        costs = costs_to_go(layers, scale, multipliers)
        best = max(best, costs[0][0] + earned)
        if best > limit:
            break
        count = replay.count[counted] if counted >= 0 else 0
        layers = refined(layers, costs, scale, multipliers, counted, count, limit - earned, relaxation.allowance)
    return threshold if not layers or best > limit else -(-best // scale)


def opened_paths(problem: Problem, certificate: Mapping[str, Any]) -> tuple[Replay, int, list[Any]]:
    """What a sublimation certificate holds apart from its relaxation: the requests, threshold and stages."""
    threshold, scale = whole(certificate, "threshold", 1), whole(certificate, "denominator", 1)
    stages = certificate.get("stages")
    if any(problem.arrival):
        raise Refusal("a certificate of this kind is for requests that are there from the beginning")
    if not isinstance(stages, list):
        raise Refusal("stages must be a list")
    return Replay(problem, threshold, scale, []), threshold, stages


def read_stage(stage: Any, types: int) -> tuple[list[int], int]:
    """A stage's multipliers, and the type that it counts or -1."""
    if not isinstance(stage, Mapping):
        raise Refusal("a stage must be an object")
    multipliers, counted = whole_list(stage, "multipliers", -NEVER), whole(stage, "counted", -1)
    if len(multipliers) != types or counted >= types:
        raise Refusal("a stage must have one multiplier for each type, and count one of them or none")
    return multipliers, counted


def relaxed_layers(replay: Replay, relaxation: Relaxation, limit: int) -> list[Layer]:
    """All paths of the types' profiles that the relaxation does not show to cost more than `limit`."""
    scale, reward, output, n = replay.denominator, relaxation.reward, replay.output, sum(replay.count)
    limit -= sum(map(mul, replay.count, reward))
    profiles, allowance = relaxation.profiles, relaxation.allowance
    if relaxation.class_of != list(range(len(output))):
        profiles = Profiles(replay.bits, replay.capacity, list(zip(replay.prompt, output, strict=True)), allowance)
    # Of each profile: number, least cost from the root, node of the relaxation, rounds that it is behind.
    states: dict[int, list[int]] = {0: [0, 0, 0, 0]}
    layers, left_over = [], MOST_ARCS
    for left in range(n, 0, -1):
        layer, following = Layer(), dict[int, list[int]]()
        for profile, (number, cost, node, behind) in states.items():
            for wait in range(profiles.length(profile) + 1):
                waited = cost + scale * wait * left
                if waited + relaxation.empty[left] > limit:
                    break
                starts = profiles.starts(profile, wait)
                moves = relaxation.moves(node, behind + wait)
                allowance.take(1 + len(starts))
                for k, move, reached in starts:
                    value = waited + scale * (output[k] + move * (left - 1)) - reward[k]
                    seen, moved, _ = moves[relaxation.class_of[k]]
                    floor = value - scale * (move - moved) * (left - 1)
                    if floor + relaxation.cost(left - 1, seen, limit - floor) > limit:
                        continue
                    key = reached if left > 1 else 0  # behind the last start all is one
                    state = following.setdefault(key, [len(following), value, seen, move - moved])
                    state[1] = min(state[1], value)
                    layer.add(number, wait * left + move * (left - 1) + output[k], k, state[0])
                    left_over -= 1
                    if left_over < 0:
                        raise Refusal(f"there are more than {MOST_ARCS} starts to look at")
        layers.append(layer)
        states = following
        if not states:
            return []
    return layers


def costs_to_go(layers: list[Layer], scale: int, multipliers: list[int]) -> list[list[int]]:
    """Least cost from the states of each layer to the end; about `BEYOND` where no path leads there."""
    costs = [[0]]
    for layer in reversed(layers):
        ahead, cost = costs[-1], [BEYOND] * (max(layer.columns[0]) + 1)
        for state, rounds, k, to in layer.arcs():
            value = scale * rounds - multipliers[k] + (ahead[to] if to < len(ahead) else BEYOND)
            if value < cost[state]:
                cost[state] = value
        costs.append(cost)
    return costs[::-1]


def refined(
    layers: list[Layer],
    costs: list[list[int]],
    scale: int,
    multipliers: list[int],
    counted: int,
    count: int,
    limit: int,
    allowance: Allowance,
) -> list[Layer]:
    """Paths of cost at most `limit`, in states that tell how many requests of type `counted` have started.

    It is to have started `count` times in the end. No layers if there is no such path.
    """
    # For each old state, by the number of starts counted: number of the new state, least cost from the root.
    states: list[dict[int, list[int]]] = [{0: [0, 0]}]
    refinement, left_over = [], MOST_ARCS
    for left, layer, ahead in zip(range(len(layers) - 1, -1, -1), layers, costs[1:], strict=True):
        finer, size = Layer(), 0
        following: list[dict[int, list[int]]] = [{} for _ in ahead]
        for old, rounds, k, to in layer.arcs():
            step = scale * rounds - multipliers[k]
            allowance.take(1)
            if old >= len(states) or to >= len(ahead) or not states[old]:
                continue
            allowance.take(len(states[old]))
            for started, (number, cost) in states[old].items():
                after = started + (k == counted)
                if cost + step + ahead[to] > limit or after > count or count - after > left:
                    continue
                state = following[to].get(after)
                if state is None:
                    following[to][after] = state = [size, cost + step]
                    size += 1
                state[1] = min(state[1], cost + step)
                finer.add(number, rounds, k, state[0])
                left_over -= 1
                if left_over < 0:
                    raise Refusal(f"there are more than {MOST_ARCS} starts to look at")
        if size == 0:
            return []
        refinement.append(finer)
        states = following
    return refinement


# ---------------------------------------------------------------- the packing certificate


def check_packing(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Bound by rewards: what all requests earn, less the price of all memory, less the largest gain of a packing.

    A start gains its type's reward, less its latency and its priced memory. Those runs of a schedule that gain
    anything fit together: a packing.
    """
    packing = Packing(problem, certificate)
    packing.sweep(problem)
    return packing.value


class Packing:
    """All packings of the starts that gain something, in labels: memory of the rounds to come, and gain.

    A candidate is a label with further starts in the round; the certificate names the label that stands for it in the
    next round, which holds no more memory than any candidate that it stands for and has gained no less.

    Parameters
    ----------
    problem : Problem
    certificate : mapping
    unit : int, optional
        All values are given in units of ``1 / unit`` rounds; by default the certificate's denominator.
    """

    def __init__(self, problem: Problem, certificate: Mapping[str, Any], unit: int | None = None) -> None:
        self.denominator, self.prices, _ = read_prices(certificate)
        denominator = self.denominator
        self.unit = denominator if unit is None else unit
        if self.unit % denominator:
            raise Refusal("the denominator of a packing must divide that of the search")
        self.scale = self.unit // denominator
        rewards = whole_list(certificate, "rewards", 0)
        if len(rewards) != len(problem.types):
            raise Refusal("there must be one reward for each type")
        total = sum(count * reward for (*_, count), reward in zip(problem.types, rewards, strict=True))
        self.total = self.scale * (total - problem.capacity * self.prices.sums(0)[1])
        self.types, self.rewards = problem.types, rewards
        self.gains: dict[tuple[int, int], int] = {}
        #: By candidate and type: the candidate with one more start. By candidate: what becomes of it in the next round
        #: that has any, and the most that further starts gain; the last of them is the end.
        self.child: dict[int, int] = {}
        self.next_place, self.to_come = array("q"), [0]
        #: The rounds that have candidates.
        self.rounds: set[int] = set()
        self.known_prices: dict[int, int] = {}
        #: Names of labels, and the most that a packing gains.
        self.codes, self.most = certificate.get("codes"), 0

    @property
    def value(self) -> int:
        """The bound."""
        return -((self.most - self.total) // self.unit)

    def starts(self, problem: Problem, bits: int) -> list[tuple[int, list[tuple[int, int, int, int]]]]:
        """The rounds with starts that gain something, and these: `profitable_starts`."""
        return sorted(profitable_starts(problem, self.denominator, self.prices, self.rewards, bits).items())

    def sweep(self, problem: Problem, *, followed: bool = False) -> None:
        """Follow all labels.

        If `followed`, partial schedules will be followed along the candidates (`start`, `after`, `to_come`).
        """
        numbers = read_varints(self.codes)
        bits = problem.capacity.bit_length() + 1
        cells = sum(1 << bits * j for j in range(max(problem.output)))
        # The highest bit of each cell is free: there a subtraction leaves whether the cell was large enough.
        guard = cells << bits - 1
        full = guard + problem.capacity * cells
        labels, now, kinds = [(0, 0)], 0, len(problem.types)
        allowance = Allowance(bits * max(problem.output))
        # Candidates of a round are held up to four times: as tried, as fitting, as all, and as labels.
        fitting = min(MOST_CANDIDATES, MOST_BYTES // 4 // allowance.profile)
        # If asked for, of each candidate the one before its last start, and that start's gain.
        parents: list[tuple[int, int]] = []
        first = 0
        try:
            for t, starts in self.starts(problem, bits):
                candidates = [(profile >> bits * (t - now), gain) for profile, gain in labels]
                if followed:
                    parents += [(-1, 0)] * len(candidates)
                    self.rounds.add(t)
                for k, more, count, run in starts:
                    begin, end = 0, len(candidates)
                    for _ in range(count):
                        allowance.take(end - begin)
                        runs = [(profile + run, gain + more) for profile, gain in candidates[begin:end]]
                        places = [x for x, (profile, _) in enumerate(runs) if (full - profile) & guard == guard]
                        if not places:
                            break
                        if followed:
                            allowance.take(len(places), 300 * len(places))
                            for new, x in enumerate(places, first + len(candidates)):
                                self.child[(first + begin + x) * kinds + k] = new
                                parents.append((first + begin + x, self.scale * more))
                        candidates += [runs[x] for x in places]
                        begin, end = end, len(candidates)
                        if end > fitting:
                            raise Refusal(f"a round has more than {fitting} candidates")
                labels = []
                first += len(candidates)
                allowance.take(len(candidates))
                for profile, gain in candidates:
                    profile, code = profile >> bits, next(numbers)
                    if code == 0:
                        labels.append((profile, gain))
                    elif code > len(labels):
                        raise Refusal("a candidate has no label")
                    else:
                        least, most = labels[-code]
                        labels[-code] = cellwise_least(profile, least, guard, bits), max(gain, most)
                    if followed:
                        # Labels come first among the candidates of a round.
                        self.next_place.append(first + (len(labels) - 1 if code == 0 else len(labels) - code))
                now = t + 1
        except StopIteration:
            raise Refusal("the codes end too early") from None
        if next(numbers, None) is not None:
            raise Refusal("there are more codes than candidates")
        self.most = self.scale * max(gain for _, gain in labels)
        if followed:
            self.look_back(parents)

    def look_back(self, parents: list[tuple[int, int]]) -> None:
        """Find `to_come`: later candidates are settled before those from which they come."""
        end = len(parents)
        self.to_come = [0] * (end + 1)
        for x in range(end - 1, -1, -1):
            self.next_place[x] = following = min(self.next_place[x], end)
            best = max(self.to_come[x], self.to_come[following])
            self.to_come[x] = best
            parent, more = parents[x]
            if parent >= 0 and best + more > self.to_come[parent]:
                self.to_come[parent] = best + more
        self.next_place.append(end)

    def idle(self, first: int, end: int, tokens: int) -> int:
        """Price of so many tokens in rounds `first` to `end` - 1."""
        return tokens * (self.price_from(first) - self.price_from(end))

    def price_from(self, t: int) -> int:
        """Price of a token from round t on."""
        price = self.known_prices.get(t)
        if price is None:
            price = self.known_prices[t] = self.scale * self.prices.sums(t)[1]
        return price

    def bound(self, place: int, lost: int) -> int:
        """Least total latency of what a partial schedule at that candidate may become, which lost so much so far."""
        return self.total + lost - self.to_come[place]

    def after(self, place: int, r: int) -> int:
        """The candidate that a partial schedule is at once round r has passed."""
        return self.next_place[place] if r in self.rounds else place

    def start(self, place: int, r: int, k: int) -> tuple[int, int]:
        """The candidate after a start of type k in round r, and what that gains, or loses.

        A start that does not gain has no candidate: what it holds is left out.
        """
        gain = self.gains.get((r, k))
        if gain is None:
            s, o, a, _ = self.types[k]
            gain = self.unit * (a - r - o) + self.scale * (self.rewards[k] - self.prices.memory(s, o, r))
            self.gains[r, k] = gain
        return self.child.get(place * len(self.types) + k, place) if r in self.rounds else place, gain


def profitable_starts(
    problem: Problem, denominator: int, prices: Prices, rewards: list[int], bits: int
) -> dict[int, list[tuple[int, int, int, int]]]:
    """For each round the types that gain by a start: type, gain, number of requests, memory profile of a run."""
    if max(problem.output) > MOST_OUTPUT:
        raise Refusal(f"outputs may have {MOST_OUTPUT} tokens at most")
    found: dict[int, list[tuple[int, int, int, int]]] = {}
    left = MOST_PRICED_STARTS
    for k, ((s, o, a, count), reward) in enumerate(zip(problem.types, rewards, strict=True)):
        run = sum((s + j + 1) << bits * j for j in range(o))
        # From `end` on the latency alone is no less than the reward.
        end = a + max(0, -(-reward // denominator) - o)
        left -= end - a
        if left < 0:
            raise Refusal(f"rewards may make {MOST_PRICED_STARTS} starts worth a look at most")
        for p in range(a, end):
            gain = reward - (p + o - a) * denominator - prices.memory(s, o, p)
            if gain > 0:
                found.setdefault(p, []).append((k, gain, count, run))
    return found


def cellwise_least(x: int, y: int, guard: int, bits: int) -> int:
    """The lesser of each two cells."""
    above = ((x | guard) - y) & guard
    take_y = above - (above >> bits - 1)
    return (y & take_y) | (x & ~take_y)


def unzigzag(number: int) -> int:
    """0, 1, 2, 3, ... become 0, -1, 1, -2, ..."""
    return -(number + 1) // 2 if number & 1 else number // 2


def unpacked(text: Any) -> bytes:
    """The bytes behind base64 and zlib."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), MOST_CODES)
    except (TypeError, ValueError, zlib.error) as error:
        raise Refusal(f"codes cannot be unpacked ({error})") from None
    if not unpacker.eof:
        raise Refusal(f"codes are cut off, or longer than {MOST_CODES} bytes")
    return data


def read_varints(text: Any) -> Iterator[int]:
    """The integers of a base64, zlib, seven-bits-a-byte stream."""
    number = shift = 0
    for byte in unpacked(text):
        if byte < 128:
            yield number | byte << shift
            number = shift = 0
        else:
            number |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise Refusal("codes hold an integer of more than 63 bits")


# ---------------------------------------------------------------- the tree certificate


def check_tree(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Bound by a closed tree over starts: at no leaf is there a schedule below the threshold.

    A node knows ``known[i][j] <= p_j - p_i`` for all requests i, j; request n stands for round 0. A pair splits it: i
    runs in the last round of j, or starts later, or has completed. Memory in last rounds is linear in the starts then,
    and a leaf adds up such rows, each with a factor, so that the starts must sum to the threshold or contradict.
    """
    n, output = len(problem.output), problem.output
    threshold, waits = whole(certificate, "threshold", 0), whole(certificate, "waits", 0)
    if n > MOST_TREE_REQUESTS:
        raise Refusal(f"a tree may have {MOST_TREE_REQUESTS} requests at most")
    if waits < threshold - sum(output) - 1:
        raise Refusal("schedules below the threshold may wait longer")
    least_sum = threshold - sum(output) + sum(problem.arrival)
    numbers = read_varints(certificate.get("codes"))
    pending: list[tuple[Known | None, Cuts]] = [(known_at_root(problem, waits), ())]
    try:
        while pending:
            known, cuts = pending.pop()
            if known is None:
                continue
            if len(pending) > MOST_PENDING:
                raise Refusal(f"more than {MOST_PENDING} nodes wait for their turn")
            while (code := next(numbers)) == 1:
                if len(cuts) == MOST_CUTS:
                    raise Refusal(f"there are more than {MOST_CUTS} cuts on a path")
                cuts = (*cuts, rounded_up(next(numbers), *combination(problem, known, cuts, numbers), known))
            if code == 0:
                weight = next(numbers)
                factors, total = combination(problem, known, cuts, numbers)
                if max(factors) > weight:
                    raise Refusal("a leaf counts a start more than once")
                total += sum((weight - factor) * first for factor, first in zip(factors, known[n], strict=False))
                if total <= weight * (least_sum - 1):
                    raise Refusal("a leaf does not prove the threshold")
                continue
            if code == 2:
                i, last = next(numbers), next(numbers)
                if i >= n:
                    raise Refusal("a split names no request")
                children = [learnt(known, (i, n, -last)), learnt(known, (n, i, last + 1))]
            else:
                pair, order = divmod(code - 3, len(ORDERS))
                j, i = divmod(pair, n)
                if j >= n or i == j:
                    raise Refusal("a split names no pair of requests")
                later = learnt(known, (j, i, output[j]))
                completed = learnt(known, (i, j, output[i] - output[j] + 1))
                runs = learnt(known, (i, j, 1 - output[j]), (j, i, output[j] - output[i]))
                children = [(later, completed, runs)[case] for case in ORDERS[order]]
            pending += [(child, cuts) for child in reversed(children)]
    except StopIteration:
        raise Refusal("the codes end too early") from None
    if next(numbers, None) is not None:
        raise Refusal("there are more codes than nodes")
    return threshold


def known_at_root(problem: Problem, waits: int) -> Known | None:
    """Starts at arrival or up to `waits` rounds later; equal shapes start in the order of arrival."""
    n = len(problem.output)
    first, last = [*problem.arrival, 0], [*(a + waits for a in problem.arrival), 0]
    known: Known | None = [[0 if i == j else first[j] - last[i] for j in range(n + 1)] for i in range(n + 1)]
    shapes = list(zip(problem.prompt, problem.output, strict=True))
    order = sorted(range(n), key=lambda i: (shapes[i], problem.arrival[i], i))
    for i, j in pairwise(order):
        if known is not None and shapes[i] == shapes[j]:
            known = learnt(known, (i, j, 0))
    return known


def learnt(known: Known, *facts: tuple[int, int, int]) -> Known | None:
    """What is known after learning ``p_j - p_i >= distance`` for each (i, j, distance); None for a contradiction."""
    for i, j, distance in facts:
        if known[j][i] + distance > 0:
            return None
        if known[i][j] < distance:
            after = known[j]
            known = [
                [max(x, row[i] + distance + y) for x, y in zip(row, after, strict=True)]
                if row[i] + distance > row[j]
                else row
                for row in known
            ]
    return known


def combination(problem: Problem, known: Known, cuts: Cuts, numbers: Iterator[int]) -> tuple[list[int], int]:
    """Factor of each start, and right side, of a sum of rows ``factors * starts >= right side`` that hold at a node."""
    n, size, output = len(problem.output), len(known), problem.output
    factors, total = [0] * size, 0
    for _ in range(next(numbers)):
        row = next(numbers)
        if row < size * size:
            # p_j - p_i >= known[i][j]
            (i, j), times = divmod(row, size), next(numbers)
            factors[i] -= times
            factors[j] += times
            total += times * known[i][j]
        elif row < size * size + n:
            # Memory in the last round of j: peak_j + sum (s_i + p_j + o_j - p_i) <= M, over requests i that surely run.
            j, held, times = row - size * size, next(numbers), next(numbers)
            total += times * (problem.prompt[j] + output[j] - problem.capacity)
            for i in range(held.bit_length()):
                if held >> i & 1:
                    if i >= n or i == j or known[i][j] < 1 - output[j] or known[j][i] < output[j] - output[i]:
                        raise Refusal("a request need not run in that last round")
                    factors[i] += times
                    factors[j] -= times
                    total += times * (problem.prompt[i] + output[j])
        else:
            number, times = row - size * size - size, next(numbers)
            if not 0 <= number < len(cuts):
                raise Refusal("there is no such cut")
            factors = [x + times * y for x, y in zip(factors, cuts[number][0], strict=True)]
            total += times * cuts[number][1]
    factors[n] = 0  # round 0
    return factors, total


def rounded_up(unit: int, factors: list[int], total: int, known: Known) -> tuple[list[int], int]:
    """The row over `unit`: factors are made divisible by adding first rounds, then the right side is rounded up."""
    if unit < 1:
        raise Refusal("a cut divides by nothing")
    total += sum(-factor % unit * first for factor, first in zip(factors, known[-1], strict=True))
    row = [-(-factor // unit) for factor in factors]
    if max(map(abs, row)) > LARGEST * LARGEST or abs(total) > unit * LARGEST * LARGEST:
        raise Refusal("the numbers of a cut are too large")
    return row, -(-total // unit)


#: By kind, what tells the bound that a certificate proves, or raises Refusal.
Checks = Mapping[str, Callable[[Problem, Mapping[str, Any]], int]]
CHECKS: Checks = {
    "volume": check_volume,
    "prices": check_prices,
    "growth": check_growth,
    "room": check_room,
    "flow": check_flow,
    "packing": check_packing,
    "search": check_search,
    "tree": check_tree,
    "sublimation": check_sublimation,
}


def is_whole(value: Any, least: int, most: int = LARGEST) -> bool:
    """Whether a JSON value is an integer (no boolean, no float) within the range."""
    return type(value) is int and least <= value <= most


def shown(value: Any) -> str:
    """A JSON value for a message; Python refuses to print integers of thousands of digits."""
    return "more than 2^62" if type(value) is int and value > LARGEST else repr(value)[:60]


def whole(certificate: Mapping[str, Any], key: str, least: int) -> int:
    """An integer entry of a certificate, from `least` to 2^62."""
    value = certificate.get(key)
    if not is_whole(value, least):
        raise Refusal(f"{key} must be an integer of at least {least}, got {shown(value)}")
    assert isinstance(value, int)
    return value


def whole_list(certificate: Mapping[str, Any], key: str, least: int) -> list[int]:
    """A list entry of a certificate whose elements are integers from `least` to 2^62."""
    values = certificate.get(key)
    if not isinstance(values, list):
        raise Refusal(f"{key} must be a list")
    for t, value in enumerate(values):
        if not is_whole(value, least):
            raise Refusal(f"{key}[{t}] must be an integer of at least {least}, got {shown(value)}")
    return values


def check_certificate(problem: Problem, certificate: Mapping[str, Any], checks: Checks = CHECKS) -> int:
    """The lower bound that a certificate proves; raises Refusal when it proves none."""
    kind = certificate.get("kind")
    if not isinstance(kind, str) or kind not in checks:
        raise Refusal(f"unknown certificate kind {kind!r}")
    return checks[kind](problem, certificate)


# ---------------------------------------------------------------- results


def malformed(problem: Problem, result: Any) -> list[Violation]:
    """What is not of the right type in a result file's JSON object; nothing else is looked at then."""
    if not isinstance(result, Mapping):
        return [Violation("format", "$", "a result is an object")]
    found = []

    def expect(ok: bool, key: str, rule: str) -> None:
        if not ok:
            found.append(Violation("format", key, rule))

    starts = result.get("starts")
    fine = starts is None or (isinstance(starts, list) and all(is_whole(p, 0) for p in starts))
    expect(fine, "starts", "null or a list of integers of at least 0")
    for key in ("total_latency", "lower_bound"):
        value = result.get(key)
        expect(value is None or is_whole(value, -LARGEST, LARGEST * LARGEST), key, "null or an integer")
    expect(result.get("status") in ("optimal", "feasible", "infeasible", "unknown"), "status", "no such status")
    instance = result.get("instance")
    fine = isinstance(instance, Mapping) and isinstance(instance.get("digest"), str)
    expect(fine, "instance.digest", "a string")
    fine = result.get("certificate") is None or isinstance(result.get("certificate"), Mapping)
    expect(fine, "certificate", "null or an object")
    return found


def verify_result(problem: Problem, result: Mapping[str, Any], checks: Checks = CHECKS) -> Verification:
    """Check every claim of a result file's JSON object against the instance; `checks` by kind of certificate."""
    wrong = malformed(problem, result)
    if wrong:
        return Verification(REFUSED, None, None, tuple(wrong))
    found: list[Violation] = []
    expected = problem.digest
    given = result["instance"]["digest"]
    if given != expected:
        found.append(Violation("same instance", "instance.digest", f"{given} is not {expected}"))
    value = None
    starts = result.get("starts")
    if starts is not None:
        found += schedule_violations(problem.capacity, problem.prompt, problem.output, problem.arrival, starts)
        if len(starts) == len(problem.output):
            value = total_latency(problem.output, problem.arrival, starts)
    if result.get("total_latency") != value:
        detail = f"claimed {result.get('total_latency')}, the starts give {value}"
        found.append(Violation("objective", "total_latency", detail))
    claimed = result.get("lower_bound")
    status = result.get("status")
    if claimed is not None and value is not None and claimed > value:
        found.append(Violation("lower bound <= total latency", "lower_bound", f"{claimed} is above {value}"))
    if status == "infeasible":
        found.append(Violation("status", "status", "every instance has a schedule: one request after the other"))
    if status == "optimal" and (value is None or claimed != value):
        found.append(Violation("status", "status", f"optimal, yet bound {claimed} and total latency {value} differ"))
    if (status == "unknown") != (starts is None) and status != "infeasible":
        found.append(Violation("status", "status", f"{status!r} does not go with the starts given"))
    certified = None
    certificate = result.get("certificate")
    if certificate is not None:
        try:
            certified = check_certificate(problem, certificate, checks)
        except Refusal as refusal:
            found.append(Violation("certificate", f"certificate of kind {certificate.get('kind')!r}", str(refusal)))
        else:
            if certified != claimed:
                detail = f"claimed {claimed}, the certificate gives {certified}"
                found.append(Violation("lower bound = certified bound", "lower_bound", detail))
    if found:
        return Verification(REFUSED, value, None, tuple(found))
    if certified is not None:
        return Verification(PROVED, value, certified)
    return Verification(FEASIBLE if starts is not None else NOTHING, value, None)


def verify(result: Any, checks: Checks = CHECKS) -> Verification:
    """Verify a `kvopt.model.Result` (its claims, not its origin).

    >>> from kvopt import Instance, solve
    >>> verify(solve(Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3]), "mc-sf")).verdict
    'FEASIBLE'
    """
    instance, schedule, certificate = result.instance, result.schedule, result.certificate
    claims = {
        "instance": {"digest": instance.digest},
        "status": str(result.status),
        "total_latency": result.total_latency,
        "lower_bound": result.lower_bound,
        "starts": None if schedule is None else schedule.starts.tolist(),
        "certificate": None if certificate is None else certificate.as_dict(),
    }
    return verify_result(Problem.of(instance), claims, checks)


def problem_of(raw: Any) -> Problem:
    """The plain problem in an instance file's JSON object; raises Refusal for anything that is no instance."""
    top = (1 << 31) - 1
    rows = raw.get("requests") if isinstance(raw, Mapping) else None
    if not isinstance(rows, list) or not rows or not is_whole(raw.get("capacity"), 1, top):
        raise Refusal("an instance has a capacity and a list of requests")
    columns: list[list[int]] = [[], [], []]
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise Refusal(f"requests[{i}] is not an object")
        values = [row.get("prompt"), row.get("output"), row.get("arrival", 0), row.get("count", 1)]
        if not all(is_whole(value, least, top) for value, least in zip(values, (0, 1, 0, 1), strict=True)):
            raise Refusal(f"requests[{i}] has a value that is no integer or out of range")
        if values[0] + values[1] > raw["capacity"]:
            raise Refusal(f"requests[{i}] can never run: prompt + output exceeds the capacity")
        if len(columns[0]) + values[3] > MOST_REQUESTS:
            raise Refusal(f"more than {MOST_REQUESTS} requests")
        for column, value in zip(columns, values, strict=False):
            column += [value] * values[3]
    return Problem(raw["capacity"], *columns)


def no_number(text: str) -> None:
    """JSON has no NaN and no infinities, though Python's reader knows them."""
    raise ValueError(f"{text} is no JSON number")


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one that says two things of one member is refused, as readers differ in which they take."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"member {key!r} is given twice")
        found[key] = value
    return found


def main(arguments: Sequence[str]) -> int:
    """``python verify.py INSTANCE RESULT``: print the verdict; exit code 1 if refused, 2 for unusable files."""
    if len(arguments) != 2:
        print("usage: python verify.py INSTANCE RESULT", file=sys.stderr)
        return 2
    raw = []
    try:
        for path in arguments:
            with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as file:
                text = file.read().decode()
            raw.append(json.loads(text, parse_constant=no_number, object_pairs_hook=members))
        problem = problem_of(raw[0])
    except (OSError, EOFError, ValueError, RecursionError, zlib.error, Refusal) as error:
        # What is read but refused is the instance.
        print(f"{arguments[0 if isinstance(error, Refusal) else min(len(raw), 1)]}: {error}", file=sys.stderr)
        return 2
    verification = verify_result(problem, raw[1])
    print(f"{verification.verdict}  total latency {verification.total_latency}, bound {verification.lower_bound}")
    for violation in verification.violations:
        print(f"  {violation}")
    return 0 if verification.verdict in (PROVED, FEASIBLE) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
