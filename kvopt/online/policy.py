"""Policies: a name, a decision before each iteration, and a rule for overflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from kvopt.model import volume
from kvopt.online import kernels
from kvopt.online.view import Bound, Decision, Named, View, bound_of


class Rule(NamedTuple):
    """A list policy in the terms of the compiled engine (`kvopt.online.kernels.run_rule`).

    Attributes
    ----------
    key : {"arrival", "bound", "volume"}
        Waiting requests are taken by arrival, by the output counted with, or by volume; ties by index.
    bound : {"predicted", "low", "high"}
        Output that order and look-ahead check count with.
    admission, overflow : int
        Codes of `kvopt.online.kernels`.
    least_free : tuple of int
        Tokens that must be free before and after an admission by threshold.
    beta : float
        Probability of an eviction on overflow, for AT_RANDOM.
    """

    key: Literal["arrival", "bound", "volume"]
    bound: Bound = "predicted"
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

    Attributes
    ----------
    key, bound
        As in `Rule`.
    """

    needs_prediction = True
    key: Literal["arrival", "bound", "volume"] = "arrival"
    bound: Bound = "predicted"

    def decide(self, view: View) -> Iterable[Named]:
        """The longest prefix that fits until all predicted completions."""
        if view.overflowed and view.running:
            return []
        waiting = list(view.waiting)
        if self.key == "bound":
            waiting.sort(key=lambda r: (bound_of(r, self.bound), r.index))
        elif self.key == "volume":
            waiting.sort(key=lambda r: (volume(r.prompt, bound_of(r, self.bound)), r.index))
        return view.look_ahead(self.bound).longest_prefix(waiting)

    def rule(self, capacity: int) -> Rule:
        """Look-ahead admission by the key."""
        return Rule(self.key, self.bound)


class ThresholdPolicy(Policy):
    """Admits in the order of arrivals by the memory in use, knowing nothing of outputs.

    An empty worker takes the first request in any case. In an iteration that had to be made to fit nothing is
    admitted, unless nothing is left running.
    """

    def least_free(self, capacity: int) -> tuple[int, int]:
        """Tokens that must be free in the coming iteration before an admission, and after it."""
        raise NotImplementedError

    def decide(self, view: View) -> Iterable[Named]:
        """Admit while enough is free."""
        if view.overflowed and view.running:
            return []
        before, after = self.least_free(view.capacity)
        token = 0 if view.separate_prefill else 1
        room, slots = view.room, view.slots
        chosen: list[Named] = []
        for request in view.waiting:
            enough = room >= before and room - request.prompt - token >= after
            if len(chosen) == slots or not (enough or (not chosen and not view.running)):
                break
            chosen.append(request)
            room -= request.prompt + token
        return chosen

    def rule(self, capacity: int) -> Rule:
        """Admission by threshold."""
        return Rule("arrival", admission=kernels.THRESHOLD, least_free=self.least_free(capacity))
