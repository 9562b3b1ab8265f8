"""A randomised adversary for large sizes: one long request, and a stream of short ones that begins at a random time.

The families `Stream` and `LargePrompts` answer the start of the long request; against a randomised policy that
start cannot be seen. Instead the stream begins in a random round, or never. As long as nothing has come, a policy has
only one thing to choose, the start b of the long request; once the stream begins, it knows the rest. So policies are
columns, beginnings of the stream are rows of a matrix of total latencies, all exact
(`kvopt.adversary.single_long`), and the adversary's best distribution is the dual of a small linear programme.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numba
import numpy as np

from kvopt.adversary import single_long
from kvopt.adversary.families import LargePrompts, Stream
from kvopt.adversary.randomised import whole
from kvopt.arguments import whole_number
from kvopt.errors import SolverError, TooLargeError
from kvopt.mip.linear import LinearProgramme
from kvopt.model import IntArray

#: Most entries of the matrix of latencies.
MOST_ENTRIES = 20_000_000


@dataclass(frozen=True)
class RandomStart:
    """A distribution of the round in which the stream begins, and what it proves.

    Attributes
    ----------
    family : Stream or LargePrompts
    last, every : int
        The stream begins in round 0, `every`, 2 `every`, ..., or `last`, or never.
    weights : dict of int or None to int
        Weight of each round, None for never; those with weight 0 are left out.
    lower : Fraction
        No online policy, randomised or not, has a smaller competitive ratio: the least expected total latency over
        the expected optimum under these weights.
    value : float
        Optimum of the linear programme over all weights.
    """

    family: Stream | LargePrompts
    last: int
    every: int
    weights: dict[int | None, int]
    lower: Fraction
    value: float

    @property
    def requests(self) -> int:
        """Number of requests if the stream comes."""
        return 1 + sum(row[2] for row in self.family.stream(0))


def random_start(family: Stream | LargePrompts, last: int, every: int = 1) -> RandomStart:
    """The best distribution of the beginning of the stream.

    Parameters
    ----------
    family : Stream or LargePrompts
        Its long request and its stream; what it answers to a policy plays no part.
    last : int
        Latest round in which the stream may begin, >= 0; the bound grows with it.
    every : int
        Distance between the rounds in which it may begin, >= 1; larger is faster and proves less.

    Returns
    -------
    RandomStart

    Raises
    ------
    TooLargeError
        If the matrix has more than `MOST_ENTRIES` entries.

    Examples
    --------
    >>> found = random_start(LargePrompts(16), last=24)
    >>> found.requests, round(float(found.lower), 4)
    (9, 1.6852)
    """
    whole_number("last", last, 0)
    whole_number("every", every, 1)
    number = last // every + 1 + (last % every > 0)
    if (number + 1) * (last + 2) > MOST_ENTRIES:
        raise TooLargeError(f"{number:,} beginnings x {last + 2:,} starts; at most {MOST_ENTRIES:,} entries")
    begins = sorted({*range(0, last + 1, every), last})
    [(prompt, output, _, _)] = family.respond(None)
    stream = family.stream(0)
    counts = np.array([row[2] for row in stream], dtype=np.int64)
    each = stream[0][0] + stream[0][1]
    costs, optima = _latencies(family.capacity, each, counts, prompt, output, np.array(begins, dtype=np.int64), last)
    weights, value = _best_weights(costs, optima)
    lower = Fraction(
        min(sum(w * c for w, c in zip(weights, column, strict=True)) for column in costs.T.tolist()),
        sum(w * c for w, c in zip(weights, optima.tolist(), strict=True)),
    )
    named = {begin: weight for begin, weight in zip([*begins, None], weights, strict=True) if weight}
    return RandomStart(family, last, every, named, lower, value)


def _best_weights(costs: IntArray, optima: IntArray) -> tuple[list[int], float]:
    """Integer weights of the rows, and the optimum of the programme."""
    model = LinearProgramme()
    ratio = model.variable()
    columns = np.unique(costs, axis=1)
    policy = [model.variable() for _ in range(columns.shape[1])]
    model.add(1, [(x, 1) for x in policy], 1)
    rows = [
        model.add(-np.inf, [(ratio, -optimum), *zip(policy, row, strict=True)], 0)
        for row, optimum in zip(columns.tolist(), optima.tolist(), strict=True)
    ]
    found = model.solve()
    if found is None:
        raise SolverError("GLOP ended without an optimum and without a limit")
    return whole(np.maximum(-found.duals[rows], 0.0)).tolist(), found.value


@numba.njit(cache=True, nogil=True)
def _latencies(capacity, each, counts, prompt, output, begins, last):
    """Total latency for each beginning of the stream (the last row: never) and each start 0 .. last + 1 of the long
    request chosen before it; optima by row.

    Starts in or after the round in which the stream begins are chosen with full knowledge; the last start stands
    for all that are later.
    """
    span = len(counts) + counts.sum() // (capacity // each) + 2
    costs = np.empty((len(begins) + 1, last + 2), np.int64)
    optima = np.empty(len(begins) + 1, np.int64)
    for row in range(len(begins)):
        begin = begins[row]
        arrived = np.zeros(begin + len(counts), np.int64)
        arrived[begin:] = counts
        informed = optimum = np.int64(2**62)
        for start in range(begin, begin + span):
            informed = min(
                informed, single_long.latency(capacity, each, arrived, begin, prompt, output, 0, start, informed)
            )
        for start in range(last + 2):
            if start < begin:
                costs[row, start] = single_long.latency(
                    capacity, each, arrived, begin, prompt, output, 0, start, np.int64(2**62)
                )
            else:
                costs[row, start] = informed
            optimum = min(optimum, costs[row, start])
        optima[row] = optimum
    costs[-1] = np.arange(last + 2) + output
    optima[-1] = output
    return costs, optima
