"""Memory prices with charges, chosen round by round, for the room that running requests need to grow.

Where the next completion is m rounds away, every running request still grows by m tokens, so
``sum over the running requests of (tokens held + m) <= M``. For charges ``c(h)`` on a request that holds h tokens
and a price on memory, what the price of the idle memory falls short of all charges by is then at most
``M max_h (c(h) - m price) / (h + m)``: a credit for that completion. So the Lagrangian bound still falls apart into one
minimum for each type. `kvopt.bounds.growth` does the same with a lead and a size for each span of rounds, at a cost
that does not depend on the number of rounds; here charges are free in each round, and ascended together with
the prices. docs/certificates.md has the proof and the certificate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvopt.bounds import prices as plain
from kvopt.bounds.bound import Bound, HaltFlag
from kvopt.bounds.prices import MemoryPrices
from kvopt.model import Certificate, Instance, IntArray, exact_sum
from kvopt.verify import MOST_ROOM_STEPS

#: Charges grow with the tokens held up to one of these quantiles of the mean tokens that requests hold, then no more.
#: The second choice is for backlogs where the checker does not take the first.
LEVEL_QUANTILES = (0.1, 0.35, 0.6, 0.85), (0.25, 0.6)
#: Largest denominator: charges for a token are far smaller than prices.
DENOMINATOR = 2**36


@dataclass(frozen=True, eq=False)
class Room:
    """Prices and charges of rounds 0 .. H - 1, in units of 1 / denominator; later rounds have none.

    A request that holds h tokens in round t is charged ``sum_k rates[k, t] * min(h, levels[k])``.

    Attributes
    ----------
    denominator : int
        A power of two such that the cost of a start, and the capacity times a charge, stay below 2^61.
    prices : int64 array of shape (H,), >= 0
    levels : int64 array of shape (L,), >= 1
        Tokens.
    rates : int64 array of shape (L, H), >= 0
    """

    denominator: int
    prices: IntArray
    levels: IntArray
    rates: IntArray


def bound(instance: Instance, *, time_limit_s: float = 10.0) -> Bound:
    """The better of the price bound and the room bound that ascent reaches from its prices.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> inst = Instance(5000, rng.integers(100, 900, 40), rng.integers(20, 200, 40))
    >>> bound(inst, time_limit_s=2).certificate.kind
    'room'
    """
    prices = plain.memory_prices(instance, time_limit_s=time_limit_s)
    return improved(instance, prices, plain.certified(instance, prices), time_limit_s=time_limit_s)


def improved(
    instance: Instance,
    prices: MemoryPrices,
    best: Bound,
    *,
    time_limit_s: float = 10.0,
    halt: HaltFlag | None = None,
) -> Bound:
    """A room bound that is better than a given bound, or that bound.

    Parameters
    ----------
    instance : Instance
    prices : MemoryPrices
        Where the ascent begins: near the best for `kvopt.bounds.prices`.
    best : Bound
    time_limit_s : float
        Budget in nominal seconds (`kvopt.bounds.room_ascent.ascend`): equal arguments give equal bounds.
    halt : int8 array of shape (1,), optional
        Once it is nonzero, the ascent ends.
    """
    from kvopt.bounds.room_ascent import ascend

    types = instance.types
    levels = charge_levels(instance, len(prices.numerators))
    if len(levels) == 0:
        return best
    start = prices.numerators / prices.denominator
    for weights in ascend(types, instance.capacity, start, levels, time_limit_s, halt):
        room = rounded(instance, weights, levels)
        value = evaluate(instance, room)
        if value > best.value:
            best = Bound(value, certificate(room))
    return best


def charge_levels(instance: Instance, rounds: int) -> IntArray:
    """Levels for charges, none where types times rounds are too many for the checker."""
    types, longest = len(instance.types), int(instance.output.max())
    most = max((types + longest) * (rounds + 1), types * longest)
    held = np.sort(instance.prompt + (instance.output + 1) // 2)
    for quantiles in LEVEL_QUANTILES:
        levels = np.unique(held[[int(quantile * instance.n) for quantile in quantiles]])
        if most * (1 + len(levels)) <= MOST_ROOM_STEPS:
            return levels
    return held[:0]


def affordable(instance: Instance, time_limit_s: float) -> bool:
    """Whether `improved` has time for an ascent, whatever the prices it begins with."""
    from kvopt.bounds.room_ascent import MIN_STEPS, steps

    rounds = plain.priced_rounds(instance)
    levels = charge_levels(instance, rounds)
    return len(levels) > 0 and steps(instance.types, rounds, levels, time_limit_s) >= MIN_STEPS


def rounded(instance: Instance, weights: npt.NDArray[np.float64], levels: IntArray) -> Room:
    """Float prices (row 0) and rates (the other rows) over the largest denominator that 64-bit integers allow."""
    most = weights.max(axis=1, initial=0.0)
    charge = float((most[1:] * levels).sum())
    latest = weights.shape[1] + 2.0 * float(instance.output.max())
    cost = latest + float(instance.volume.max()) * float(most.sum())
    # A credit is a sum of at most as many terms as the longest output has rounds, each at most M charges.
    credit = instance.capacity * (charge + 1) * float(instance.output.max())
    denominator = DENOMINATOR
    while denominator > 1 and (cost + credit) * denominator >= 2**60:
        denominator //= 2
    whole = np.rint(weights * denominator).astype(np.int64)
    return Room(denominator, whole[0], levels, whole[1:])


def evaluate(instance: Instance, room: Room) -> int:
    """The bound that prices and charges prove, rounded up to an integer; exact."""
    from kvopt.bounds.room_costs import least_room_costs

    types = instance.types
    least = least_room_costs(
        types.prompt,
        types.output,
        types.arrival,
        instance.capacity,
        room.denominator,
        np.vstack((room.prices, room.rates)),
        np.concatenate(([np.iinfo(np.int32).max], room.levels)),
    )
    total = sum(cost * count for cost, count in zip(least.tolist(), types.count.tolist(), strict=True))
    total -= instance.capacity * exact_sum(room.prices)
    return -(-total // room.denominator)


def certificate(room: Room) -> Certificate:
    """Prices, levels and rates, round by round."""
    columns = {"prices": room.prices.tolist(), "levels": room.levels.tolist(), "rates": room.rates.tolist()}
    return Certificate("room", {"denominator": room.denominator, **columns})
