"""The certificate of a randomised bound: a weighted list of release sequences, checked in integers.

Yao's principle: if under some distribution of release sequences every deterministic policy has an expected total
latency of at least r times the expected optimum, then no randomised policy guarantees less than r. The check
below finds the cheapest policy that knows the distribution, by backward induction over what it has seen and
done. It shares nothing with the programs that find such distributions and imports nothing but the errors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from kvopt.errors import InputError

#: Longest play that is checked: last round of a release plus all outputs.
MOST_ROUNDS = 800
#: Nested calls for each round of a play.
FRAMES = 4

#: Waiting requests as sorted (prompt, output), running ones as sorted (peak, rounds left).
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Play:
    """A release sequence and its weight.

    Attributes
    ----------
    weight : int
        Its probability times a common factor, >= 1.
    releases : tuple of (round, prompt, output)
        In order of rounds.
    """

    weight: int
    releases: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Mix:
    """An adversary that draws its release sequence before the play: a mixed strategy, not a mix of types.

    Parameters
    ----------
    capacity : int
        KV cache capacity in tokens.
    plays : tuple of Play

    Raises
    ------
    InputError
        If a weight, release or length is out of range, or a sequence is not sorted by rounds.
    """

    capacity: int
    plays: tuple[Play, ...]

    def __post_init__(self) -> None:
        if not self.plays:
            raise InputError("a mix needs at least one release sequence")
        for number, play in enumerate(self.plays):
            where = f"release sequence {number}"
            if play.weight < 1:
                raise InputError(f"{where}: the weight must be at least 1, got {play.weight}")
            if not play.releases:
                raise InputError(f"{where}: it releases nothing")
            if list(play.releases) != sorted(play.releases, key=lambda release: release[0]):
                raise InputError(f"{where}: the rounds must not decrease")
            for round_, prompt, output in play.releases:
                if round_ < 0 or prompt < 0 or output < 1 or prompt + output > self.capacity:
                    raise InputError(f"{where}: the release ({round_}, {prompt}, {output}) is out of range")
            length = play.releases[-1][0] + sum(output for _, _, output in play.releases)
            if length > MOST_ROUNDS:
                raise InputError(f"{where}: {length} rounds; at most {MOST_ROUNDS} are checked")


def certified_ratio(mix: Mix) -> Fraction:
    """What every online policy, randomised or not, must pay at least, in units of the optimum.

    The least expected total latency of a policy that knows the mix over the expected optimum; no online policy has
    a smaller competitive ratio.

    Parameters
    ----------
    mix : Mix

    Returns
    -------
    Fraction
        At least 1. Time: histories in the mix x states of a policy x its choices.

    Examples
    --------
    With only one sequence the policy knows everything:

    >>> certified_ratio(Mix(4, (Play(1, ((0, 1, 1), (0, 1, 3))),)))
    Fraction(1, 1)

    Either the long request comes alone, or two short ones follow for which it is better to wait:

    >>> alone, followed = ((0, 1, 3),), ((0, 1, 3), (1, 1, 1), (1, 1, 1))
    >>> certified_ratio(Mix(4, (Play(1, alone), Play(1, followed))))
    Fraction(11, 10)
    """
    optimum = sum(play.weight * least_latency(mix.capacity, (Play(1, play.releases),)) for play in mix.plays)
    return Fraction(least_latency(mix.capacity, mix.plays), optimum)


def least_latency(capacity: int, plays: tuple[Play, ...]) -> int:
    """Least weighted total latency of a policy that knows the weights but sees releases only when they happen.

    With one play of weight 1 it is the optimum of that release sequence in hindsight.
    """

    def at(play: Play, t: int) -> Pairs:
        return tuple((s, o) for round_, s, o in play.releases if round_ == t)

    def by_release(group: tuple[int, ...], t: int) -> dict[Pairs, tuple[int, ...]]:
        """The plays of a group by what they release in round t."""
        split: dict[Pairs, list[int]] = {}
        for number in group:
            split.setdefault(tuple(sorted(at(plays[number], t))), []).append(number)
        return {released: tuple(numbers) for released, numbers in split.items()}

    branches = cache(by_release)

    @cache
    def clear(waiting: Pairs, running: Pairs) -> int:
        """Least total latency when nothing more comes."""
        if not waiting and not running:
            return 0
        following = set(choices(capacity, waiting, running))
        if not running:
            following.discard((waiting, ()))  # an idle round more never helps
        return len(waiting) + len(running) + min(clear(*state) for state in following)

    @cache
    def cost(group: tuple[int, ...], t: int, waiting: Pairs, running: Pairs) -> int:
        """Weighted latency from round t on, after its releases; the plays of the group look alike so far."""
        weight = sum(plays[number].weight for number in group)
        if all(plays[number].releases[-1][0] <= t for number in group):
            return weight * clear(waiting, running)
        return weight * (len(waiting) + len(running)) + min(
            sum(
                cost(part, t + 1, tuple(sorted(left + released)), ran)
                for released, part in branches(group, t + 1).items()
            )
            for left, ran in set(choices(capacity, waiting, running))
        )

    everyone = tuple(range(len(plays)))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + FRAMES * MOST_ROUNDS)
    try:
        return sum(cost(part, 0, released, ()) for released, part in branches(everyone, 0).items())
    finally:
        sys.setrecursionlimit(limit)


def choices(capacity: int, waiting: Pairs, running: Pairs) -> Iterator[tuple[Pairs, Pairs]]:
    """Waiting and running requests one round later, for each set of waiting requests that may start now."""
    kinds = sorted(set(waiting))

    def feasible(now: Pairs) -> bool:
        # In the u-th round from now a request with `left` rounds to go holds peak - left + u tokens.
        return all(sum(peak - left + u for peak, left in now if left >= u) <= capacity for _, u in set(now))

    def start(first: int, left: Pairs, now: Pairs) -> Iterator[tuple[Pairs, Pairs]]:
        yield left, tuple(sorted((peak, rounds - 1) for peak, rounds in now if rounds > 1))
        for k in range(first, len(kinds)):
            if kinds[k] in left:
                place = left.index(kinds[k])
                more = (*now, (sum(kinds[k]), kinds[k][1]))
                if feasible(more):
                    yield from start(k, left[:place] + left[place + 1 :], more)

    yield from start(0, waiting, running)
