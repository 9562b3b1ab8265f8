"""The packing bound: whole requests in whole memory, each of them at liberty to run more than once or not at all.

Let request i earn a reward when it starts, and let latency and priced memory be its cost. Every schedule pays all
costs and earns all rewards, so its total latency is at least the rewards, less the price of all memory, less the
largest gain (reward less cost) of any *packing*: any set of runs that fit into memory, with no regard to how often
a request is among them. The largest gain comes from a dynamic programme over rounds whose state is the memory
profile of the running requests; labels that hold no less than another and have gained no more are dropped.

With no prices this relaxes nothing but "each request once" and is within a few per cent of the optimum; but then
everything may start at any time and labels are many. With the linear programme's prices there are none at
all, and the bound is that of `kvopt.bounds.prices`. In between, prices are kept for the early rounds, in which many
small requests run and memory is well used, and dropped for the later ones, in which few large requests leave a
third of it idle. Rewards and prices are then improved together by ascent. docs/certificates.md has the proof and
the certificate.

The relaxation is that of Tanaka, Fujikuma and Araki (Journal of Scheduling 12, 2009) for one machine, with memory
profiles in place of a busy machine, and joined with the prices of the time-indexed linear programme.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kvopt.bounds import prices as plain
from kvopt.bounds.bound import Bound
from kvopt.bounds.prices import MemoryPrices
from kvopt.model import Certificate, FloatArray, Instance, IntArray

#: Denominator of rewards and prices.
DENOMINATOR = 2**16
#: Longest output, most tokens of capacity, most requests and most rounds of a schedule for which packings are tried.
MAX_OUTPUT, MAX_CAPACITY, MAX_REQUESTS, MAX_ROUNDS = 256, 2**15 - 1, 400, 20_000
#: Prices may end at these parts of the schedule's length; tried one by one, as long as a sweep is affordable.
PRICED_SHARES = (1.4, 1.0, 0.75, 0.55, 0.45, 0.4, 0.35, 0.3, 0.27, 0.24, 0.21, 0.18, 0.15, 0.1, 0.05, 0.0)
#: They begin to fall at this part of that, and are this many times what remaining requests and capacity suggest.
FULL_SHARE, PRICE_FACTOR, REWARD_FACTOR = 0.62, 1.15, 0.94
#: Comparisons made per second on an ordinary core; least number of sweeps for a start to be affordable.
WORK_PER_S, LEAST_SWEEPS = 4e8, 25
#: Work of a sweep besides comparisons; most sweeps.
SWEEP_WORK, MOST_SWEEPS = 500_000, 300
#: Most candidates of a sweep: memory, and the length of the certificate.
MOST_CANDIDATES = 3_000_000
#: Smoothing of the maximum, first and last, and first step of rewards, as parts of the largest reward; first
#: relative step of prices.
SMOOTHING, REWARD_STEP, PRICE_STEP = (0.0002, 0.0001), 0.015, 0.03


@dataclass(frozen=True, eq=False)
class Rewards:
    """Rewards of the types and memory prices, both in units of ``1 / DENOMINATOR`` rounds.

    Attributes
    ----------
    reward : int64 array of shape (K,), >= 0
    price : int64 array of shape (R,), >= 0
        Per token; later rounds cost nothing.
    """

    reward: IntArray
    price: IntArray

    def gains(self, instance: Instance) -> IntArray:
        """Reward less latency and priced memory of a start of each type in each round, >= 0, shape (rounds, K)."""
        types = instance.types
        last = int((self.reward // DENOMINATOR - types.output + types.arrival).max())
        longest = max(last, len(self.price)) + int(types.output.max()) + 2
        once = np.zeros(longest, dtype=np.int64)
        once[: len(self.price)] = np.cumsum(self.price[::-1])[::-1]
        twice = np.cumsum(once[::-1])[::-1]
        start = np.arange(max(last + 1, 0))[:, None]
        end = start + types.output
        memory = types.prompt * (once[start] - once[end]) + twice[start] - twice[end] - types.output * once[end]
        gain = self.reward - (end - types.arrival) * DENOMINATOR - memory
        return np.maximum(np.where(start >= types.arrival, gain, 0), 0)


class Swept(NamedTuple):
    """What `kvopt.bounds.packing_kernels.sweep` returns."""

    complete: bool
    best: int
    work: int
    parent: np.ndarray
    kind: np.ndarray
    group: np.ndarray
    soft: FloatArray
    label_soft: FloatArray
    round_of: IntArray
    first: IntArray


class Packing:
    """The dynamic programme over packings of an instance."""

    def __init__(self, instance: Instance) -> None:
        types = instance.types
        self.instance, self.types = instance, types
        self.bits = 8 if instance.capacity < 128 else 16
        cells = 64 // self.bits
        self.words = -(-int(types.output.max()) // cells)
        shapes = np.zeros((len(types), self.words * cells), dtype=np.uint64)
        for k, (s, o) in enumerate(zip(types.prompt.tolist(), types.output.tolist(), strict=True)):
            shapes[k, :o] = s + 1 + np.arange(o)
        place = np.uint64(self.bits) * np.arange(cells, dtype=np.uint64)
        self.shapes = (shapes.reshape(len(types), self.words, cells) << place).sum(axis=2, dtype=np.uint64)
        self.capacity = (np.uint64(instance.capacity) << place).sum(dtype=np.uint64, keepdims=True)
        self.high = (np.uint64(1 << (self.bits - 1)) << place).sum(dtype=np.uint64, keepdims=True)

    def sweep(self, rewards: Rewards, smoothing: float, most_work: float = 2.0**62) -> Swept:
        """The largest gain of a packing, and what is needed to follow where it comes from."""
        from kvopt.bounds.packing_kernels import sweep

        gains = rewards.gains(self.instance)
        worth = np.full(len(gains), float(self.instance.n) / self.instance.capacity * DENOMINATOR)
        given = self.shapes, self.types.volume, self.types.count, gains, worth, self.capacity, self.high, self.bits
        return Swept(*sweep(*given, float(DENOMINATOR), smoothing, MOST_CANDIDATES, int(most_work)))

    def value(self, rewards: Rewards, swept: Swept) -> int:
        """The bound, rounded up to an integer; exact."""
        total = sum(r * c for r, c in zip(rewards.reward.tolist(), self.types.count.tolist(), strict=True))
        total -= self.instance.capacity * sum(rewards.price.tolist()) + int(swept.best)
        return -(-total // DENOMINATOR)

    def slopes(self, swept: Swept, smoothing: float, rounds: int) -> tuple[FloatArray, FloatArray]:
        """Direction in which rewards and prices raise the smoothed bound."""
        from kvopt.bounds.packing_kernels import expected_starts

        horizon = int(swept.round_of[-1]) + 1 if len(swept.round_of) else 1
        starts = expected_starts(*swept[3:], smoothing, len(self.types), horizon)
        held = np.zeros(max(rounds, horizon) + int(self.types.output.max()))
        for k, (s, o) in enumerate(zip(self.types.prompt.tolist(), self.types.output.tolist(), strict=True)):
            held[: horizon + o - 1] += np.convolve(starts[:, k], s + 1 + np.arange(o))
        return self.types.count - starts.sum(axis=0), held[:rounds] - self.instance.capacity


def first_rewards(instance: Instance, starts: IntArray, share: float) -> tuple[FloatArray, FloatArray]:
    """Rewards of the types and prices that fit a given schedule, prices falling to zero at `share` of its length.

    A round of a full worker is worth as many rounds of latency as there are requests waiting and running. Where
    memory is priced, each token costs its share of that; where it is not, the runs of the round share that in
    proportion to the tokens they hold, as part of their rewards.
    """
    length = int((starts + instance.output).max())
    held, present = np.zeros(length), np.zeros(length)
    runs = list(
        zip(*(column.tolist() for column in (instance.prompt, instance.output, instance.arrival, starts)), strict=True)
    )
    for s, o, a, p in runs:
        held[p : p + o] += s + 1 + np.arange(o)
        present[a : p + o] += 1
    end = share * length
    rounds = np.arange(length)
    priced = np.clip((end - rounds) / max((1 - FULL_SHARE) * end, 1.0), 0, 1)
    price = PRICE_FACTOR * priced * present / instance.capacity
    each = (1 - priced) * present / np.maximum(held, 1)
    reward = np.empty(instance.n)
    for i, (s, o, a, p) in enumerate(runs):
        reward[i] = p + o - a + ((price + each)[p : p + o] * (s + 1 + np.arange(o))).sum()
    types = instance.types
    mean = np.bincount(types.of_request, weights=reward) / types.count
    return REWARD_FACTOR * mean, price


def rounded(reward: FloatArray, price: FloatArray) -> Rewards:
    """Rewards and prices as integers over the denominator."""
    whole = [np.rint(np.maximum(values, 0) * DENOMINATOR).astype(np.int64) for values in (reward, price)]
    return Rewards(whole[0], np.trim_zeros(whole[1], "b"))


def bound(instance: Instance, *, time_limit_s: float = 10.0) -> Bound:
    """The packing bound, or the price bound where packings are too many or prove less.

    Examples
    --------
    >>> inst = Instance.from_rows(9, [(1, 4, 3), (2, 6, 3)])
    >>> found = bound(inst, time_limit_s=0.5)
    >>> found.value, found.certificate.kind, plain.bound(inst, time_limit_s=0.5).value
    (71, 'packing', 61)
    """
    below = plain.bound(instance, time_limit_s=time_limit_s)
    return improved(instance, below, time_limit_s=time_limit_s)


def first_schedule(instance: Instance) -> IntArray:
    """Starts of the better of shortest-first and smallest-volume-first."""
    from kvopt.policies.backlog import list_schedule

    schedules = [list_schedule(instance, np.argsort(key, kind="stable")) for key in (instance.output, instance.volume)]
    return min(schedules, key=lambda starts: int(starts.sum()))


def improved(
    instance: Instance,
    below: Bound,
    starts: IntArray | None = None,
    *,
    time_limit_s: float = 10.0,
    stopped: Callable[[], bool] = lambda: False,
) -> Bound:
    """A packing bound above a given one, if one is found.

    Parameters
    ----------
    instance : Instance
    below : Bound
        Returned if nothing better is found.
    starts : int64 array of shape (n,), optional
        A schedule, from which the ascent begins; by default `first_schedule`.
    time_limit_s : float
        Budget in nominal seconds; equal arguments give equal bounds.
    stopped : callable
        Asked after every sweep, that is after up to a twelfth of the budget, whether to end with what has been found.
    """
    small = int(instance.output.max()) <= MAX_OUTPUT and instance.capacity <= MAX_CAPACITY
    if not small or instance.n > MAX_REQUESTS:
        return below
    starts = first_schedule(instance) if starts is None else starts
    if int((starts + instance.output).max()) > MAX_ROUNDS:
        return below
    packing = Packing(instance)
    found = ascend(packing, starts, WORK_PER_S * time_limit_s, stopped)
    if found is None:
        return below
    swept = packing.sweep(found, 1.0)
    value = packing.value(found, swept)
    return Bound(value, certificate(found, swept)) if value > below.value else below


def ascend(packing: Packing, starts: IntArray, work: float, stopped: Callable[[], bool]) -> Rewards | None:
    """Rewards and prices with a large bound; None where not even the first are affordable.

    Steps along the smoothed slopes, each coordinate scaled by the size of its recent slopes (Kingma and Ba, Adam,
    arXiv 1412.6980), ever shorter, and with an ever sharper maximum.
    """
    instance, spent = packing.instance, 0.0
    latency = int((starts + instance.output - instance.arrival).sum())
    largest = float(first_rewards(instance, starts, PRICED_SHARES[-1])[0].max())
    smoothing, swept, best, best_value = SMOOTHING[0] * largest, None, None, -1
    for share in PRICED_SHARES:
        candidate = first_rewards(instance, starts, share)
        rewards = rounded(*candidate)
        tried = packing.sweep(rewards, smoothing, work / LEAST_SWEEPS)
        spent += tried.work + SWEEP_WORK
        if not tried.complete or stopped():
            break
        value = packing.value(rewards, tried)
        if value > best_value:
            (reward, price), swept, best, best_value = candidate, tried, rewards, value
    if swept is None:
        return None
    scale = np.maximum(price, PRICE_FACTOR / instance.capacity)
    point = np.concatenate((reward, price))
    mean, square = np.zeros(len(point)), np.zeros(len(point))
    count, step, number = len(reward), 1.0, 0
    best_point = point
    while True:
        rewards = rounded(point[:count], point[count:])
        part = min(1.0, max(spent / work, number / MOST_SWEEPS))
        smoothing = largest * SMOOTHING[0] * (SMOOTHING[1] / SMOOTHING[0]) ** part
        if number > 0:
            swept = packing.sweep(rewards, smoothing, 4 * work / LEAST_SWEEPS)
            spent += swept.work + SWEEP_WORK
        if not swept.complete:
            point, step = best_point, step / 2
            mean[:] = 0
        else:
            value = packing.value(rewards, swept)
            if value > best_value:
                best, best_value, best_point = rewards, value, point
            slope = np.concatenate(packing.slopes(swept, smoothing, len(price)))
            slope[:count] /= packing.types.count
            slope[count:] /= instance.capacity
            mean = 0.8 * mean + 0.2 * slope
            square = 0.98 * square + 0.02 * slope * slope
        if part == 1.0 or stopped() or best_value >= latency:
            return best
        number += 1
        move = mean / (1 - 0.8**number) / (np.sqrt(square / (1 - 0.98**number)) + 0.02) * step * (1 - 0.95 * part)
        move[:count] *= REWARD_STEP * largest
        move[count:] *= PRICE_STEP * scale
        point = np.maximum(point + move, 0)


def certificate(rewards: Rewards, swept: Swept) -> Certificate:
    """Rewards, prices, and for each candidate its label: 0 for a new one, else how far back it is."""
    codes = []
    for begin, end in zip(swept.first[:-1].tolist(), swept.first[1:].tolist(), strict=True):
        label = swept.group[begin:end].astype(np.int64)
        newest = np.maximum.accumulate(label)
        new = np.diff(newest, prepend=label[0] - 1) > 0
        codes.append(np.where(new, 0, newest - label + 1))
    stream = varints(np.concatenate(codes)) if codes else b""
    prices = plain.certificate(MemoryPrices(rewards.price, DENOMINATOR)).data
    text = base64.b64encode(zlib.compress(stream, 6)).decode()
    return Certificate("packing", {**prices, "rewards": rewards.reward.tolist(), "codes": text})


def varints(values: IntArray) -> bytes:
    """Unsigned integers in groups of seven bits, the low ones first, the high bit set on all but an integer's last.

    >>> varints(np.array([5, 300])).hex(" ")
    '05 ac 02'
    """
    groups = max(1, -(-int(values.max(initial=0)).bit_length() // 7))
    rest = values[:, None] >> 7 * np.arange(groups)
    more = np.append(rest[:, 1:] > 0, np.zeros((len(values), 1), dtype=bool), axis=1)
    return (rest & 127 | more << 7).astype(np.uint8)[(rest > 0) | (np.arange(groups) == 0)].tobytes()
