"""Adversaries: the finite release game solved exactly, families bad for any policy, a search for bad instances.

>>> from kvopt.adversary import Game, deterministic_value, randomised_value
>>> game = Game.of(4, [(1, 1), (1, 3)], requests=4, horizon=4)
>>> deterministic_value(game).value, randomised_value(game).lower
(Fraction(3, 2), Fraction(9, 7))

The functions `kvopt.adversary.play.play` (any adversary against any policy) and `kvopt.adversary.search.search` share
the name of their modules and are imported from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvopt.lazy import lazy_names

if TYPE_CHECKING:
    from kvopt.adversary.curve import Point, Yardstick, against, exponent
    from kvopt.adversary.deterministic import GameValue, deterministic_value
    from kvopt.adversary.families import Burst, LargePrompts, ShortestFirst, Stream
    from kvopt.adversary.game import Game
    from kvopt.adversary.mix import Mix, Play, certified_ratio
    from kvopt.adversary.mix_file import read_mix, write_mix
    from kvopt.adversary.randomised import RandomisedValue, randomised_value
    from kvopt.adversary.search import Found, Space

#: Public name -> module; loaded on first use, because solvers and the simulator take a moment to load.
_HOMES = {
    "Point": "curve",
    "Yardstick": "curve",
    "against": "curve",
    "exponent": "curve",
    "GameValue": "deterministic",
    "deterministic_value": "deterministic",
    "Burst": "families",
    "LargePrompts": "families",
    "ShortestFirst": "families",
    "Stream": "families",
    "Game": "game",
    "Mix": "mix",
    "Play": "mix",
    "certified_ratio": "mix",
    "read_mix": "mix_file",
    "write_mix": "mix_file",
    "RandomisedValue": "randomised",
    "randomised_value": "randomised",
    "Found": "search",
    "Space": "search",
}

__all__ = [
    "Burst",
    "Found",
    "Game",
    "GameValue",
    "LargePrompts",
    "Mix",
    "Play",
    "Point",
    "RandomisedValue",
    "ShortestFirst",
    "Space",
    "Stream",
    "Yardstick",
    "against",
    "certified_ratio",
    "deterministic_value",
    "exponent",
    "randomised_value",
    "read_mix",
    "write_mix",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
