"""The two published integer programmes as plain data, apart from any solver; docs/solvers.md states them in full.

Both have a variable for each start that a group of requests may take, a row for each group, and a row for
each round, which is where memory is limited:

- *indexed*: binary ``x[i, p]``, request i starts in round p (Jaillet et al., arXiv 2502.07115);
- *aggregated*: integer ``x[k, p]``, the number of requests of type k that start in round p. It has no symmetry
  between equal requests; the linear relaxations have the same value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kvopt.errors import SolverError, TooLargeError
from kvopt.model import Instance, IntArray, exact_sum

#: More start variables than this are not even listed.
MAX_VARIABLES = 5_000_000


@dataclass(frozen=True, eq=False)
class Formulation:
    """``min cost @ x``, ``sum_p x[g, p] = count[g]`` for each group g, memory <= capacity in each round.

    Attributes
    ----------
    instance : Instance
    prompt, output, arrival, count, latest : int64 arrays of shape (G,)
        The groups: types, or single requests with count 1. `latest` is the last start round allowed.
    members : tuple of int64 arrays
        Requests of each group.
    group, start : int64 arrays of shape (C,)
        The variables ``x[group, start]``, ordered by group, then start.
    """

    instance: Instance
    prompt: IntArray
    output: IntArray
    arrival: IntArray
    count: IntArray
    latest: IntArray
    members: tuple[IntArray, ...]
    group: IntArray
    start: IntArray

    @property
    def horizon(self) -> int:
        """Number of rounds, the same as of memory rows."""
        return int((self.latest + self.output).max())

    @property
    def cost(self) -> IntArray:
        """Latency of a request that starts so, shape (C,)."""
        return self.start + (self.output - self.arrival)[self.group]

    @property
    def upper(self) -> IntArray:
        """Largest value of each variable, shape (C,): the group's size, or what fits into the last round."""
        return np.minimum(self.count, self.instance.capacity // (self.prompt + self.output))[self.group]

    @cached_property
    def first(self) -> IntArray:
        """Index of each group's first variable, and C, shape (G + 1,)."""
        return np.concatenate(([0], np.cumsum(self.latest - self.arrival + 1)))

    @property
    def coefficients(self) -> int:
        """Number of coefficients of the memory rows."""
        return exact_sum(self.output * (self.latest - self.arrival + 1))

    @property
    def size(self) -> dict[str, int]:
        """Figures for a run's statistics."""
        return {"variables": len(self.group), "horizon": self.horizon}

    def memory_rows(self) -> tuple[IntArray, IntArray, IntArray]:
        """Coefficients of the memory rows as arrays (round, variable, tokens), by round, then variable."""
        output = self.output[self.group]
        variable = np.repeat(np.arange(len(self.group)), output)
        # The position in the run, 1 .. output, for each variable after the other.
        position = np.arange(1, len(variable) + 1) - np.repeat(np.cumsum(output) - output, output)
        row = np.repeat(self.start, output) + position - 1
        tokens = np.repeat(self.prompt[self.group], output) + position
        order = np.argsort(row, kind="stable")
        return row[order], variable[order], tokens[order]

    def rounds(self) -> Iterator[tuple[int, IntArray, IntArray]]:
        """The memory rows one by one: (round, variables, tokens)."""
        row, variable, tokens = self.memory_rows()
        heads = np.flatnonzero(np.diff(row, prepend=-1))
        for begin, end in zip(heads.tolist(), [*heads[1:].tolist(), len(row)], strict=True):
            yield int(row[begin]), variable[begin:end], tokens[begin:end]

    def decode(self, values: npt.ArrayLike) -> IntArray:
        """Start of each request from the values of the variables; equal requests start in index order.

        Raises
        ------
        SolverError
            If a value is not an integer (to 1e-4), or a group does not start as often as it must.
        """
        exact = np.asarray(values, dtype=np.float64)
        times = np.rint(exact).astype(np.int64)
        if len(times) != len(self.group) or np.abs(exact - times).max() > 1e-4 or times.min() < 0:
            raise SolverError("the values of the start variables are not nonnegative integers")
        starts = np.empty(self.instance.n, dtype=np.int64)
        for g, members in enumerate(self.members):
            columns = slice(self.first[g], self.first[g + 1])
            chosen = np.repeat(self.start[columns], times[columns])
            if len(chosen) != len(members):
                raise SolverError(f"{len(chosen)} starts for the {len(members)} requests of group {g}")
            starts[members] = chosen
        return starts

    def encode(self, starts: IntArray) -> IntArray | None:
        """Values of the variables for a schedule, shape (C,); None if one of its starts is later than allowed."""
        values = np.zeros(len(self.group), dtype=np.int64)
        for g, members in enumerate(self.members):
            if starts[members].max() > self.latest[g]:
                return None
            np.add.at(values, self.first[g] + starts[members] - self.arrival[g], 1)
        return values


def aggregated(instance: Instance, latest: IntArray) -> Formulation:
    """The formulation by type.

    Parameters
    ----------
    instance : Instance
    latest : int array of shape (n,)
        Last start round allowed for each request, the same for equal requests, not before the arrival.

    Raises
    ------
    TooLargeError
        If there are more than `MAX_VARIABLES` variables.

    Examples
    --------
    >>> inst = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    >>> model = aggregated(inst, np.array([3, 3, 3, 3]))
    >>> model.group.tolist(), model.start.tolist()
    ([0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 3, 0, 1, 2, 3])
    >>> model.decode([1, 1, 0, 0, 1, 0, 0, 1]).tolist()
    [0, 1, 0, 3]
    """
    members = instance.types.members
    return _formulation(instance, latest, members, instance.types.count)


def indexed(instance: Instance, latest: IntArray) -> Formulation:
    """The formulation with a binary variable for each request and start; see `aggregated`.

    >>> inst = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    >>> len(indexed(inst, np.array([3, 3, 3, 3])).group)
    16
    """
    members = tuple(np.arange(instance.n).reshape(-1, 1))
    return _formulation(instance, latest, members, np.ones(instance.n, dtype=np.int64))


def _formulation(instance: Instance, latest: IntArray, members: tuple[IntArray, ...], count: IntArray) -> Formulation:
    leaders = np.array([m[0] for m in members])
    prompt, output, arrival = (column[leaders] for column in (instance.prompt, instance.output, instance.arrival))
    latest = latest[leaders]
    starts = latest - arrival + 1
    variables = sum(starts.tolist())
    if variables > MAX_VARIABLES:
        raise TooLargeError(f"the time-indexed model would have {variables:,} variables, more than {MAX_VARIABLES:,}")
    group = np.repeat(np.arange(len(members)), starts)
    start = np.arange(len(group)) + np.repeat(arrival - (np.cumsum(starts) - starts), starts)
    return Formulation(instance, prompt, output, arrival, count, latest, members, group, start)
