"""Which loads can be kept up with: three limits, each linear in the arrival rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kvopt.errors import InputError
from kvopt.fluid.mix import Mix
from kvopt.hardware import IterationTime
from kvopt.model import FloatArray


@dataclass(frozen=True)
class Stability:
    """How much of each limit a mix takes.

    Attributes
    ----------
    use : mapping of str to float
        Limit (``compute``, ``memory``, ``tokens``) -> part of it that is taken; the mix can grow by the
        factor ``1 / use`` until the limit is reached.
    """

    use: Mapping[str, float]

    @property
    def bottleneck(self) -> str:
        """The limit of which most is taken."""
        return max(self.use, key=lambda limit: self.use[limit])

    @property
    def load(self) -> float:
        """Part of the bottleneck that is taken; above 1 by as much as the rates are too high."""
        return self.use[self.bottleneck]

    @property
    def stable(self) -> bool:
        """Whether an equilibrium exists within all limits."""
        return self.use["compute"] < 1 and self.load <= 1

    def largest(self, limit: str) -> float:
        """Factor by which all rates may grow until `limit` is reached; infinite if the mix takes nothing of it."""
        return float("inf") if self.use[limit] == 0 else 1 / self.use[limit]


def limit_shares(
    mix: Mix, time: IterationTime, *, capacity: int | None = None, token_budget: int | None = None
) -> dict[str, FloatArray]:
    """Part of each limit that one request per second of each type takes; the limit is reached at 1.

    The equilibrium has ``T = d0 / (1 - rate.w)``. Whatever a request takes in all its iterations together (A
    token-iterations of memory, or its number of processed tokens), ``rate.A * T <= C`` says the same as
    ``rate.(w + d0 A / C) <= 1``: a half-space, so the stable loads are a polyhedron. ``compute`` is ``rate.w < 1``.
    The multiples of a mix that reach it, ``1 / (d1 A)`` and ``C / ((d0 + d1 C) A)`` for `resident_time`, are
    called r_compute and r_C in docs/fluid.md.

    Parameters
    ----------
    mix : Mix
        Its rates do not matter.
    time : IterationTime
    capacity : int, optional
        Tokens of KV cache, >= 1.
    token_budget : int, optional
        Tokens that one iteration may process (chunked prefill), >= 1.

    Returns
    -------
    dict of str to float array, shape (K,)

    Raises
    ------
    InputError
        If a limit is below 1.

    Examples
    --------
    >>> from kvopt.fluid import resident_time
    >>> shares = limit_shares(Mix.from_rows([(1, 1, 4.0)]), resident_time(400, 50), capacity=12)
    >>> {limit: round(1 / float(share[0]), 9) for limit, share in shares.items()}
    {'compute': 6.666666667, 'memory': 4.0}
    """
    work, d0_s = mix.work_s(time), time.d0_ms / 1000
    shares = {"compute": work}
    for name, limit, taken in (
        ("memory", capacity, mix.token_iterations),
        ("tokens", token_budget, mix.tokens),
    ):
        if limit is None:
            continue
        if limit < 1:
            raise InputError(
                f"the {'capacity' if name == 'memory' else 'token budget'} must be at least 1, got {limit}"
            )
        shares[name] = work + d0_s * taken / limit
    return shares


def stability(
    mix: Mix, time: IterationTime, *, capacity: int | None = None, token_budget: int | None = None
) -> Stability:
    """How much of each limit the rates of `mix` take; parameters and errors as of `limit_shares`.

    Parameters
    ----------
    mix : Mix
    time : IterationTime
    capacity, token_budget : int, optional
        Tokens, as of `limit_shares`.

    Returns
    -------
    Stability
        Whether the rates can be served, and the load.

    Examples
    --------
    >>> from kvopt.fluid import resident_time
    >>> found = stability(Mix.from_rows([(512, 1000, 3.5)]), resident_time(10.102766505, 3.0590058e-4))
    >>> found.stable, round(found.load, 3)
    (False, 1.085)
    """
    shares = limit_shares(mix, time, capacity=capacity, token_budget=token_budget)
    return Stability({limit: float(mix.rate @ share) for limit, share in shares.items()})
