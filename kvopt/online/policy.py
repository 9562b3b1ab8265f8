"""Policies: a name, a decision before each iteration, and a rule for overflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from kvopt.online import kernels
from kvopt.online.view import Decision, Named, View


class Rule(NamedTuple):
    """A list policy in the terms of the compiled engine (`kvopt.online.kernels.run_rule`).

    Attributes
    ----------
    key : {"arrival", "predicted", "volume", "low"}
        Waiting requests are taken by increasing key, ties by index.
    bound : {"predicted", "low"}
        Output that the look-ahead check counts with.
    admission, overflow : int
        Codes of `kvopt.online.kernels`.
    least_free : tuple of int
        Tokens that must be free before and after an admission by threshold.
    beta : float
        Probability of an eviction on overflow, for AT_RANDOM.
    """

    key: Literal["arrival", "predicted", "volume", "low"]
    bound: Literal["predicted", "low"] = "predicted"
    admission: int = kernels.LOOK_AHEAD
    overflow: int = kernels.LAST_STARTED
    least_free: tuple[int, int] = (0, 0)
    beta: float = 0.0


class Policy:
    """Base class of policies; any object with a method `decide` is a policy as well.

    Attributes
    ----------
    name : str
        For reports and errors; default the name of the class.
    needs_prediction : bool
        Whether a simulation without predicted outputs is refused.
    """

    name: str = ""
    needs_prediction = False

    def begin(self, seed: int) -> None:
        """Called before a simulation: forget the last one, seed random choices."""

    def decide(self, view: View) -> Decision | Iterable[Named] | None:
        """What to do in the coming iteration: a decision, or just the requests to start (None: none)."""
        raise NotImplementedError

    def overflow(self, view: View) -> Iterable[Named]:
        """Running requests to evict because the coming iteration does not fit; default: the last started.

        Asked again until it fits.
        """
        return [view.last_started]

    def rule(self, capacity: int) -> Rule | None:
        """The compiled form, None if there is none."""
        return None


class ListPolicy(Policy):
    """Starts waiting requests in an order of their own by the look-ahead check, up to the first that does not fit.

    Overflow, impossible as long as no prediction is too short, evicts the last started (it is recomputed
    later); in that iteration nothing is admitted.
    """

    needs_prediction = True
    key: Literal["arrival", "predicted", "volume"] = "arrival"

    def decide(self, view: View) -> Iterable[Named]:
        """The longest prefix that fits until all predicted completions."""
        if view.overflowed and view.running:
            return []
        waiting = list(view.waiting)
        if self.key == "predicted":
            waiting.sort(key=lambda r: (r.predicted, r.index))
        elif self.key == "volume":
            waiting.sort(key=lambda r: (volume(r.prompt, r.predicted or 0), r.index))
        return view.look_ahead().longest_prefix(waiting)

    def rule(self, capacity: int) -> Rule:
        """Look-ahead admission by the key."""
        return Rule(self.key)


def volume(prompt: Any, output: Any) -> Any:
    """Token-rounds of requests, integers or arrays."""
    return prompt * output + output * (output + 1) // 2
