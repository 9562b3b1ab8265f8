"""The equilibrium: batch composition, iteration time, memory and throughput that keep up with the arrivals."""

from __future__ import annotations

from dataclasses import dataclass

from kvopt.errors import KvoptError
from kvopt.fluid.mix import Mix
from kvopt.hardware import IterationTime
from kvopt.model import FloatArray


class UnstableLoadError(KvoptError):
    """Arrivals bring more work than any batch can serve; `load` says how much (1 is the limit)."""

    def __init__(self, load: float) -> None:
        super().__init__(
            f"unstable: every second brings {load:.4g} s of work; an equilibrium needs less than 1 "
            f"(rates {1 / load:.4g} times as high)"
        )
        self.load = load


@dataclass(frozen=True)
class Equilibrium:
    """Batch in which every stage of every type is served as fast as requests arrive.

    Attributes
    ----------
    load : float
        Seconds of work beyond d0 that arrive in a second, below 1.
    iteration_s : float
        Seconds of an iteration, ``d0 / (1 - load)``.
    per_stage : float array, shape (K,)
        Requests of each type in every stage, ``rate * iteration_s``; below 1 on fast machines.
    memory : float
        Tokens held.
    batch_tokens : float
        Tokens processed by an iteration: prompts, and one for each decode.
    throughput_tokens_per_s : float
        Output tokens.
    """

    load: float
    iteration_s: float
    per_stage: FloatArray
    memory: float
    batch_tokens: float
    throughput_tokens_per_s: float


def equilibrium(mix: Mix, time: IterationTime) -> Equilibrium:
    """The fluid equilibrium (arXiv 2504.11320, section 3; any iteration time).

    With n requests per stage an iteration takes ``T = d0 + sum n_j w_j``, w the work of a request
    (`Mix.work_s`). Requests move on as fast as they come if ``n_j = rate_j T``, hence ``T = d0 / (1 - load)``
    with ``load = sum rate_j w_j``. Capacity and token budget are the matter of `kvopt.fluid.stability`.

    Parameters
    ----------
    mix : Mix
    time : IterationTime

    Returns
    -------
    Equilibrium
        Seconds of an iteration, requests and tokens held, throughput.

    Raises
    ------
    UnstableLoadError
        If the load is 1 or more.

    Examples
    --------
    >>> from kvopt.fluid import resident_time
    >>> found = equilibrium(Mix.from_rows([(1, 1, 4.0)]), resident_time(400, 50))
    >>> round(found.iteration_s, 9), round(found.memory, 9), found.throughput_tokens_per_s
    (1.0, 12.0, 4.0)
    """
    load = float(mix.rate @ mix.work_s(time))
    if load >= 1:
        raise UnstableLoadError(load)
    iteration_s = time.d0_ms / 1000 / (1 - load)
    return Equilibrium(
        load=load,
        iteration_s=iteration_s,
        per_stage=mix.rate * iteration_s,
        memory=float(mix.rate @ mix.token_iterations) * iteration_s,
        batch_tokens=float(mix.rate @ mix.tokens) * iteration_s,
        throughput_tokens_per_s=float(mix.rate @ mix.output),
    )
