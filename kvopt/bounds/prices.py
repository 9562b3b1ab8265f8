"""Memory prices: the Lagrangian bound of the time-indexed LP, rounded and then evaluated exactly.

For prices ``lam_t >= 0`` on the tokens held in round t, every schedule satisfies
``TEL >= sum_i min_{p >= a_i} [p + o_i - a_i + sum_j lam_{p+j-1} (s_i + j)] - M sum_t lam_t``.
Prices are integers over a common power of two, so the bound is an integer computation from there on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvopt.bounds.bound import Bound, HaltFlag
from kvopt.bounds.fluid import fluid_prices, marginal_volumes, priced_horizon
from kvopt.model import Certificate, Instance, IntArray, exact_sum

#: Denominator of prices found by ascent or LP, smaller only where 64-bit sums demand it.
DENOMINATOR = 2**20
#: Largest denominator of fluid prices, whose drops from round to round (1/volume) are tiny.
FLUID_DENOMINATOR = 2**40
#: Starts evaluated per second where prices are not convex, measured at the slowest; rounds given a fluid price.
STARTS_PER_S, ROUNDS_PER_S = 2.5e8, 1e7
#: Later rounds have price zero: a matter of memory, and of time to check for prices that are not convex.
MAX_ROUNDS = 2**24
#: The checker refuses prices on more rounds than this unless they are convex.
MAX_ROUNDS_NOT_CONVEX = 2**22


@dataclass(frozen=True, eq=False)
class MemoryPrices:
    """Prices ``numerators[t] / denominator`` (rounds of latency per token) for t < H, zero from H on.

    The denominator is chosen so that latency plus priced memory of any start up to round H, times the
    denominator, stays below 2^61. Prices that do not come from the fluid schedule keep the sum of these costs
    over all requests, and the capacity times the sum of the prices, below 2^61 as well.

    Attributes
    ----------
    numerators : int64 array of shape (H,), >= 0
    denominator : int
        A power of two: at most 2^20, or 2^40 for fluid prices.
    """

    numerators: IntArray
    denominator: int


def memory_prices(
    instance: Instance, *, time_limit_s: float = 1.0, tolerance: float = 0.0, halt: HaltFlag | None = None
) -> MemoryPrices:
    """Prices that nearly maximise the bound: ascent from the fluid prices, or these where the instance is large.

    Where not even one evaluation of fluid prices fits into the budget (with arrivals they are not convex), there are
    none, and the bound is the sum of the outputs.

    Parameters
    ----------
    instance : Instance
    time_limit_s : float
        Budget in nominal seconds (`kvopt.bounds.ascent.ascend`); equal arguments give equal prices. The fluid
        prices stand when the number of types times the number of rounds exceeds about 7e5 for each second.
    tolerance : float
        How early the ascent ends where it gains little (`kvopt.bounds.ascent.ascend`).
    halt : int8 array of shape (1,), optional
        Once it is nonzero, the ascent ends with the best prices so far.

    Examples
    --------
    >>> prices = memory_prices(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)]))
    >>> prices.denominator, bool((prices.numerators >= 0).all())
    (1048576, True)
    """
    from kvopt.bounds.ascent import ascend

    rounds = priced_rounds(instance)
    if rounds <= MAX_ROUNDS_NOT_CONVEX:
        prices = ascend(instance.types, instance.capacity, rounds, time_limit_s, tolerance, halt)
        if prices is not None:
            return rounded(instance, prices)
    starts = len(instance.types) * rounds if instance.has_arrivals else 0
    if rounds > ROUNDS_PER_S * time_limit_s or starts > STARTS_PER_S * time_limit_s:
        return MemoryPrices(np.zeros(0, dtype=np.int64), 1)
    return fluid(instance)


def priced_rounds(instance: Instance) -> int:
    """Rounds that may have a price."""
    most = MAX_ROUNDS_NOT_CONVEX if instance.has_arrivals else MAX_ROUNDS
    return min(priced_horizon(instance.types, instance.capacity), most)


def rounded(instance: Instance, prices: npt.ArrayLike) -> MemoryPrices:
    """Float prices as integers over the largest denominator for which int64 sums are exact; negative ones become 0."""
    values = trimmed(np.maximum(np.asarray(prices, dtype=np.float64), 0.0))
    largest = max(instance.n * dearest(instance, values), instance.capacity * float(values.sum()))
    denominator = DENOMINATOR
    while denominator > 1 and largest * denominator >= 2**60:
        denominator //= 2
    return MemoryPrices(np.rint(values * denominator).astype(np.int64), denominator)


def fluid(instance: Instance) -> MemoryPrices:
    """Prices of the fluid schedule; for a backlog non-increasing and convex, so that checking them is fast."""
    marginal = marginal_volumes(instance.types, instance.capacity, priced_rounds(instance))
    largest = dearest(instance, fluid_prices(marginal))
    denominator = FLUID_DENOMINATOR
    while denominator > 1 and largest * denominator >= 2**60:
        denominator //= 2
    return MemoryPrices(trimmed(fluid_prices(marginal, denominator)), denominator)


def trimmed(prices: np.ndarray) -> np.ndarray:
    """Without the zeros at the end; `numpy.trim_zeros` takes as long as all else in the prices of few requests."""
    priced = prices.nonzero()[0]
    return prices[: priced[-1] + 1 if len(priced) else 0]


def dearest(instance: Instance, prices: npt.NDArray[np.float64]) -> float:
    """No start up to the last priced round costs more rounds of latency and priced memory than this."""
    latest = len(prices) + float(instance.output.max())
    return latest + float(instance.volume.max()) * float(prices.max(initial=0.0))


def certificate(prices: MemoryPrices) -> Certificate:
    """Prices in the certificate's form: by how much they drop after each round, equal drops run-length coded.

    >>> certificate(MemoryPrices(np.array([9, 6, 3]), 8)).as_dict()
    {'kind': 'prices', 'denominator': 8, 'drops': [3], 'rounds': [3]}
    """
    drops = -np.diff(prices.numerators, append=0)
    begin = np.flatnonzero(np.diff(drops, prepend=drops[:1] + 1))
    lengths = np.diff(begin, append=len(drops))
    return Certificate(
        "prices", {"denominator": prices.denominator, "drops": drops[begin].tolist(), "rounds": lengths.tolist()}
    )


def evaluate(instance: Instance, prices: MemoryPrices) -> int:
    """The bound that `prices` prove, rounded up to an integer; exact."""
    from kvopt.bounds.evaluation import least_costs

    types = instance.types
    least = least_costs(types.prompt, types.output, types.arrival, prices.numerators, prices.denominator)
    total = sum(cost * count for cost, count in zip(least.tolist(), types.count.tolist(), strict=True))
    total -= instance.capacity * exact_sum(prices.numerators)
    return -(-total // prices.denominator)


def certified(instance: Instance, prices: MemoryPrices) -> Bound:
    """Bound and certificate of given prices."""
    return Bound(evaluate(instance, prices), certificate(prices))


def bound(instance: Instance, *, time_limit_s: float = 10.0) -> Bound:
    """Lagrangian bound of `memory_prices`.

    Examples
    --------
    >>> bound(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])).value
    11
    """
    return certified(instance, memory_prices(instance, time_limit_s=time_limit_s))
