"""How much of what a worker can do a stream of requests asks for."""

from __future__ import annotations

from kvopt.fluid import Mix, stability
from kvopt.model import volume
from kvopt.online.clock import Clock, Seconds


def offered_load(mix: Mix, capacity: int, clock: Clock) -> tuple[float, str]:
    """Part of the tightest limit that a mix takes, and the limit.

    Parameters
    ----------
    mix : Mix
        Rates per second, or per round.
    capacity : int
        Tokens.
    clock : Rounds or Seconds

    Returns
    -------
    load : float
        Above 1 by as much as the rates are too high for any policy.
    limit : str
        In rounds ``volume`` (expected token-rounds per round over the capacity); in seconds ``compute``, ``memory`` or
        ``tokens`` of the fluid model (`kvopt.fluid.stability`).

    Examples
    --------
    >>> from kvopt.online import Rounds
    >>> offered_load(Mix.from_rows([(1, 3, 2.0)]), 12, Rounds())  # 2 + 3 + 4 token-rounds each
    (1.5, 'volume')
    """
    if isinstance(clock, Seconds):
        found = stability(mix, clock.iteration_time, capacity=capacity, token_budget=clock.token_budget)
        return found.load, found.bottleneck
    return float(mix.rate @ volume(mix.prompt, mix.output)) / capacity, "volume"
