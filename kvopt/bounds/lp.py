"""The bound of the time-indexed linear programme, by the duals of its memory rows as memory prices."""

from __future__ import annotations

from kvopt.bounds.bound import Bound
from kvopt.bounds.fluid import fluid_length, priced_horizon
from kvopt.bounds.prices import certified, rounded
from kvopt.errors import TooLargeError
from kvopt.model import Instance

#: Largest number of variables (types times rounds).
MAX_STARTS = 4_000_000


def bound(instance: Instance, *, time_limit_s: float | None = None) -> Bound:
    """Memory prices from the linear programme: the best there are, up to rounding; slow on long horizons.

    Raises
    ------
    TooLargeError
        If types times rounds exceed `MAX_STARTS`.
    SolverError
        If the linear programme is not solved within `time_limit_s` (None: no limit).

    Examples
    --------
    >>> bound(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])).value
    11
    """
    from kvopt.mip.lp import time_indexed_lp

    rounds = priced_horizon(instance.types, instance.capacity)
    if len(instance.types) * rounds > MAX_STARTS:
        raise TooLargeError(
            f"the linear programme would have {len(instance.types)} types x {rounds} rounds of starts, at most "
            f"{MAX_STARTS:,} are supported; use prices"
        )

    # Every type started at an even rate ends by then, so the programme has a solution.
    horizon = 2 * (fluid_length(instance.types, instance.capacity) + int(instance.output.max()))
    return certified(instance, rounded(instance, time_indexed_lp(instance, horizon, time_limit_s).prices))
