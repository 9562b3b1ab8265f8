"""``gsa``: geometric slicing for unknown outputs, with restarts and staggered starts."""

from __future__ import annotations

from collections.abc import Iterable

from kvopt.model import volume
from kvopt.online.policy import Policy
from kvopt.online.view import Decision, Named, View, VisibleRequest
from kvopt.policies.gba import length_class


class Gsa(Policy):
    """Each request gets a slice of 2^k tokens; if that is not enough it starts again later with a slice of 2^(k+1).

    Nothing is assumed of outputs. The request with the shortest slice comes first, then the earlier
    arrival; a slice never exceeds what the capacity allows. Starts of one slice length L are staggered: one after
    the other with the volume of the slice over M rounds between, so that the worker is filled evenly instead of in
    waves. A start also has to pass the look-ahead check with slices for outputs, so memory never overflows but for
    requests whose slice has just ended, and those are evicted (as overflows, so the count of overflows means little).

    Source: arXiv 2601.22996, of which only a summary was at hand ("geometric slicing with restarts and
    staggered starts, non-clairvoyant"); first slice, base 2 and the spacing are choices made here.
    """

    name = "gsa"

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, seed: int) -> None:
        """No start yet."""
        self.next_start = 0.0
        self.slices: dict[int, int] = {}

    def decide(self, view: View) -> Decision:
        """Evict what has used up its slice, start the next in turn."""
        ended = [request for request in view.running if self.has_ended(request)]
        plan = view.look_ahead(lambda request: self.slices[request.index], without=ended)
        started: list[VisibleRequest] = []
        self.next_start = max(self.next_start, float(view.iteration))
        for request in sorted(view.waiting, key=lambda request: length_class(request.least)):
            length = min(2 ** length_class(request.least), view.capacity - request.prompt)
            self.slices[request.index] = length
            if (plan.running and self.next_start >= view.iteration + 1) or not plan.admit(request):
                break
            self.next_start += volume(request.prompt, length) / view.capacity
            started.append(request)
        return Decision(start=started, evict=ended)

    def has_ended(self, request: VisibleRequest) -> bool:
        """Whether a running request has used up its slice."""
        return request.generated >= self.slices[request.index]

    def overflow(self, view: View) -> Iterable[Named]:
        """Requests whose slice has ended; with frozen or chunked growth also the last started."""
        return [request for request in view.running if self.has_ended(request)] or [view.last_started]
