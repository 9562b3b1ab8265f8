"""WAIT: a type of requests moves on only when enough new ones of it wait (``wait``, ``wait-advancing``).

Source: arXiv 2504.11320. Outputs are known; requests of equal prompt and (predicted) output are a type. The
requests of a type that run in one batch are those that started together with limits n, one group for each stage;
see `kvopt.policies.thresholds` for limits that are no whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from math import inf

from kvopt.errors import InputError
from kvopt.online.policy import Policy
from kvopt.online.view import Decision, View, VisibleRequest
from kvopt.policies.thresholds import Threshold, fitting

#: (prompt, output) of a type.
Type = tuple[int, int]


class Wait(Policy):
    """WAIT as published, with a rule that ends it.

    When idle, at each arrival or completion, J is the set of types of which at least n wait. If J is empty the
    worker stays idle, whatever runs. Otherwise it runs one batch with at most n requests of every stage of every
    type in J; the other types stand still with their memory. A step of a type thus takes n arrivals of it.

    Published WAIT never completes the last requests. Here, once nothing will ever arrive, or (optionally) after a
    type has stood still for `flush_after`, its requests are drained: the type counts as being in J until none
    of it is left.

    Memory: with whole thresholds at most ``sum n_j A_j`` tokens are held (`kvopt.fluid.check_wait`), otherwise up to
    one peak more for each type. If the capacity is smaller, fewer start, and an overflow evicts the last started.

    Parameters
    ----------
    thresholds : float or mapping of (prompt, output) to float
        n of every type; all above 0. Types without an entry are refused when the first request is seen.
    flush_after : float, optional
        Seconds (or rounds), above 0.

    Raises
    ------
    InputError
        If a threshold or `flush_after` is not above 0.
    """

    name = "wait"
    needs_prediction = True
    advancing = False

    def __init__(self, thresholds: float | Mapping[Type, float] = 1, flush_after: float | None = None) -> None:
        if flush_after is not None and not flush_after > 0:
            raise InputError(f"policy {self.name!r}: flush_after must be above 0, got {flush_after}")
        self.thresholds, self.flush_after = thresholds, flush_after
        if isinstance(thresholds, Mapping):
            for value in thresholds.values():
                Threshold(value)
        else:
            Threshold(thresholds)

    def begin(self, seed: int) -> None:
        """Nothing is known of any type."""
        self.limits: dict[Type, Threshold] = {}
        self.kinds: dict[int, Type] = {}
        self.moved: dict[Type, float] = {}
        self.draining: set[Type] = set()

    def decide(self, view: View) -> Decision:
        """One batch of the types in J, or idleness."""
        queues, residents = self.by_type(view.waiting), self.by_type(view.running)
        self.watch(view, queues.keys() | residents.keys())
        chosen = []
        for kind in self.moved:
            if kind not in residents:
                self.limit(kind).skip()
            if kind in self.draining or len(queues.get(kind, [])) >= self.limit(kind).next:
                chosen.append(kind)
        if not chosen and not (self.advancing and residents):
            return Decision(advance=(), until=self.wake())
        wanted: list[VisibleRequest] = []
        for kind in chosen:
            wanted += queues.get(kind, [])[: self.limit(kind).take()]
        moving = list(residents) if self.advancing else chosen
        self.moved.update(dict.fromkeys(moving, view.time))
        advance = [request for kind in moving for request in residents.get(kind, [])]
        return Decision(fitting(view, wanted), advance=None if len(advance) == len(view.running) else advance)

    def by_type(self, requests: Iterable[VisibleRequest]) -> dict[Type, list[VisibleRequest]]:
        """Requests of each type in the given order; a type is what was predicted at first."""
        found: dict[Type, list[VisibleRequest]] = {}
        for request in requests:
            kind = self.kinds.get(request.index)
            if kind is None:
                kind = self.kinds[request.index] = (request.prompt, request.predicted or 0)
            found.setdefault(kind, []).append(request)
        return found

    def limit(self, kind: Type) -> Threshold:
        """The threshold of a type."""
        if kind not in self.limits:
            given = self.thresholds
            if isinstance(given, Mapping) and kind not in given:
                raise InputError(f"policy {self.name!r}: no threshold for prompt {kind[0]} with output {kind[1]}")
            self.limits[kind] = Threshold(given[kind] if isinstance(given, Mapping) else given)
        return self.limits[kind]

    def watch(self, view: View, present: Set[Type]) -> None:
        """Keep when each type last moved; begin to drain one that has stood still too long, or all at the end."""
        self.moved = {kind: self.moved.get(kind, view.time) for kind in sorted(present)}
        self.draining &= present
        for kind, since in self.moved.items():
            if view.ended or (self.flush_after is not None and view.time >= since + self.flush_after):
                self.draining.add(kind)

    def wake(self) -> float:
        """When the next type will have stood still for too long."""
        return inf if self.flush_after is None else min(self.moved.values()) + self.flush_after


class WaitAdvancing(Wait):
    """WAIT in which whatever runs goes on also when nothing of its type can be admitted: no step needs an arrival.

    Thresholds then only say how many must wait, and how many start in one batch.
    """

    name = "wait-advancing"
    advancing = True
