"""Memory prices that also charge for the memory which running requests are about to grow into.

The linear programme behind `kvopt.bounds.prices` fills every round to the last token. A schedule cannot: memory
is full at a completion at best, and before it every running request still has to grow. With R requests running in
round t and the next completion's last round e, ``memory(t) + R (e - t) <= M``. For any lead and size,
``R >= Y = sum min(1, tokens held / size)`` and ``Y <= M / size``, hence
``M - memory(t) >= Y (e - t) >= lead Y - (M / size) max(0, lead - (e - t))``.
Multiplied by the price of round t and summed, the first term is a charge on each run and the second a credit for
each completion, so the Lagrangian bound still falls apart into one minimum for each type. docs/certificates.md
has the proof for leads and sizes that change over time, and the certificate.

The gain is about the idle share of a sawtooth: half the tokens one request grows by between two completions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvopt.bounds import prices as plain
from kvopt.bounds.bound import Bound
from kvopt.bounds.fluid import fluid_length, fluid_prices
from kvopt.bounds.prices import MemoryPrices
from kvopt.model import Certificate, Instance, IntArray, exact_sum
from kvopt.verify import MOST_ROUNDS_NOT_CONVEX

#: Spans of equal length into which the fluid schedule is cut: more for few types, which are quick to check.
SPANS, SPANS_FEW_TYPES, FEW_TYPES = 100, 400, 2000
#: Leads tried, as multiples of the mean gap between completions of the fluid schedule; the best as a rule first.
LEAD_SHARES = (0.8, 0.65, 0.95)
#: Types times spans evaluated per second on an ordinary core.
PIECES_PER_S = 3.5e6
#: Largest number of types times rounds for which prices that are not convex are evaluated.
MOST_STARTS = 200_000_000


@dataclass(frozen=True, eq=False)
class Leads:
    """A lead (rounds) and a size (tokens) from each round ``begin[k]`` on.

    Attributes
    ----------
    begin : int64 array of shape (S,)
        First rounds, ascending from 0.
    lead : int64 array of shape (S,), >= 0, non-decreasing
    size : int64 array of shape (S,), >= 1
        ``lead / size`` is non-decreasing.
    """

    begin: IntArray
    lead: IntArray
    size: IntArray

    def credits(self, prices: MemoryPrices, capacity: int) -> list[int]:
        """What a completion in each span gets back, in units of 1 / denominator, rounded up.

        ``(M / size) sum_{m < lead} (lead - m) price[t - m]`` with t the first round of the span, and the highest
        price from ``t - m`` on in place of ``price[t - m]``: no completion of the span gets more.
        """
        highest = np.maximum.accumulate(prices.numerators[::-1])[::-1]
        found = []
        for t, lead, size in zip(self.begin.tolist(), self.lead.tolist(), self.size.tolist(), strict=True):
            rounds = np.maximum(t - np.arange(lead), 0)
            known = rounds < len(highest)
            weights = (lead - np.arange(lead))[known].tolist()
            ahead = sum(w * price for w, price in zip(weights, highest[rounds[known]].tolist(), strict=True))
            found.append(-(-capacity * ahead // size))
        return found


def bound(instance: Instance, *, time_limit_s: float = 10.0) -> Bound:
    """The better of the price bound and the best growth bound found; only the former with arrivals.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> inst = Instance(5000, rng.integers(100, 900, 400), rng.integers(20, 200, 400))
    >>> bound(inst).certificate.kind
    'growth'
    """
    return improved(instance, plain.memory_prices(instance, time_limit_s=time_limit_s), time_limit_s=time_limit_s)


def improved(instance: Instance, prices: MemoryPrices, *, time_limit_s: float = 10.0) -> Bound:
    """The bound of given prices, or a growth bound that is better.

    Parameters
    ----------
    instance : Instance
    prices : MemoryPrices
    time_limit_s : float
        Budget in nominal seconds for growth: it decides how many leads and prices are tried.
    """
    best = plain.certified(instance, prices)
    pieces = PIECES_PER_S * time_limit_s
    if instance.has_arrivals or exact_sum(instance.volume) >= 2**62:
        return best
    for share in LEAD_SHARES:
        leads = fluid_leads(instance, share)
        # The checker sums over every lead, and takes no more than this.
        if not 0 < exact_sum(leads.lead) <= MOST_ROUNDS_NOT_CONVEX:
            continue
        candidates = [fluid_with_leads(instance, leads)]
        small = len(instance.types) * len(prices.numerators) <= MOST_STARTS
        scaled = prices.numerators / prices.denominator
        if small and largest(instance, scaled, leads) * prices.denominator < 2**61:
            candidates.append(prices)
        for candidate in candidates:
            pieces -= len(instance.types) * len(leads.begin)
            if pieces < 0:
                return best
            value = evaluate(instance, candidate, leads)
            if value > best.value:
                best = Bound(value, certificate(candidate, leads))
    return best


def fluid_leads(instance: Instance, share: float) -> Leads:
    """Leads of `share` times the gap between completions, and the mean tokens held, along the fluid schedule.

    The fluid schedule serves requests one after the other by volume, M token-rounds a round; around each round,
    over a twentieth of its length, volume per output round is the mean size and rounds per completion the gap.
    Pooling makes leads and their ratio to sizes non-decreasing.
    """
    order = np.argsort(instance.volume, kind="stable")
    served = np.concatenate(([0.0], np.cumsum(instance.volume[order]) / instance.capacity))
    outputs = np.concatenate(([0.0], np.cumsum(instance.output[order])))
    length = fluid_length(instance.types, instance.capacity)
    spans = SPANS_FEW_TYPES if len(instance.types) <= FEW_TYPES else SPANS
    begin = np.unique(np.linspace(0, length, spans + 1)[:-1].astype(np.int64))
    middle = begin + length / spans / 2
    reach = length / 40
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach, length)
    completions = np.interp(high, served, np.arange(len(served))) - np.interp(low, served, np.arange(len(served)))
    rounds = np.interp(high, served, outputs) - np.interp(low, served, outputs)
    gap, size = (high - low) / completions, (high - low) * instance.capacity / rounds
    # A gap of g rounds leaves (g - 1) / 2 idle rounds of growth on average, so a gap of one needs no lead.
    lead = np.rint(pooled(np.maximum(share * gap - (1 - share), 0)))
    ratio = np.maximum.accumulate(pooled(lead / size))
    size = np.where(lead > 0, np.floor(lead / np.maximum(ratio, 1e-300)), size)
    # Rounding sizes down to integers may disturb the ratios: a smaller size restores them.
    lead, size = lead.astype(np.int64), np.maximum(size, 1).astype(np.int64)
    for k in range(1, len(lead)):
        if lead[k - 1] > 0:
            size[k] = max(1, min(size[k], lead[k] * size[k - 1] // lead[k - 1]))
    return Leads(begin, lead, size)


def pooled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Non-decreasing values nearest in squares: neighbours out of order are replaced by their mean."""
    blocks: list[tuple[float, int]] = []
    for value in values.tolist():
        total, count = value, 1
        while blocks and blocks[-1][0] * count >= total * blocks[-1][1]:
            before, more = blocks.pop()
            total, count = total + before, count + more
        blocks.append((total, count))
    return np.repeat([total / count for total, count in blocks], [count for _, count in blocks])


def fluid_with_leads(instance: Instance, leads: Leads) -> MemoryPrices:
    """Fluid prices for volumes with charges and credits added: they are what memory a request really takes."""
    types = instance.types
    volume = types.volume
    order = np.argsort(volume, kind="stable")
    s, o, count = types.prompt[order], types.output[order], types.count[order]
    midway = (np.cumsum(volume[order] * count) - volume[order] * count / 2) / instance.capacity
    k = np.searchsorted(leads.begin, midway, side="right") - 1
    lead, size = leads.lead[k].astype(np.float64), leads.size[k].astype(np.float64)
    part = np.clip(size - s, 0, o)
    charge = lead * ((s * part + part * (part + 1) / 2) / size + o - part)
    credit = instance.capacity / size * lead * (lead + 1) / 2
    effective = np.maximum(volume[order] + charge - credit, volume[order] / 2)
    order = np.argsort(effective, kind="stable")
    ends = np.cumsum(effective[order] * count[order]) / instance.capacity
    rounds = np.arange(int(ends[-1]))
    marginal = np.rint(effective[order][np.searchsorted(ends, rounds + 1.0)]).astype(np.int64)
    top = largest(instance, fluid_prices(marginal), leads)
    denominator = plain.FLUID_DENOMINATOR
    while denominator > 1 and top * denominator >= 2**61:
        denominator //= 2
    return MemoryPrices(np.trim_zeros(fluid_prices(marginal, denominator), "b"), denominator)


def largest(instance: Instance, prices: npt.NDArray[np.float64], leads: Leads) -> float:
    """No cost times a lead, slope times a size, or credit, is larger for these prices, in units of a round."""
    lead, size = float(leads.lead.max()), float(leads.size.max())
    price = float(prices.max(initial=0.0))
    slope = size * (1 + instance.capacity * price * (2 + lead))
    credit = instance.capacity * price * float((leads.lead * (leads.lead + 1) / leads.size).max())
    return max(plain.dearest(instance, prices) * (lead + 2), slope, credit)


def evaluate(instance: Instance, prices: MemoryPrices, leads: Leads) -> int:
    """The bound that prices and leads prove, rounded up to an integer; exact."""
    from kvopt.bounds.growth_costs import least_growth_costs

    types = instance.types
    credits = leads.credits(prices, instance.capacity)
    least = least_growth_costs(
        types.prompt,
        types.output,
        types.arrival,
        prices.numerators,
        prices.denominator,
        leads.begin,
        leads.lead,
        leads.size,
        np.array(credits),
    )
    total = sum(cost * count for cost, count in zip(least.tolist(), types.count.tolist(), strict=True))
    total -= instance.capacity * exact_sum(prices.numerators)
    return -(-total // prices.denominator)


def certificate(prices: MemoryPrices, leads: Leads) -> Certificate:
    """Prices as drops, and the spans with their leads and sizes; the last span's length is of no account."""
    spans = np.diff(leads.begin, append=leads.begin[-1] + 1)
    columns = {"spans": spans.tolist(), "leads": leads.lead.tolist(), "sizes": leads.size.tolist()}
    return Certificate("growth", {**plain.certificate(prices).data, **columns})
