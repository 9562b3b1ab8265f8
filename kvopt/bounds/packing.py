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
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np

from kvopt.bounds import prices as plain
from kvopt.bounds.bound import Bound
from kvopt.bounds.packing_sweep import MOST_CANDIDATES, Sweeper, Swept
from kvopt.bounds.prices import MemoryPrices
from kvopt.model import Certificate, FloatArray, Instance, IntArray, RequestTypes

#: Denominator of rewards and prices.
DENOMINATOR = 2**16
#: Longest output, most tokens of capacity, most requests and most rounds of a schedule for which packings are tried.
MAX_OUTPUT, MAX_CAPACITY, MAX_REQUESTS, MAX_ROUNDS = 256, 2**15 - 1, 400, 20_000
#: Prices may end at these parts of the schedule's length; tried one by one, as long as a sweep is affordable.
PRICED_SHARES = (1.4, 1.0, 0.75, 0.55, 0.45, 0.4, 0.35, 0.3, 0.27, 0.24, 0.21, 0.18, 0.15, 0.1, 0.05, 0.0)
#: They begin to fall at this part of that, and are this many times what remaining requests and capacity suggest.
FULL_SHARE, PRICE_FACTOR, REWARD_FACTOR = 0.62, 1.15, 0.94
#: Starts that gain less than minus this many times the smoothing do not count.
CUT_OFF = 20.0
#: Most candidates of a start, as they may multiply later; least number of sweeps for it to be affordable; steps after
#: each sweep, and least number of them.
FIRST_CANDIDATES, LEAST_SWEEPS, STEPS, LEAST_STEPS = 2_600_000, 8, 60, 10
#: Nominal nanoseconds of a step, and for each candidate.
STEP_NS, STEP_CANDIDATE_NS = 1e6, 16.0
#: Smoothing of the maximum, first and last, and first step of rewards, as parts of the largest reward; first
#: relative step of prices; both steps are so many times as long after each sweep, and after one that brought nothing,
#: but no shorter than that.
SMOOTHING, REWARD_STEP, PRICE_STEP = (0.0002, 0.0001), 0.012, 0.024
SHORTER, MUCH_SHORTER, SHORTEST = 0.95, 0.4, 0.05
#: After a sweep that brought nothing, the steps that follow end with so many times the smoothing; least part of it.
FINER, FINEST = 0.3, 0.05
#: Replays are cautious: from the second on, sweeps are made so many times as far away as replays suggest.
BEYOND = 1.5


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
        last = int((self.reward // DENOMINATOR - instance.types.output + instance.types.arrival).max())
        return np.maximum(start_gains(instance.types, self.reward, self.price, DENOMINATOR, max(last + 1, 0)), 0)

    def total(self, instance: Instance) -> int:
        """What all requests earn, less the price of all memory."""
        earned = sum(r * c for r, c in zip(self.reward.tolist(), instance.types.count.tolist(), strict=True))
        return earned - instance.capacity * sum(self.price.tolist())

    def value(self, instance: Instance, swept: Swept) -> int:
        """The bound that a sweep of the gains proves, rounded up to an integer; exact."""
        return -((swept.best - self.total(instance)) // DENOMINATOR)


Values = TypeVar("Values", IntArray, FloatArray)


def start_gains(types: RequestTypes, reward: Values, price: Values, unit: int, rounds: int) -> Values:
    """Reward less latency and priced memory of starts in the first rounds, none before an arrival; rounds in units."""
    once = np.zeros(max(rounds, len(price)) + int(types.output.max()) + 2, dtype=price.dtype)
    once[: len(price)] = np.cumsum(price[::-1])[::-1]
    twice = np.cumsum(once[::-1])[::-1]
    start = np.arange(rounds)[:, None]
    end = start + types.output
    memory = types.prompt * (once[start] - once[end]) + twice[start] - twice[end] - types.output * once[end]
    gain = reward - (end - types.arrival) * unit - memory
    return np.where(start >= types.arrival, gain, -unit * 2**40)


class Replay:
    """The bound at other rewards and prices than those of a sweep, from below, without another sweep.

    Candidates keep the labels that stand for them, whatever they gain now: such a naming is as good as any
    (docs/certificates.md). Starts that did not gain are not among the candidates; what they gain now is taken as if
    they held no memory.
    """

    def __init__(self, instance: Instance, gains: IntArray, swept: Swept) -> None:
        self.instance, self.known = instance, gains > 0
        candidates, labels = len(swept.parent), int(swept.labels[-1])
        self.graph = swept[2:]
        self.room = tuple(np.zeros(size) for size in (candidates, labels, candidates, labels))

    def bound(self, reward: FloatArray, price: FloatArray, smoothing: float) -> tuple[float, FloatArray]:
        """The bound, smoothed, and its slopes in rewards and prices."""
        from kvopt.bounds.packing_kernels import memory_held, smoothed

        types, capacity, known = self.instance.types, self.instance.capacity, self.known
        last = int((reward - types.output + types.arrival).max() + CUT_OFF * smoothing)
        gains = start_gains(types, reward, price, 1, max(last + 1, len(known)))
        starts = np.zeros(gains.shape)
        given: tuple[Any, ...] = *self.graph, gains, smoothing, *self.room, starts
        gained = smoothed(*given)
        gains[: len(known)][known] = -np.inf
        others = np.nonzero(gains > -CUT_OFF * smoothing)
        count, ratio = types.count[others[1]], gains[others] / smoothing
        gained += smoothing * float((count * np.logaddexp(0, ratio)).sum())
        starts[others] = count / (1 + np.exp(-ratio))
        held = memory_held(starts, types.prompt, types.output, len(price))
        value = float(types.count @ reward) - capacity * float(price.sum()) - gained
        return value, np.concatenate((types.count - starts.sum(axis=0), held - capacity))


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


def improved(instance: Instance, below: Bound, *, time_limit_s: float = 10.0) -> Bound:
    """A packing bound above a given one, if `search` finds one from a simple schedule."""
    found = search(instance, time_limit_s=time_limit_s)
    return below if found is None or found.value <= below.value else found.bound


def search(
    instance: Instance,
    starts: IntArray | None = None,
    *,
    time_limit_s: float = 10.0,
    workers: int = 1,
    stopped: Callable[[], bool] = lambda: False,
) -> Found | None:
    """A packing bound; None where packings are too many.

    Parameters
    ----------
    instance : Instance
    starts : int64 array of shape (n,), optional
        A schedule, from which the ascent begins; by default `first_schedule`.
    time_limit_s : float
        Budget in nominal seconds; equal arguments give equal bounds.
    workers : int
        Threads, of which two at most are used; bounds do not depend on them.
    stopped : callable
        Asked after every sweep and every step whether to end with what has been found.
    """
    small = int(instance.output.max()) <= MAX_OUTPUT and instance.capacity <= MAX_CAPACITY
    if not small or instance.n > MAX_REQUESTS:
        return None
    starts = first_schedule(instance) if starts is None else starts
    if int((starts + instance.output).max()) > MAX_ROUNDS:
        return None
    return Ascent(instance, workers, 1e9 * time_limit_s, stopped).run(starts)


class Found(NamedTuple):
    """A bound, and the rewards and the sweep that prove it."""

    value: int
    rewards: Rewards
    swept: Swept

    @property
    def bound(self) -> Bound:
        """With its certificate."""
        return Bound(self.value, certificate(self.rewards, self.swept))


def proved(sweeper: Sweeper, rewards: Rewards, most_ns: float = np.inf, most: int = MOST_CANDIDATES) -> Found | None:
    """What a sweep proves; None where it costs more than that or has too many candidates."""
    instance = sweeper.instance
    worth = instance.n / instance.capacity * DENOMINATOR
    swept = sweeper.sweep(rewards.gains(instance), worth, most_ns, most)
    return None if swept is None else Found(rewards.value(instance, swept), rewards, swept)


class Ascent:
    """Search for rewards and prices with a large bound.

    Parameters
    ----------
    instance : Instance
    workers : int
    budget_ns : float
        Nominal nanoseconds.
    stopped : callable
    """

    def __init__(self, instance: Instance, workers: int, budget_ns: float, stopped: Callable[[], bool]) -> None:
        self.instance, self.budget_ns, self.stopped = instance, budget_ns, stopped
        self.sweeper, self.left_ns = Sweeper(instance, workers), budget_ns

    def sweep(self, rewards: Rewards, most_ns: float, most: int = MOST_CANDIDATES) -> Found | None:
        """What a sweep proves, or None where it costs too much."""
        before = self.sweeper.spent_ns
        found = proved(self.sweeper, rewards, most_ns, most)
        self.left_ns -= self.sweeper.spent_ns - before
        return found

    def run(self, starts: IntArray) -> Found | None:
        """The best that is found; None where not even the first rewards are affordable."""
        instance = self.instance
        latency = int((starts + instance.output - instance.arrival).sum())
        found, best = None, None
        for share in PRICED_SHARES:
            first = first_rewards(instance, starts, share)
            found = self.sweep(rounded(*first), self.budget_ns / LEAST_SWEEPS, FIRST_CANDIDATES)
            if found is None or self.stopped():
                break
            if best is None or found.value > best.value:
                best, (reward, price) = found, first
        if best is None:
            return None
        largest, rate, fine = float(reward.max()), 1.0, 1.0
        scale = REWARD_STEP * largest, PRICE_STEP * np.maximum(price, PRICE_FACTOR / instance.capacity)
        while not self.stopped() and best.value < latency:
            spent = 1 - self.left_ns / self.budget_ns
            smoothing = largest * SMOOTHING[0] * (SMOOTHING[1] / SMOOTHING[0]) ** spent
            step_ns = STEP_NS + STEP_CANDIDATE_NS * len(best.swept.parent)
            steps = min(STEPS, int((self.left_ns - 1.3 * best.swept.work_ns) / step_ns))
            if steps < LEAST_STEPS:
                break
            self.left_ns -= steps * step_ns
            sizes = rate * scale[0], rate * scale[1]
            higher = self.climb(best, (reward, price), (smoothing, fine * smoothing), steps, sizes)
            if self.stopped():
                break
            further = 1.0 if rate == 1 else BEYOND
            point = beyond(reward, higher[0], further), beyond(price, higher[1], further)
            found = self.sweep(rounded(*point), self.left_ns)
            if found is not None and found.value > best.value:
                best, (reward, price) = found, point
                rate = max(SHORTER * rate, SHORTEST)
            else:
                # Packings are so many that even a little smoothing adds more to their maximum than a step gains.
                rate, fine = max(MUCH_SHORTER * rate, SHORTEST), max(FINER * fine, FINEST)
        return best

    def climb(
        self,
        base: Found,
        point: tuple[FloatArray, FloatArray],
        smoothing: tuple[float, float],
        steps: int,
        scale: tuple[float, FloatArray],
    ) -> tuple[FloatArray, FloatArray]:
        """Rewards and prices at which the sweep of others proves most.

        Steps along the smoothed slopes, each coordinate scaled by the size of its recent slopes (Kingma and Ba, Adam,
        arXiv 1412.6980), ever shorter, with a smoothing that goes from the first to the second of two.
        """
        instance, count = self.instance, len(point[0])
        replay = Replay(instance, base.rewards.gains(instance), base.swept)
        here = np.concatenate(point)
        size = np.concatenate((np.full(count, scale[0]), scale[1]))
        norm = np.concatenate((instance.types.count, np.full(len(point[1]), instance.capacity)))
        mean, square = np.zeros(len(here)), np.zeros(len(here))
        best, highest = here, -np.inf
        for number, smooth in enumerate(np.geomspace(*smoothing, steps).tolist(), 1):
            value, slope = replay.bound(here[:count], here[count:], smooth)
            if value > highest:
                best, highest = here, value
            slope /= norm
            mean = 0.8 * mean + 0.2 * slope
            square = 0.98 * square + 0.02 * slope * slope
            move = mean / (1 - 0.8**number) / (np.sqrt(square / (1 - 0.98**number)) + 0.02)
            here = np.maximum(here + move * size * (1 - 0.95 * number / steps), 0)
            if self.stopped():
                break
        return best[:count], best[count:]


def beyond(here: FloatArray, there: FloatArray, part: float) -> FloatArray:
    """So many times the way from here to there, nothing below 0."""
    return np.maximum(here + part * (there - here), 0)


def certificate(rewards: Rewards, swept: Swept) -> Certificate:
    """Rewards, prices, and for each candidate its label: 0 for a new one, else how far back it is."""
    codes = []
    for begin, end in pairwise(swept.first.tolist()):
        label = swept.group[begin:end].astype(np.int64)
        newest = np.maximum.accumulate(label)
        new = np.diff(newest, prepend=-1) > 0
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
