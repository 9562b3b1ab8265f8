"""Random arrivals of a mix, drawn so that every policy and every horizon sees the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kvopt.arguments import whole_number
from kvopt.errors import InputError, UnknownNameError
from kvopt.model import MAX_REQUESTS, Instance, IntArray
from kvopt.regret.mix import Mix, positive_fraction

#: ``bernoulli``: a request or none in each round; ``types``: each type by itself a request or none; ``poisson``:
#: a Poisson number of requests.
PROCESSES = ("bernoulli", "types", "poisson")


@dataclass(frozen=True, eq=False)
class ArrivalPath:
    """One realisation of the arrivals, by round.

    Attributes
    ----------
    rounds : int
        Arrivals happen in rounds 0 .. rounds - 1.
    arrival, kind : int64 arrays of shape (n,)
        Round (ascending) and type of each request.
    """

    rounds: int
    arrival: IntArray
    kind: IntArray

    def until(self, horizon: int) -> ArrivalPath:
        """The requests that arrive before round `horizon`."""
        n = int(np.searchsorted(self.arrival, horizon))
        return ArrivalPath(min(self.rounds, horizon), self.arrival[:n], self.kind[:n])

    def counts(self, types: int) -> IntArray:
        """Requests by round and type, int64 array of shape (rounds, types)."""
        counts = np.zeros((self.rounds, types), np.int64)
        np.add.at(counts, (self.arrival, self.kind), 1)
        return counts

    def instance(self, mix: Mix) -> Instance:
        """The path as an instance; InputError if nobody arrives."""
        prompt, output = mix.columns
        return Instance(mix.capacity, prompt[self.kind], output[self.kind], self.arrival)


def draw_path(mix: Mix, rate: Fraction, rounds: int, seed: int, index: int, process: str = "bernoulli") -> ArrivalPath:
    """Path number `index` of a seed; the same numbers give the same path.

    Parameters
    ----------
    mix : Mix
    rate : Fraction
        Requests per round, all types together.
    rounds : int
        Rounds with arrivals, within 1..10,000,000.
    seed, index : int
        At least 0.
    process : str
        One of `PROCESSES`. In ``bernoulli`` at most one request arrives in a round (rate <= 1), in ``types``
        at most one of each type (rate * share <= 1), in ``poisson`` any number.

    Raises
    ------
    UnknownNameError
        For another process.
    InputError
        If the rate is too high for the process, or a path would be too long.

    Examples
    --------
    >>> path = draw_path(Mix(8, [1, 1], [2, 6], [0.7, 0.3]), Fraction(1, 2), 12, seed=0, index=0)
    >>> path.arrival.tolist(), path.kind.tolist()
    ([1, 2, 3, 11], [1, 0, 1, 0])
    """
    check_process(mix, rate, process)
    whole_number("rounds", rounds, 1, MAX_REQUESTS)
    if rate * rounds > MAX_REQUESTS:
        raise InputError(f"{rounds} rounds at {float(rate):g} requests a round; at most {MAX_REQUESTS:,} requests")
    random = np.random.default_rng([seed, index])
    share = np.array([float(f) for f in mix.share])
    if process == "types":
        hit = random.random((rounds, len(mix))) < float(rate) * share
        # Ties within a round fall in random order: fcfs must not favour a type for its place in the list.
        key = random.random((rounds, len(mix)))
        rows, columns = np.nonzero(hit)
        order = np.lexsort((key[rows, columns], rows))
        return ArrivalPath(rounds, rows[order].astype(np.int64), columns[order].astype(np.int64))
    if process == "bernoulli":
        count = (random.random(rounds) < float(rate)).astype(np.int64)
    else:
        count = random.poisson(float(rate), rounds)
    arrival = np.repeat(np.arange(rounds, dtype=np.int64), count)
    return ArrivalPath(rounds, arrival, random.choice(len(mix), len(arrival), p=share).astype(np.int64))


def check_process(mix: Mix, rate: Fraction, process: str) -> None:
    """Raise UnknownNameError or InputError unless the rate is a positive number that the process can produce."""
    rate = positive_fraction(rate, "the rate")
    if process not in PROCESSES:
        raise UnknownNameError("arrival process", process, list(PROCESSES))
    if process == "bernoulli" and rate > 1:
        raise InputError(f"Bernoulli arrivals bring at most 1 request a round, not {float(rate):g}; use poisson")
    if process == "types":
        for k, share in enumerate(mix.share):
            if rate * share > 1:
                raise InputError(f"type {k} would arrive {float(rate * share):g} times a round, at most 1; use poisson")
