"""The release game: an adversary with a menu and a budget of requests against a policy, on a finite horizon.

In rounds 0..H the adversary releases at most N requests of a finite menu of types, the first in round 0. In
each round the policy sees everything released so far and starts any of its waiting requests, or none, such
that the running ones stay within the capacity until they complete. The end is not announced; once the game
is over (all N released, or round H) the policy finishes optimally. It knows N and H, so every value is a lower
bound on the competitive ratio of online policies, nondecreasing in N, in H and in the menu.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import comb

from kvopt.arguments import whole_number
from kvopt.errors import InputError
from kvopt.model import Instance

#: Most rounds and requests of a game.
MOST_ROUNDS, MOST_REQUESTS = 1_000, 40

#: Running requests as sorted (type of the menu, rounds left).
Running = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Game:
    """G(M, menu, N, H).

    Parameters
    ----------
    menu : Instance
        Capacity M and one request for each type that may be released; its arrivals are not used.
    requests : int
        N, most requests released, 1 .. `MOST_REQUESTS`.
    horizon : int
        H, last round with a release, 0 .. `MOST_ROUNDS`.

    Raises
    ------
    InputError
        If N or H is out of range or two types of the menu are equal.

    Examples
    --------
    >>> game = Game.of(4, [(1, 1), (1, 3)], requests=4, horizon=4)
    >>> game.histories
    670
    """

    menu: Instance
    requests: int
    horizon: int

    def __post_init__(self) -> None:
        whole_number("requests", self.requests, 1, MOST_REQUESTS)
        whole_number("horizon", self.horizon, 0, MOST_ROUNDS)
        types = list(zip(self.menu.prompt.tolist(), self.menu.output.tolist(), strict=True))
        if len(set(types)) < len(types):
            raise InputError(f"the menu names a type twice: {types}")

    @classmethod
    def of(cls, capacity: int, menu: list[tuple[int, int]], requests: int, horizon: int) -> Game:
        """A game from (prompt, output) pairs."""
        if not menu:
            raise InputError("a menu needs at least one type")
        return cls(Instance.from_rows(capacity, menu, name="menu"), requests, horizon)

    @property
    def types(self) -> list[tuple[int, int]]:
        """(prompt, output) of the menu."""
        return list(zip(self.menu.prompt.tolist(), self.menu.output.tolist(), strict=True))

    @cached_property
    def histories(self) -> int:
        """Nodes of the release tree: one for each round and each sequence of releases up to it, the end included."""
        slots, n = len(self.menu), self.requests

        def up_to(rounds: int, size: int) -> int:
            """Multisets of 1..size requests in `rounds` rounds, one of them at least in round 0."""
            return comb(rounds * slots + size, size) - comb((rounds - 1) * slots + size, size)

        # A node at round t has fewer than n requests before t; its own releases may reach n.
        total = up_to(1, n)
        for t in range(1, self.horizon + 1):
            grown = up_to(t + 1, n) - (up_to(t, n) - up_to(t, n - 1))
            total += grown
        return total

    def waiting(self, size: int) -> list[tuple[int, ...]]:
        """Counts per type with at most `size` requests in all, in lexicographic order."""
        return [w for w in product(range(size + 1), repeat=len(self.menu)) if sum(w) <= size]


def starts(running: Running, waiting: tuple[int, ...], game: Game) -> Iterator[tuple[tuple[int, ...], Running]]:
    """Every multiset of waiting requests that may start now: what is left waiting, and what then runs.

    May start: in every later round the running requests hold at most the capacity. They are not yet a round older.
    """
    types, capacity = game.types, game.menu.capacity

    def fits(config: Running) -> bool:
        # Memory grows between completions, so the last rounds of the running requests decide.
        return all(
            sum(sum(types[k]) - left + u for k, left in config if left >= u) <= capacity for u in {u for _, u in config}
        )

    def extend(first: int, rest: tuple[int, ...], config: Running) -> Iterator[tuple[tuple[int, ...], Running]]:
        yield rest, tuple(sorted(config))
        for k in range(first, len(types)):
            if rest[k]:
                more = (*config, (k, types[k][1]))
                if fits(more):
                    yield from extend(k, (*rest[:k], rest[k] - 1, *rest[k + 1 :]), more)

    yield from extend(0, waiting, running)


def older(running: Running) -> Running:
    """The running requests one round later."""
    return tuple((k, left - 1) for k, left in running if left > 1)
