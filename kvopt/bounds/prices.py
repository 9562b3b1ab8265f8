"""Memory prices: the Lagrangian bound of the time-indexed LP, rounded and then evaluated exactly.

For prices ``lam_t >= 0`` on the tokens held in round t, every schedule satisfies
``TEL >= sum_i min_{p >= a_i} [p + o_i - a_i + sum_j lam_{p+j-1} (s_i + j)] - M sum_t lam_t``.
Prices are integers over a common power of two, so the bound is an integer computation from there on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvopt.model import Instance, IntArray

#: Largest denominator of memory prices.
DENOMINATOR = 2**20
#: Rounds beyond this have price zero; keeps instances with remote arrivals within memory.
MAX_ROUNDS = 20_000_000


@dataclass(frozen=True, eq=False)
class MemoryPrices:
    """Prices ``numerators[t] / denominator`` (rounds of latency per token) for t < H, zero from H on.

    Attributes
    ----------
    numerators : int64 array of shape (H,), >= 0
    denominator : int
        A power of two, at most 2^20, chosen so that for every type the cost of any start (latency plus
        priced memory, times the denominator), that cost summed over all requests, and capacity times the sum
        of the prices all stay below 2^62: int64 sums of them are exact.
    """

    numerators: IntArray
    denominator: int


def memory_prices(instance: Instance, *, time_limit_s: float = 2.0) -> MemoryPrices:
    """Prices that nearly maximise the bound, by ascent from the fluid prices.

    Parameters
    ----------
    instance : Instance
    time_limit_s : float
        Wall-clock seconds after which no further ascent stage begins; the result is otherwise deterministic.

    Examples
    --------
    >>> prices = memory_prices(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)]))
    >>> prices.denominator, bool((prices.numerators >= 0).all())
    (1048576, True)
    """
    from kvopt.bounds.ascent import ascend, horizon

    types = instance.types
    rounds = min(horizon(types, instance.capacity), MAX_ROUNDS)
    return rounded(instance, ascend(types, instance.capacity, rounds, time_limit_s))


def rounded(instance: Instance, prices: np.typing.ArrayLike) -> MemoryPrices:
    """Float prices rounded to integers over the largest denominator for which int64 sums are exact."""
    values = np.maximum(np.asarray(prices, dtype=np.float64), 0.0)
    values = np.trim_zeros(values, "b")
    top = float(values.max(initial=0.0))
    cost = len(values) + float(instance.output.max()) + float(instance.volume.max()) * top
    largest = max(instance.n * cost, instance.capacity * float(values.sum()))
    denominator = DENOMINATOR
    while denominator > 1 and largest * denominator >= 2**61:
        denominator //= 2
    return MemoryPrices(np.rint(values * denominator).astype(np.int64), denominator)
