"""A start round for each request, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from kvopt.arguments import instance_of
from kvopt.errors import InputError
from kvopt.model.instance import Instance, IntArray, exact_sum, frozen_column


@dataclass(frozen=True, eq=False)
class Schedule:
    """Start rounds for an instance; feasibility is the verifier's question (`kvopt.verify`).

    Parameters
    ----------
    instance : Instance
    starts : array_like of int, shape (n,)
        Start round of each request.

    Examples
    --------
    >>> inst = Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3])
    >>> plan = Schedule(inst, [0, 1, 0, 3])
    >>> plan.total_latency, plan.makespan, plan.memory.tolist()
    (12, 6, [4, 5, 4, 2, 3, 4])
    """

    instance: Instance
    starts: IntArray

    def __post_init__(self) -> None:
        instance_of("instance", self.instance, Instance)
        object.__setattr__(self, "starts", frozen_column(self.starts, "starts"))
        if len(self.starts) != self.instance.n:
            raise InputError(f"{len(self.starts)} starts for {self.instance.n} requests")

    @cached_property
    def completions(self) -> IntArray:
        """Completion rounds ``start + output``, shape (n,)."""
        return self.starts + self.instance.output

    @cached_property
    def latencies(self) -> IntArray:
        """Rounds from arrival to completion, shape (n,)."""
        return self.completions - self.instance.arrival

    @cached_property
    def total_latency(self) -> int:
        """Sum of the latencies (TEL)."""
        return exact_sum(self.latencies)

    @property
    def average_latency(self) -> Fraction:
        """Total latency over the number of requests, exact."""
        return Fraction(self.total_latency, self.instance.n)

    @property
    def makespan(self) -> int:
        """The round in which the last request has completed."""
        return int(self.completions.max())

    @property
    def memory(self) -> IntArray:
        """Tokens held in each round 0 .. makespan - 1; O(n + makespan)."""
        size = self.makespan + 1
        level, slope = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        # In round r a running request holds (s - p + 1) + r tokens: a constant and one token a round.
        base = self.instance.prompt - self.starts + 1
        np.add.at(level, self.starts, base)
        np.add.at(level, self.completions, -base)
        np.add.at(slope, self.starts, 1)
        np.add.at(slope, self.completions, -1)
        return (np.cumsum(level) + np.cumsum(slope) * np.arange(size))[:-1]
