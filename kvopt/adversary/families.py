"""Families of adversaries that are bad for every policy, or for one rule, as the capacity grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from kvopt.adversary.play import Adversary, Row
from kvopt.arguments import whole_number
from kvopt.errors import InputError
from kvopt.model import MAX_VALUE
from kvopt.online import SimulationResult


@dataclass(frozen=True)
class Burst:
    """One long request; when it has almost ended, many short ones at once.

    Prompts 1. The long request has output M - 1; if the policy starts it in round b, M/2 requests of output 1 come in
    round b + M - floor(sqrt M) and wait until its end. Omega(sqrt n): arXiv 2502.07115, Theorem 4.1.

    Parameters
    ----------
    capacity : int
        KV cache capacity M in tokens, 4 .. 200,000.
    """

    capacity: int

    def __post_init__(self) -> None:
        whole_number("capacity", self.capacity, 4, 200_000)

    def respond(self, run: SimulationResult | None) -> list[Row]:
        """The long request, then the short ones."""
        m = self.capacity
        if run is None:
            return [(1, m - 1, 1, 0)]
        if run.n > 1:
            return []
        return [(1, 1, m // 2, int(run.start[0]) + m - isqrt(m))]


@dataclass(frozen=True)
class Stream:
    """One long request; once it runs, as many short ones in every round as fill the cache.

    Prompts 1. From round b + floor(delay * output) on, M/2 requests of output 1 arrive in each of M rounds. Next to
    the long request a part of them finds no room, and what has piled up by its end never drains.

    Parameters
    ----------
    capacity : int
        KV cache capacity M in tokens, 4 .. 4,000.
    delay : Fraction
        Part of the long request's run after which the stream begins, within (0, 1).
    long_output : int, optional
        Output of the long request, default M - 1.
    """

    capacity: int
    delay: Fraction = Fraction(3, 10)
    long_output: int | None = None

    def __post_init__(self) -> None:
        whole_number("capacity", self.capacity, 4, 4_000)
        if not 0 < self.delay < 1:
            raise InputError(f"the delay must be within (0, 1), got {self.delay}")
        if self.long_output is not None:
            whole_number("long_output", self.long_output, 2, self.capacity - 1)

    def respond(self, run: SimulationResult | None) -> list[Row]:
        """The long request, then the stream."""
        long_ = self.long_output or self.capacity - 1
        if run is None:
            return [(1, long_, 1, 0)]
        if run.n > 1:
            return []
        # Not before the round after its start: it depends on it.
        return self.stream(int(run.start[0]) + max(1, int(self.delay * long_)))

    def stream(self, first: int) -> list[Row]:
        """The short requests, from round `first` on."""
        return [(1, 1, self.capacity // 2, first + k) for k in range(self.capacity)]


@dataclass(frozen=True)
class LargePrompts:
    """A common prompt of half the capacity: no two requests fit side by side.

    Prompts s = M/2. The long request has output s; in each of the s rounds after its start comes one of output 1. All
    wait for its end, and then for each other. Omega(n) for policies that do not hold the long request back.

    Parameters
    ----------
    capacity : int
        KV cache capacity M in tokens, even, 4 .. 40,000.
    """

    capacity: int

    def __post_init__(self) -> None:
        whole_number("capacity", self.capacity, 4, 40_000)
        if self.capacity % 2:
            raise InputError(f"this family takes an even capacity, got {self.capacity}")

    def respond(self, run: SimulationResult | None) -> list[Row]:
        """The long request, then one short one each round."""
        s = self.capacity // 2
        if run is None:
            return [(s, s, 1, 0)]
        if run.n > 1:
            return []
        return self.stream(int(run.start[0]) + 1)

    def stream(self, first: int) -> list[Row]:
        """The short requests, from round `first` on."""
        s = self.capacity // 2
        return [(s, 1, 1, first + k) for k in range(s)]


@dataclass(frozen=True)
class ShortestFirst:
    """Against shortest-first with mixed prompts: few requests (M-1, 1) that go before many (1, 2); a backlog.

    Parameters
    ----------
    capacity : int
        KV cache capacity M in tokens, >= 4.
    copies : int, optional
        Number x of requests (M-1, 1), beside x floor(sqrt M) of the others; default floor(sqrt(M) / 3), where the
        others just fit side by side. arXiv 2508.06133 shows that the ratio is unbounded.
    """

    capacity: int
    copies: int | None = None

    def __post_init__(self) -> None:
        whole_number("capacity", self.capacity, 4, MAX_VALUE)
        if self.copies is not None:
            whole_number("copies", self.copies, 1, MAX_VALUE)

    def respond(self, run: SimulationResult | None) -> list[Row]:
        """The whole backlog."""
        if run is not None:
            return []
        copies = max(1, isqrt(self.capacity) // 3) if self.copies is None else self.copies
        # Long prompts come first in the instance, as in the family's source.
        return [(self.capacity - 1, 1, copies, 0), (1, 2, copies * isqrt(self.capacity), 0)]


#: Name -> adversary; its first parameter is the capacity, the others are options.
FAMILIES: dict[str, Callable[..., Adversary]] = {
    "burst": Burst,
    "stream": Stream,
    "large-prompts": LargePrompts,
    "shortest-first": ShortestFirst,
}
