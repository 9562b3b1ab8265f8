"""What a policy sees and what it may answer."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from kvopt.errors import InputError
from kvopt.online import kernels
from kvopt.online.kernels import State


class VisibleRequest:
    """A request that has arrived, as a policy sees it: read-only, so that a mistake cannot change the figures.

    Attributes
    ----------
    index : int
        Its number in the instance.
    arrival : int or float
        Round or second.
    prompt : int
        Tokens.
    """

    __slots__ = ("_arrival", "_high", "_index", "_low", "_point", "_prompt", "_state")

    def __init__(
        self,
        state: State,
        index: int,
        arrival: float,
        point: int | None,
        low: int,
        high: int,
    ) -> None:
        self._state = state
        self._index = index
        self._arrival = arrival
        self._prompt = int(state.prompt[index])
        self._point, self._low, self._high = point, low, high

    @property
    def index(self) -> int:
        """See above."""
        return self._index

    @property
    def arrival(self) -> float:
        """See above."""
        return self._arrival

    @property
    def prompt(self) -> int:
        """See above."""
        return self._prompt

    @property
    def predicted(self) -> int | None:
        """Predicted output, never less than what it is known to need; None without a prediction."""
        return None if self._point is None else max(self._point, self.least)

    @property
    def low(self) -> int:
        """Lower bound on the output: the predicted one, or one more than the tokens seen."""
        return max(self._low, self.least)

    @property
    def high(self) -> int:
        """Upper bound on the output: the predicted one, or what the capacity allows beside the prompt."""
        return max(self._high, self.least)

    @property
    def least(self) -> int:
        """One more than the most tokens it has ever generated: its output is at least this."""
        return int(self._state.seen[self.index]) + 1

    @property
    def generated(self) -> int:
        """Tokens generated since its start."""
        return int(self._state.generated[self.index])

    @property
    def held(self) -> int:
        """Tokens it holds now, 0 while it waits."""
        return self.prompt + self.generated if self._state.status[self.index] == kernels.RUNNING else 0

    @property
    def prompt_left(self) -> int:
        """Prompt tokens not yet processed (chunked prefill)."""
        return int(self._state.left[self.index])

    @property
    def fresh(self) -> bool:
        """Whether its prompt is still to be processed."""
        return bool(self._state.fresh[self.index])

    @property
    def evictions(self) -> int:
        """How often it was evicted."""
        return int(self._state.evictions[self.index])

    def __repr__(self) -> str:
        return f"<request {self.index}: prompt {self.prompt}, predicted {self.predicted}, generated {self.generated}>"


#: What a policy takes for a request's output: one of its figures, or a function of the request.
Bound = Literal["predicted", "low", "high"] | Callable[["VisibleRequest"], int]


def bound_of(request: VisibleRequest, bound: Bound) -> int:
    """The output that a policy counts with.

    Raises
    ------
    InputError
        If there is no prediction.
    """
    if callable(bound):
        return bound(request)
    value = request.predicted if bound == "predicted" else request.low if bound == "low" else request.high
    if value is None:
        raise InputError(f"request {request.index} has no predicted output")
    return value


#: A request in a decision: itself or its index.
Named = VisibleRequest | int


@dataclass(frozen=True)
class Decision:
    """What to do in the coming iteration.

    Attributes
    ----------
    start : collection of requests
        Waiting requests to start, in this order.
    evict : collection of requests
        Running requests to reset before that: they lose their progress and wait again.
    advance : collection of requests, or None
        Running requests that take part; the others keep their memory and stand still. None: all.
        Requests started now take part in any case.
    until : float or None
        If nobody takes part: round or second at which to be asked again, unless a request arrives before.
        None: the next round, in seconds the next arrival.
    """

    start: Collection[Named] = ()
    evict: Collection[Named] = ()
    advance: Collection[Named] | None = None
    until: float | None = None


@dataclass
class LookAhead:
    """Admission by the predicted future: a request may start if all fit until their predicted completions.

    Running requests are taken to advance in every iteration. With upper-bound predictions and no frozen
    requests, memory can then never overflow. With a token budget chunks shift growth in time, so room for
    all peaks at once is asked for instead. Time of a test: O(running requests).

    Attributes
    ----------
    capacity : int
        Tokens.
    separate : int
        1 if a prompt takes an iteration of its own, else 0.
    peaks_only : bool
        Whether room for all peaks at once is asked for.
    slots : int
        How many requests may still start.
    bound : str or callable
        What counts as the output of a request, as in `View.look_ahead`.
    running : list of (int, int)
        Of each running request its last iteration, 0 being the coming one, and its tokens in that; sorted.
    """

    capacity: int
    separate: int
    peaks_only: bool
    slots: int
    bound: Bound = "predicted"
    running: list[tuple[int, int]] = field(default_factory=list)

    def add(self, request: VisibleRequest) -> None:
        """Take a request that runs or starts now into account."""
        extra = self.separate if request.fresh else 0
        last = bound_of(request, self.bound) - request.generated + extra - 1
        insort(self.running, (last, request.prompt + request.generated + 1 - extra))

    def fits(self, request: VisibleRequest) -> bool:
        """Whether a waiting request could start now."""
        last, base = bound_of(request, self.bound) + self.separate - 1, request.prompt + 1 - self.separate
        if self.slots < 1:
            return False
        if self.peaks_only:
            return sum(end + start for end, start in self.running) + last + base <= self.capacity
        held, number, checked = base, 1, False
        for end, start in reversed(self.running):
            if end < last and not checked:
                if held + number * last > self.capacity:
                    return False
                checked = True
            held += start
            number += 1
            if end <= last:
                checked = True
                if held + number * end > self.capacity:
                    return False
        return checked or held + number * last <= self.capacity

    def admit(self, request: VisibleRequest) -> bool:
        """Whether it fits; if so it counts from now on."""
        if not self.fits(request):
            return False
        self.add(request)
        self.slots -= 1
        return True

    def longest_prefix(self, requests: Iterable[VisibleRequest]) -> list[VisibleRequest]:
        """The requests up to the first that does not fit."""
        chosen = []
        for request in requests:
            if not self.admit(request):
                break
            chosen.append(request)
        return chosen


class View:
    """All that a policy may know before an iteration; read-only, as `VisibleRequest` is.

    Attributes
    ----------
    capacity : int
        Tokens.
    token_budget, max_running : int or None
        Limits of the clock.
    separate_prefill : bool
        Whether a prompt takes an iteration of its own, without a token.
    overflowed : bool
        Whether requests have just been evicted because the iteration would not have fitted.
    ended : bool
        True once the policy has chosen to stay idle though nothing will ever arrive: it is asked again, and
        must run something (the end is told to nobody else).
    """

    def __init__(self, state: State, in_rounds: bool) -> None:
        self._state = state
        self._in_rounds = in_rounds
        self._waiting: dict[int, VisibleRequest] = {}
        self._running: dict[int, VisibleRequest] = {}
        limits = state.limits.tolist()
        self._capacity: int = limits[kernels.CAPACITY]
        self._token_budget: int | None = limits[kernels.BUDGET] or None
        self._max_running: int | None = limits[kernels.MOST_RUNNING] or None
        self._separate_prefill = bool(limits[kernels.SEPARATE])
        self._overflowed = False
        self._ended = False

    @property
    def capacity(self) -> int:
        """See above."""
        return self._capacity

    @property
    def token_budget(self) -> int | None:
        """See above."""
        return self._token_budget

    @property
    def max_running(self) -> int | None:
        """See above."""
        return self._max_running

    @property
    def separate_prefill(self) -> bool:
        """See above."""
        return self._separate_prefill

    @property
    def overflowed(self) -> bool:
        """See above."""
        return self._overflowed

    @property
    def ended(self) -> bool:
        """See above."""
        return self._ended

    @property
    def time(self) -> float:
        """The round (an integer) or the second."""
        now = float(self._state.sums[kernels.NOW])
        return int(now) if self._in_rounds else now

    @property
    def iteration(self) -> int:
        """Number of iterations run so far."""
        return int(self._state.counts[kernels.ITERATIONS])

    @property
    def waiting(self) -> Collection[VisibleRequest]:
        """Arrived requests that do not run, by arrival, then index."""
        return self._waiting.values()

    @property
    def running(self) -> Collection[VisibleRequest]:
        """Running requests in the order of their starts."""
        return self._running.values()

    @property
    def last_started(self) -> VisibleRequest:
        """The running request that was started last."""
        return next(reversed(self._running.values()))

    @property
    def memory(self) -> int:
        """Tokens held now."""
        return int(self._state.counts[kernels.HELD])

    @property
    def need(self) -> int:
        """Tokens in the coming iteration if all running requests take part and none starts or is evicted."""
        return int(self._state.counts[kernels.NEED])

    @property
    def room(self) -> int:
        """Capacity less `need`; a request takes its prompt and one token of it when it starts."""
        return self.capacity - self.need

    @property
    def slots(self) -> int:
        """How many requests may still start under the limit of running requests."""
        most = self.max_running
        return len(self._state.output) if most is None else most - len(self._running)

    def look_ahead(self, bound: Bound = "predicted", without: Collection[VisibleRequest] = ()) -> LookAhead:
        """Admission test by the completions that follow from predicted outputs, or from what `bound` says.

        Running requests in `without`, about to be evicted, do not count.
        """
        slots = self.slots + len(without)
        plan = LookAhead(self.capacity, int(self.separate_prefill), self.token_budget is not None, slots, bound)
        for request in self._running.values():
            if request not in without:
                plan.add(request)
        return plan
