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
#: Prices may end at these parts of the schedule's length; tried one by one, as long as a sweep costs no more than so
#: small a part of the budget, the first one than so large a part, and the next one is not expected to cost more.
PRICED_SHARES = (1.4, 1.0, 0.75, 0.55, 0.45, 0.4, 0.35, 0.3, 0.27, 0.24, 0.21, 0.18, 0.15, 0.1, 0.05, 0.0)
FIRST_PART, NEXT_PART = 1 / 8, 1 / 16
#: And no further once a sweep has had that part of the candidates that it may have: climbs would want more.
CROWDED = 1 / 3
#: They begin to fall at this part of that, and are this many times what remaining requests and capacity suggest.
FULL_SHARE, PRICE_FACTOR, REWARD_FACTOR = 0.62, 1.15, 0.94
#: After so many climbs prices may end this much earlier, or less so where a sweep would cost more than the second of
#: two parts of what is left; not where it must be less than that. They do if a sweep costs less than the first part, or
#: if that gained more in the time than climbs. Sweeps are expected to cost so many times as much after the first.
CLIMBS, EARLIER, LEAST_EARLIER, CHEAP_PART, LOWERED_PART, GROWTH = 2, 0.9, 0.97, 1 / 32, 1 / 6, 2.0
#: Starts that gain less than minus this many times the smoothing do not count.
CUT_OFF = 20.0
#: Steps of a climb. Before the first and so many steps later, candidates are left out that are off by more than so many
#: first steps of a reward.
STEPS, NARROWED, MARGIN = 60, 5, 1.0
#: Nominal nanoseconds of a step, for each start in each round, for each of its candidates, and for each candidate when
#: they are narrowed.
STEP_NS, START_NS, STEP_CANDIDATE_NS, NARROWING_NS = 1e5, 15.0, 16.0, 18.0
#: Smoothing of the maximum, first and last, and first step of rewards, as parts of the largest reward; first
#: relative step of prices; both steps are so many times as long after a climb that brought nothing, but no shorter
#: than that; once prices have been lowered they become longer again, up to that.
SMOOTHING, REWARD_STEP, PRICE_STEP = (0.0002, 0.0001), 0.012, 0.024
SHORTER, SHORTEST, LOWERED_LENGTH = 0.4, 0.03, 0.4
#: After a climb that brought nothing, the next one ends with so many times the smoothing; least part of it; and up to
#: which it rises once prices have been lowered.
FINER, FINEST, LOWERED_FINENESS = 0.3, 0.03, 0.3
#: Replays are cautious: from the second on, sweeps are made so many times as far away as replays suggest, where these
#: promise at least so many rounds.
BEYOND, LEAST_PROMISE = 1.5, 0.5


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

    Attributes
    ----------
    spent_ns : float
        Nominal nanoseconds so far.
    """

    def __init__(self, instance: Instance, gains: IntArray, swept: Swept) -> None:
        self.instance, self.known = instance, gains > 0
        self.whole: tuple[Any, ...] = swept[2:]
        self.spent_ns = 0.0

    def narrow(self, reward: FloatArray, price: FloatArray, margin: float) -> float:
        """The bound; from now on `bound` passes over candidates whose best packing gains less than the best, by that.

        So few candidates are left that a step costs a fifth and less; what a step of rewards changes is far less
        than what most candidates are off.
        """
        from kvopt.bounds.packing_kernels import narrowed

        gains = self.gains(reward, price, 0.0)
        given: tuple[Any, ...] = *self.whole, gains, margin
        gained, self.graph = narrowed(*given)
        sizes = len(self.graph[0]), int(self.graph[-1][-1])
        self.room = tuple(np.zeros(size) for size in (*sizes, *sizes))
        self.spent_ns += STEP_NS + START_NS * gains.size + NARROWING_NS * len(self.whole[0])
        gains[: len(self.known)][self.known] = 0
        gained += float((np.maximum(gains, 0) @ self.instance.types.count).sum())
        return self.earned(reward, price) - gained

    def bound(self, reward: FloatArray, price: FloatArray, smoothing: float) -> tuple[float, FloatArray]:
        """The bound of the candidates that `narrow` left, smoothed, and its slopes in rewards and prices."""
        from kvopt.bounds.packing_kernels import memory_held, smoothed

        types, known = self.instance.types, self.known
        gains = self.gains(reward, price, CUT_OFF * smoothing)
        starts = np.zeros(gains.shape)
        given: tuple[Any, ...] = *self.graph, gains, smoothing, *self.room, starts
        gained = smoothed(*given)
        self.spent_ns += STEP_NS + START_NS * gains.size + STEP_CANDIDATE_NS * len(self.graph[0])
        gains[: len(known)][known] = -np.inf
        others = np.nonzero(gains > -CUT_OFF * smoothing)
        count, ratio = types.count[others[1]], gains[others] / smoothing
        gained += smoothing * float((count * np.logaddexp(0, ratio)).sum())
        starts[others] = count / (1 + np.exp(-ratio))
        held = memory_held(starts, types.prompt, types.output, len(price))
        slopes = np.concatenate((types.count - starts.sum(axis=0), held - self.instance.capacity))
        return self.earned(reward, price) - gained, slopes

    def gains(self, reward: FloatArray, price: FloatArray, least: float) -> FloatArray:
        """What starts gain in all rounds in which they gain more than minus that, or gained when it was swept."""
        types = self.instance.types
        last = int((reward - types.output + types.arrival).max() + least)
        return start_gains(types, reward, price, 1, max(last + 1, len(self.known)))

    def earned(self, reward: FloatArray, price: FloatArray) -> float:
        """What all requests earn, less the price of all memory."""
        return float(self.instance.types.count @ reward) - self.instance.capacity * float(price.sum())


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
    before: Found | None = None,
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
    before : Found, optional
        What a shorter search has found: this one begins there, and finds no less.
    """
    small = int(instance.output.max()) <= MAX_OUTPUT and instance.capacity <= MAX_CAPACITY
    if not small or instance.n > MAX_REQUESTS:
        return None
    starts = first_schedule(instance) if starts is None else starts
    if int((starts + instance.output).max()) > MAX_ROUNDS:
        return None
    return Ascent(instance, starts, workers, 1e9 * time_limit_s, stopped, before).run()


class Found(NamedTuple):
    """A bound, the rewards and the sweep that prove it, and the part of the schedule at which prices end."""

    value: int
    rewards: Rewards
    swept: Swept
    share: float

    @property
    def bound(self) -> Bound:
        """With its certificate."""
        return Bound(self.value, certificate(self.rewards, self.swept))


def proved(sweeper: Sweeper, rewards: Rewards, most_ns: float = np.inf, share: float = 1.0) -> Found | None:
    """What a sweep proves; None where it costs more than that or has too many candidates."""
    instance = sweeper.instance
    worth = instance.n / instance.capacity * DENOMINATOR
    swept = sweeper.sweep(rewards.gains(instance), worth, most_ns)
    return None if swept is None else Found(rewards.value(instance, swept), rewards, swept, share)


class Place(NamedTuple):
    """Rewards and prices in rounds, and what a sweep proves there."""

    reward: FloatArray
    price: FloatArray
    found: Found


class Climb(NamedTuple):
    """Better rewards and prices, the bound that a replay promises there, and what it cost to find them."""

    reward: FloatArray
    price: FloatArray
    promised: float
    spent_ns: float


class Ascent:
    """Search for rewards and prices with a large bound.

    Candidates become several times as few in the first climbs, and all the fewer the better the rewards. So the
    search begins with prices that leave few of them, and lowers prices again and again, as far as sweeps stay
    affordable: without any the bound is best.

    Parameters
    ----------
    instance : Instance
    starts : int64 array of shape (n,)
        A schedule, from which the first rewards and prices are taken.
    workers : int
    budget_ns : float
        Nominal nanoseconds.
    stopped : callable
    before : Found or None
        Where to begin instead.
    """

    def __init__(
        self,
        instance: Instance,
        starts: IntArray,
        workers: int,
        budget_ns: float,
        stopped: Callable[[], bool],
        before: Found | None,
    ) -> None:
        self.instance, self.starts, self.stopped = instance, starts, stopped
        self.budget_ns = self.left_ns = budget_ns
        self.sweeper = Sweeper(instance, workers)
        self.best = before

    def sweep(self, reward: FloatArray, price: FloatArray, share: float, most_ns: float) -> Place | None:
        """A place, or None where the sweep costs too much."""
        before = self.sweeper.spent_ns
        found = proved(self.sweeper, rounded(reward, price), most_ns, share)
        self.left_ns -= self.sweeper.spent_ns - before
        if found is None:
            return None
        if self.best is None or found.value > self.best.value:
            self.best = found
        return Place(reward, price, found)

    def run(self) -> Found | None:
        """The best that is found; None where not even the first rewards are affordable."""
        here = self.begin() if self.best is None else self.resumed(self.best)
        if here is None:
            return self.best
        latency = int((self.starts + self.instance.output - self.instance.arrival).sum())
        largest, length, fineness = float(here.reward.max()), 1.0, 1.0
        least_price = PRICE_FACTOR / self.instance.capacity
        scale = REWARD_STEP * largest, PRICE_STEP * np.maximum(here.price, least_price)
        climbed_ns = STEPS * (STEP_NS + STEP_CANDIDATE_NS * len(here.found.swept.parent) / 4)
        climbs, earlier, growth = 0, EARLIER, GROWTH
        # Rounds that the last one gained for each nanosecond.
        lowering, climbing = np.inf, 0.0
        while not self.stopped() and here.found.value < latency:
            work_ns, most_ns = here.found.swept.work_ns, LOWERED_PART * self.left_ns
            if self.left_ns < climbed_ns + 1.3 * work_ns:
                break
            while work_ns * growth > most_ns and earlier < LEAST_EARLIER:
                earlier, growth = earlier**0.5, growth**0.5
            lowers = earlier < LEAST_EARLIER and here.price.any()
            cheap = work_ns * growth < CHEAP_PART * self.left_ns
            if lowers and climbs >= CLIMBS and (cheap or lowering >= climbing):
                lower = self.lowered(here, earlier, most_ns)
                if lower is None:
                    earlier, growth = earlier**0.5, growth**0.5
                    continue
                growth = max(lower.found.swept.work_ns / work_ns, 1.0)
                lowering = (lower.found.value - here.found.value) / lower.found.swept.work_ns
                here, climbs = lower, 0
                # Again as long and as coarse as one failure ago.
                length = max(length, min(LOWERED_LENGTH, length / SHORTER))
                fineness = max(fineness, min(LOWERED_FINENESS, fineness / FINER))
            spent = 1 - self.left_ns / self.budget_ns
            smoothing = largest * SMOOTHING[0] * (SMOOTHING[1] / SMOOTHING[0]) ** spent
            climb = self.climb(here, (smoothing, fineness * smoothing), (length * scale[0], length * scale[1]))
            climbed_ns = climb.spent_ns
            self.left_ns -= climbed_ns
            climbs += 1
            higher = None
            if not self.stopped() and climb.promised >= here.found.value + LEAST_PROMISE:
                far = 1.0 if length == 1 else BEYOND
                point = beyond(here.reward, climb.reward, far), beyond(here.price, climb.price, far)
                higher = self.sweep(*point, here.found.share, self.left_ns)
            if higher is not None and higher.found.value > here.found.value:
                climbing = (higher.found.value - here.found.value) / (climbed_ns + higher.found.swept.work_ns)
                here = higher
                continue
            climbing /= 2
            if length == SHORTEST and fineness == FINEST:
                if not lowers:
                    break
                lowering = np.inf  # nothing else is left to try
            # Packings are so many that even a little smoothing adds more to their maximum than a step gains.
            length, fineness = max(SHORTER * length, SHORTEST), max(FINER * fineness, FINEST)
        return self.best

    def resumed(self, before: Found) -> Place | None:
        """The place of what has been found, with prices for as many rounds as the schedule has."""
        reward, known = before.rewards.reward / DENOMINATOR, before.rewards.price / DENOMINATOR
        price = np.zeros(int((self.starts + self.instance.output).max()))
        price[: len(known)] = known[: len(price)]
        if len(known) <= len(price):
            return Place(reward, price, before)
        return self.sweep(reward, price, before.share, self.budget_ns)

    def begin(self) -> Place | None:
        """The best place that is read off the schedule at little cost."""
        best, growth, work_ns = None, 1.0, 0.0
        for share in PRICED_SHARES:
            most_ns = (FIRST_PART if best is None else NEXT_PART) * self.budget_ns
            if work_ns * growth > most_ns:
                break
            place = self.sweep(*first_rewards(self.instance, self.starts, share), share, most_ns)
            if place is None:
                break
            if best is None or place.found.value > best.found.value:
                best = place
            if self.stopped() or len(place.found.swept.parent) > CROWDED * MOST_CANDIDATES:
                break
            growth = place.found.swept.work_ns / work_ns if work_ns > 0 else 1.0
            work_ns = place.found.swept.work_ns
        return best

    def lowered(self, place: Place, earlier: float, most_ns: float) -> Place | None:
        """The place with prices that end earlier; rewards and prices change as those of the schedule would."""
        share = earlier * place.found.share
        before, after = (first_rewards(self.instance, self.starts, part) for part in (place.found.share, share))
        ratio = np.divide(after[1], before[1], out=np.zeros_like(before[1]), where=before[1] > 0)
        return self.sweep(place.reward * after[0] / before[0], place.price * ratio, share, most_ns)

    def climb(self, place: Place, smoothing: tuple[float, float], scale: tuple[float, FloatArray]) -> Climb:
        """Rewards and prices at which a replay proves most.

        Steps along the smoothed slopes, each coordinate scaled by the size of its recent slopes (Kingma and Ba, Adam,
        arXiv 1412.6980), ever shorter, with a smoothing that goes from the first to the second of two.
        """
        instance, count = self.instance, len(place.reward)
        replay = Replay(instance, place.found.rewards.gains(instance), place.found.swept)
        here = np.concatenate((place.reward, place.price))
        size = np.concatenate((np.full(count, scale[0]), scale[1]))
        norm = np.concatenate((instance.types.count, np.full(len(place.price), instance.capacity)))
        mean, square = np.zeros(len(here)), np.zeros(len(here))
        best, highest = here, -np.inf
        for number, smooth in enumerate(np.geomspace(*smoothing, STEPS).tolist()):
            length = 1 - 0.95 * number / STEPS
            if number % NARROWED == 0:
                value = replay.narrow(here[:count], here[count:], CUT_OFF * smooth + MARGIN * length * scale[0])
                if value > highest:
                    best, highest = here, value
            slope = replay.bound(here[:count], here[count:], smooth)[1] / norm
            mean = 0.8 * mean + 0.2 * slope
            square = 0.98 * square + 0.02 * slope * slope
            move = mean / (1 - 0.8 ** (number + 1)) / (np.sqrt(square / (1 - 0.98 ** (number + 1))) + 0.02)
            here = np.maximum(here + length * move * size, 0)
            if self.stopped():
                break
        value = replay.narrow(here[:count], here[count:], 0.0)
        if value > highest:
            best, highest = here, value
        return Climb(best[:count], best[count:], highest, replay.spent_ns)


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
