"""Streams of arrivals: types with rates, in seconds or per round, and resampling from a trace.

Random numbers come from numpy's ``Generator(PCG64(seed))``: equal arguments give equal streams with one numpy.
"""

from __future__ import annotations

import numpy as np

from kvopt.arguments import whole_number
from kvopt.errors import InputError
from kvopt.fluid.mix import Mix
from kvopt.model import MAX_REQUESTS, MAX_VALUE, Instance, IntArray
from kvopt.online.traffic import Traffic


def poisson_seconds(mix: Mix, capacity: int, n: int, seed: int = 0, name: str | None = None) -> Traffic:
    """n requests of a mix, Poisson in continuous time with its rates per second.

    Parameters
    ----------
    mix : Mix
    capacity : int
        Tokens.
    n : int
        Requests, at least 1.
    seed : int
        At least 0.
    name : str, optional

    Returns
    -------
    Traffic
        Arrivals ascending; the first gap counts, so that the first arrival is after 0.

    Raises
    ------
    InputError
        If n or the seed is out of range, or a type can never run.

    Examples
    --------
    >>> traffic = poisson_seconds(Mix.from_rows([(512, 20, 12.0)]), 122_752, 1000, seed=1)
    >>> bool(10 < 1000 / traffic.arrival_s[-1] < 14)
    True
    """
    random = generator(seed, "requests", n)
    times = np.cumsum(random.exponential(1 / mix.total_rate, n))
    kind = random.choice(len(mix), size=n, p=mix.rate / mix.total_rate)
    meta = {"stream": "poisson", "types": types_of(mix), "seed": seed}
    return Traffic(capacity, mix.prompt[kind], mix.output[kind], times, name or f"poisson-{mix.total_rate:g}-{n}", meta)


def poisson_rounds(mix: Mix, capacity: int, rounds: int, seed: int = 0, name: str | None = None) -> Instance:
    """Requests of a mix over rounds 0 .. rounds - 1: of each type a Poisson number with its rate in every round.

    Parameters
    ----------
    mix, capacity, seed, name
        As in `poisson_seconds`; rates are per round.
    rounds : int
        At least 1.

    Returns
    -------
    Instance

    Raises
    ------
    InputError
        If a parameter is out of range, a type can never run, or by chance nothing arrives at all.
    """
    random = generator(seed, "rounds", rounds, mix.total_rate)
    counts = random.poisson(np.broadcast_to(mix.rate, (rounds, len(mix))))
    return by_rounds(mix, capacity, counts, name or f"poisson-rounds-{rounds}", "poisson", seed)


def bernoulli_rounds(mix: Mix, capacity: int, rounds: int, seed: int = 0, name: str | None = None) -> Instance:
    """Requests of a mix over rounds 0 .. rounds - 1: at most one a round, of each type with its rate as probability.

    Parameters
    ----------
    mix, capacity, rounds, seed, name
        As in `poisson_rounds`; the rates sum to at most 1.

    Returns
    -------
    Instance

    Raises
    ------
    InputError
        If a parameter is out of range, a type can never run, or by chance nothing arrives at all.
    """
    if mix.total_rate > 1 + 1e-12:
        raise InputError(f"Bernoulli arrivals need rates that sum to at most 1, got {mix.total_rate:g}")
    random = generator(seed, "rounds", rounds)
    kind = np.searchsorted(np.cumsum(mix.rate), random.random(rounds), side="right")
    counts = (kind[:, None] == np.arange(len(mix))).astype(np.int64)
    return by_rounds(mix, capacity, counts, name or f"bernoulli-rounds-{rounds}", "bernoulli", seed)


def by_rounds(mix: Mix, capacity: int, counts: IntArray, name: str, stream: str, seed: int) -> Instance:
    """The instance with ``counts[t, k]`` requests of type k arriving in round t."""
    arrival, kind = np.nonzero(counts)
    times = counts[arrival, kind]
    if not len(times):
        raise InputError("by chance nothing arrives; take more rounds, higher rates or another seed")
    meta = {"stream": stream, "types": types_of(mix), "seed": seed}
    kind = np.repeat(kind, times)
    return Instance(capacity, mix.prompt[kind], mix.output[kind], np.repeat(arrival, times), name=name, meta=meta)


def resampled_seconds(source: Instance | Traffic, rate: float, n: int, seed: int = 0) -> Traffic:
    """n requests whose lengths are drawn with replacement from a trace, Poisson with `rate` per second.

    Parameters
    ----------
    source : Instance or Traffic
        Where pairs of prompt and output come from; its arrivals are not used.
    rate : float
        Per second, above 0.
    n, seed : int
        As in `poisson_seconds`.

    Returns
    -------
    Traffic

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    check_rate(rate)
    random = generator(seed, "requests", n)
    times = np.cumsum(random.exponential(1 / rate, n))
    chosen = random.integers(0, source.n, n)
    meta = {"stream": "resampled", "source": source.name, "rate": rate, "seed": seed}
    name = f"{source.name}-poisson-{rate:g}-{n}"
    return Traffic(source.capacity, source.prompt[chosen], source.output[chosen], times, name, meta)


def resampled_rounds(source: Instance | Traffic, rate: float, rounds: int, seed: int = 0) -> Instance:
    """Requests whose lengths are drawn with replacement from a trace, a Poisson number in each of `rounds` rounds.

    Parameters
    ----------
    source, seed
        As in `resampled_seconds`.
    rate : float
        Per round, above 0.
    rounds : int
        At least 1.

    Returns
    -------
    Instance

    Raises
    ------
    InputError
        If a parameter is out of range, or by chance nothing arrives at all.
    """
    check_rate(rate)
    random = generator(seed, "rounds", rounds, rate)
    arrival = np.repeat(np.arange(rounds), random.poisson(rate, rounds))
    if not len(arrival):
        raise InputError("by chance nothing arrives; take more rounds, a higher rate or another seed")
    chosen = random.integers(0, source.n, len(arrival))
    meta = {"stream": "resampled", "source": source.name, "rate": rate, "seed": seed}
    name = f"{source.name}-rounds-{rounds}"
    return Instance(source.capacity, source.prompt[chosen], source.output[chosen], arrival, name=name, meta=meta)


def types_of(mix: Mix) -> list[list[float]]:
    """Prompt, output and rate of each type, for `meta`."""
    return [[int(s), int(o), float(rate)] for s, o, rate in zip(mix.prompt, mix.output, mix.rate, strict=True)]


def generator(seed: int, unit: str, length: int, rate: float = 1.0) -> np.random.Generator:
    """The random numbers of a stream of so many requests, or of rounds with `rate` requests each on average.

    Raises InputError if an argument is out of range or more than `MAX_REQUESTS` requests are expected.
    """
    whole_number(unit, length, 1, MAX_REQUESTS)
    if rate * length > MAX_REQUESTS:
        raise InputError(f"{rate * length:g} requests are expected; at most {MAX_REQUESTS} are supported")
    return np.random.Generator(np.random.PCG64(whole_number("seed", seed, 0)))


def check_rate(rate: float) -> None:
    """Raise InputError unless a rate is above 0 and within range."""
    if not 1 / MAX_VALUE <= rate <= MAX_VALUE:
        raise InputError(f"the rate must be above 0 and within 1/{MAX_VALUE}..{MAX_VALUE}, got {rate}")
