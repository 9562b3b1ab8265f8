"""Backward induction over (running profile, waiting requests): the kernels of all reference policies.

A state is a profile and a number of waiting requests of each type, 0..cap. Within a round the policy starts
requests one at a time; ``post`` is the cost to go once it has started its last one, ``value`` the least cost to go
before, so that ``value(c, q) = min(post(c, q), min_k value(start_k(c), q - e_k))``. Types beyond their cap are
counted as cap: the tables underestimate the cost of such states, and runs report how often they were met.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from kvopt.errors import InputError, TooLargeError
from kvopt.model import FloatArray, IntArray
from kvopt.regret.mix import Mix
from kvopt.regret.paths import check_process
from kvopt.regret.profiles import ProfileGraph

ActionArray = npt.NDArray[np.int8]
AnyArray = npt.NDArray[Any]

#: Most states of one table.
MAX_STATES = 2_000_000
#: Poisson numbers of arrivals rarer than this are left out, the others scaled to sum 1.
RAREST = 1e-12


@dataclass(frozen=True, eq=False)
class StateSpace:
    """Profiles times waiting requests 0..cap of each type.

    Attributes
    ----------
    graph : ProfileGraph
    cap : tuple of int, length K
        Most waiting requests of each type that a table tells apart.
    """

    graph: ProfileGraph
    cap: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.cap) != len(self.graph.mix) or min(self.cap) < 1:
            raise InputError(f"caps {self.cap} for {len(self.graph.mix)} types; each at least 1")
        if (states := len(self.graph) * self.queues) > MAX_STATES:
            raise TooLargeError(f"{states:,} states of profiles and waiting requests; {MAX_STATES:,} are the most")

    @property
    def queues(self) -> int:
        """Number S of combinations of waiting requests."""
        return prod(c + 1 for c in self.cap)

    @cached_property
    def digits(self) -> IntArray:
        """Waiting requests of each combination, int64 of shape (S, K); the last type counts fastest."""
        return np.stack(np.unravel_index(np.arange(self.queues), [c + 1 for c in self.cap]), axis=1).astype(np.int64)

    @cached_property
    def strides(self) -> IntArray:
        """How far the number of a combination moves with one more request of each type, shape (K,)."""
        return np.array([prod(c + 1 for c in self.cap[k + 1 :]) for k in range(len(self.cap))], np.int64)

    @cached_property
    def most(self) -> IntArray:
        """The caps as an int64 array."""
        return np.array(self.cap, np.int64)

    def before_starts(self, post: AnyArray, value: AnyArray, action: ActionArray) -> None:
        """Fill `value` and `action` of shape (N, S) from the cost to go after the starts of a round."""
        best_starts(post, self.graph.start, self.digits, self.strides, value, action)

    def after_starts(self, value: AnyArray, arrivals: ArrivalStages | IntArray, post: AnyArray) -> None:
        """Fill `post` from the next round's `value`, for random arrivals or for known ones (shape (K,))."""
        advance = self.graph.advance
        if isinstance(arrivals, ArrivalStages):
            a = arrivals
            outcomes = (a.stage, a.kind, a.count, a.probability)
            expected_next(value, advance, self.digits, self.strides, self.most, outcomes, post)
        else:
            known_next(value, advance, self.digits, self.strides, self.most, arrivals, post)


@dataclass(frozen=True, eq=False)
class ArrivalStages:
    """The arrivals of one round as independent stages; in each, one outcome (so many of one type) happens.

    Attributes
    ----------
    stage, kind, count : int64 arrays of shape (J,)
    probability : float64 array of shape (J,)
    """

    stage: IntArray
    kind: IntArray
    count: IntArray
    probability: FloatArray

    @classmethod
    def of(cls, mix: Mix, rate: Fraction, process: str) -> ArrivalStages:
        """The stages of a process (`kvopt.regret.paths.PROCESSES`)."""
        check_process(mix, rate, process)
        means = [float(rate * share) for share in mix.share]
        rows: list[tuple[int, int, int, float]] = []
        if process == "bernoulli":
            rows = [(0, 0, 0, 1 - float(rate)), *((0, k, 1, mean) for k, mean in enumerate(means))]
        else:
            for k, mean in enumerate(means):
                chances = [1 - mean, mean] if process == "types" else poisson_chances(mean)
                rows += [(k, k, count, chance) for count, chance in enumerate(chances)]
        stage, kind, count = (np.array(column, np.int64) for column in list(zip(*rows, strict=True))[:3])
        return cls(stage, kind, count, np.array([row[3] for row in rows]))


def poisson_chances(mean: float) -> list[float]:
    """Chances of 0, 1, 2, ... arrivals, cut where they fall below `RAREST`.

    >>> [round(p, 4) for p in poisson_chances(0.5)[:3]]
    [0.6065, 0.3033, 0.0758]
    """
    chances = [float(np.exp(-mean))]
    while len(chances) <= mean or chances[-1] > RAREST:
        chances.append(chances[-1] * mean / len(chances))
    return [chance / sum(chances) for chance in chances]


@numba.njit(cache=True, nogil=True)
def best_starts(post, start, digits, strides, value, action):
    """Least cost to go before the starts of a round, and the first of them: a type, or -1 for none.

    `post` and `value` have shape (N, S), `action` too. Of equally good moves a start beats waiting.
    """
    nodes, types = start.shape
    for q in range(len(digits)):
        for node in range(nodes):
            least, first = post[node, q], -1
            for k in range(types):
                if digits[q, k] > 0 and start[node, k] >= 0:
                    cost = value[start[node, k], q - strides[k]]
                    if cost < least or (cost == least and first == -1):
                        least, first = cost, k
            value[node, q] = least
            action[node, q] = first


@numba.njit(cache=True, nogil=True)
def expected_next(value, advance, digits, strides, cap, outcomes, post):
    """Cost to go after the last start: who waits now, plus the expectation over the arrivals of the next round."""
    stage, kind, count, probability = outcomes
    nodes, queues = value.shape
    now, then = value.copy(), np.empty_like(value)
    for s in range(stage[-1] + 1):
        for q in range(queues):
            then[:, q] = 0.0
            for j in range(len(stage)):
                if stage[j] == s:
                    k = kind[j]
                    to = q + strides[k] * (min(cap[k], digits[q, k] + count[j]) - digits[q, k])
                    for node in range(nodes):
                        then[node, q] += probability[j] * now[node, to]
        now, then = then, now
    for node in range(nodes):
        for q in range(queues):
            post[node, q] = digits[q].sum() + now[advance[node], q]


@numba.njit(cache=True, nogil=True)
def known_next(value, advance, digits, strides, cap, arrived, post):
    """The same when the arrivals of the next round are known."""
    nodes, queues = value.shape
    for q in range(queues):
        to, waiting = q, 0
        for k in range(len(cap)):
            waiting += digits[q, k]
            to += strides[k] * (min(cap[k], digits[q, k] + arrived[k]) - digits[q, k])
        for node in range(nodes):
            post[node, q] = waiting + value[advance[node], to]


@numba.njit(cache=True, nogil=True)
def clearing(start, advance, digits, strides, value, action):
    """Least total waiting when nobody arrives any more, and the first start of an optimal clearing.

    Waiting keeps the combination and leads to a profile of smaller number, so one pass in this order is exact;
    on an idle worker somebody is started.
    """
    nodes, types = start.shape
    for q in range(len(digits)):
        for node in range(nodes):
            if q == 0:
                value[node, q], action[node, q] = 0, -1
                continue
            least, first = np.int64(-1), -1
            if node > 0:
                least = digits[q].sum() + value[advance[node], q]
            for k in range(types):
                if digits[q, k] > 0 and start[node, k] >= 0:
                    cost = value[start[node, k], q - strides[k]]
                    if least < 0 or cost < least or (cost == least and first == -1):
                        least, first = cost, k
            value[node, q] = least
            action[node, q] = first


@numba.njit(cache=True, nogil=True)
def follow(actions, clear, start, advance, strides, cap, counts):
    """Total waiting of a policy on one path, and the rounds in which more than a cap waited.

    `actions` has shape (1, N, S) or (rounds, N, S); after the last round of `counts` the table `clear` decides.
    """
    rounds, types = counts.shape
    queue = np.zeros(types, np.int64)
    node = 0
    waited = capped = np.int64(0)
    t = 0
    while t < rounds or queue.sum() > 0:
        if t < rounds:
            queue += counts[t]
        beyond = False
        while True:
            q = 0
            for k in range(types):
                q += strides[k] * min(cap[k], queue[k])
                beyond = beyond or queue[k] > cap[k]
            if t >= rounds:
                first = clear[node, q]
            else:
                first = actions[t if len(actions) > 1 else 0, node, q]
            if first < 0:
                break
            queue[first] -= 1
            node = start[node, first]
        waited += queue.sum()
        capped += beyond
        node = advance[node]
        t += 1
    return waited, capped
