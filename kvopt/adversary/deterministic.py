"""The value of a release game against deterministic policies, an exact fraction."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kvopt.adversary.game import Game
from kvopt.adversary.kernels import play
from kvopt.adversary.states import States
from kvopt.adversary.watching import run_watched
from kvopt.errors import SolverError, TooLargeError
from kvopt.monitor import Monitor


@dataclass(frozen=True)
class GameValue:
    """What is known about the value of a game.

    Attributes
    ----------
    above : Fraction
        The value is greater than this; valid also when a limit ended the search.
    below : Fraction
        The value is less than this.
    value : Fraction or None
        The value itself, None when a limit ended the search.
    tests : int
        Ratios tested, each by one pass over the whole tree.
    states, nodes : int
        Numbered states and nodes of the release tree.
    """

    above: Fraction
    below: Fraction
    value: Fraction | None
    tests: int
    states: int
    nodes: int


def deterministic_value(game: Game, monitor: Monitor | None = None) -> GameValue:
    """Least ratio that some deterministic online policy guarantees in the game.

    For a ratio p/q, ``V = min over policies, max over releases of (q ALG - p OPT)`` is computed by backward induction
    over the release tree: costs are additive, so of the past only the costs at which a clairvoyant could have reached
    each state matter, and they are carried down the tree. V falls strictly with the ratio, and V = 0 says both
    that some policy guarantees p/q and that no policy guarantees less. The value is a ratio of two total latencies,
    so its denominator is at most the largest optimum, and bisection finds it. Integers only.

    Parameters
    ----------
    game : Game
    monitor : Monitor, optional
        Limits, interruption, progress; its instance is the menu.

    Returns
    -------
    GameValue

    Raises
    ------
    TooLargeError
        If the game has too many states, or would need more than the memory limit (2 GB without one).

    Notes
    -----
    Time: tests x histories x states of a policy at a history x choices.

    Examples
    --------
    >>> deterministic_value(Game.of(4, [(1, 1), (1, 3)], requests=4, horizon=4)).value
    Fraction(3, 2)
    """
    monitor = monitor or Monitor(game.menu)
    states = States(game)
    tree = _Tree(game, states, monitor)
    # One after another from round H on, each request waits at most this long.
    longest = game.horizon + game.requests * int(game.menu.output.max())
    largest = game.requests * longest
    if 4 * largest**4 > 2**62:
        raise TooLargeError(f"total latencies up to {largest:,} are too large for exact 64-bit games")
    above, below, value, tests = Fraction(0), Fraction(longest + 1), None, 0
    while value is None:
        width = below - above
        # Two different ratios of latencies are at least 1 / largest^2 apart.
        last = width * largest**2 < 1
        if last:
            ratio = simplest(above, below)
        elif below > longest and 2 * above + 2 < below:
            ratio = 2 * above + 2  # values are small, so bisection starts from below
        else:
            ratio = simplest(above + width / 4, below - width / 4)
        outcome = tree.outcome(ratio, above, below)
        if outcome is None:
            break
        tests += 1
        if outcome == 0:
            value = ratio
        elif last:
            raise SolverError(f"the value between {above} and {below} is not {ratio}: please report this game")
        elif outcome > 0:
            above = ratio
        else:
            below = ratio
    return GameValue(above, below, value, tests, len(states), game.histories)


class _Tree:
    """The release tree with its scratch memory."""

    def __init__(self, game: Game, states: States, monitor: Monitor) -> None:
        self.game, self.states, self.monitor = game, states, monitor
        shape = (5, game.horizon + 2, 2 * len(states))
        needed_gb = 8 * shape[0] * shape[1] * shape[2] / 1e9
        allowed_gb = monitor.memory_limit_gb or 2.0
        if needed_gb > allowed_gb:
            raise TooLargeError(
                f"{len(states):,} states over {game.horizon + 1:,} rounds would need {needed_gb:.1f} GB, "
                f"{allowed_gb:.1f} GB are allowed"
            )
        self.work = np.full(shape, -1, dtype=np.int64)

    def outcome(self, ratio: Fraction, above: Fraction, below: Fraction) -> int | None:
        """``min max (q ALG - p OPT)``, None if stopped."""
        game, states = self.game, self.states
        size, nodes = np.ones(game.horizon + 2, dtype=np.int64), np.zeros(1, dtype=np.int64)
        halt = np.zeros(1, dtype=np.int8)
        parts = np.array([ratio.numerator, ratio.denominator], dtype=np.int64)

        def work() -> int:
            worst = None
            self.work[4] = -1
            for released, code in states.releases[1:].tolist():
                self.work[0, 0, 0], self.work[1, 0, 0], size[0] = code, 0, 1
                play(
                    0,
                    game.requests - released,
                    parts,
                    game.horizon,
                    states.releases,
                    states.present,
                    states.first,
                    states.successor,
                    states.clearing,
                    self.work,
                    size,
                    nodes,
                    halt,
                )
                here = int(self.work[2, 0, 0])
                worst = here if worst is None else max(worst, here)
            assert worst is not None
            return worst

        def progress() -> None:
            share = f"{100 * int(nodes[0]) // game.histories} %"
            self.monitor.report(above=str(above), below=str(below), testing=str(ratio), tree=share)

        def stop() -> None:
            halt[0] = 1

        worst = run_watched(work, self.monitor, stop, progress)
        return None if halt[0] else worst


def simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of least denominator strictly between two nonnegative ones (Stern-Brocot descent).

    >>> simplest(Fraction(17, 12), Fraction(3, 2))
    Fraction(10, 7)
    """
    whole = low.numerator // low.denominator
    if whole + 1 < high:
        return Fraction(whole + 1)
    # Between two integers: whole + 1/x with x above 1 / (high - whole).
    least = 1 / (high - whole)
    inner = least.__floor__() + 1 if low == whole else simplest(least, 1 / (low - whole))
    return whole + 1 / Fraction(inner)
