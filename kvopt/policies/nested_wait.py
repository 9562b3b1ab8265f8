"""Nested WAIT: batches for outputs that show only when they end (``nested-wait``, ``nested-wait-advancing``).

Source: arXiv 2504.11320. Decode steps are cut into segments; requests that are not complete at the end of a segment
gather before the next.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import inf

from kvopt.errors import InputError
from kvopt.online.policy import Policy
from kvopt.online.view import Decision, View, VisibleRequest
from kvopt.policies.thresholds import Threshold, fitting


class NestedWait(Policy):
    """Nested WAIT as published, with a rule that ends it.

    Segment k covers the output tokens after ``ends[k - 1]`` up to ``ends[k]``, the last segment all that follow.
    Who has generated exactly ``ends[k - 1]`` tokens waits before segment k, with its memory, first come, first
    served; new requests wait before the first. A batch runs the longest prefix of segments with at least n_k
    requests waiting before them; n_k of these enter, those inside move on, and later segments stand still. If
    the prefix is empty the worker stays idle. Once nothing will ever arrive, all segments run.

    Nothing is known of outputs, so memory can overflow unless the capacity has the safety buffer
    (`kvopt.fluid.check_nested_wait`); then the last started is evicted.

    Parameters
    ----------
    thresholds : float or sequence of float, shape (m,)
        n of each segment, above 0.
    ends : int or sequence of int, shape (m - 1,)
        Output tokens at the inner boundaries, ascending, the first at least 1.

    Raises
    ------
    InputError
        If a value is out of range or there are not one boundary fewer than thresholds.
    """

    name = "nested-wait"
    advancing = False

    def __init__(self, thresholds: float | Sequence[float] = 1, ends: int | Sequence[int] = ()) -> None:
        self.thresholds = tuple(thresholds) if isinstance(thresholds, Sequence) else (thresholds,)
        self.ends = tuple(ends) if isinstance(ends, Sequence) else (ends,)
        if len(self.ends) != len(self.thresholds) - 1:
            raise InputError(
                f"policy {self.name!r}: {len(self.thresholds)} thresholds with {len(self.ends)} boundaries"
            )
        if any(a >= b for a, b in pairwise((0, *self.ends))):
            raise InputError(f"policy {self.name!r}: boundaries must ascend from 1 on, got {list(self.ends)}")
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Every segment begins with its first batch."""
        self.limits = [Threshold(value) for value in self.thresholds]

    def decide(self, view: View) -> Decision:
        """A batch of the longest prefix of segments that are ready, or idleness."""
        entries, inside = self.segments(view)
        for limit, residents in zip(self.limits, inside, strict=True):
            if not residents:
                limit.skip()
        ready = 0
        while ready < len(self.limits) and len(entries[ready]) >= self.limits[ready].next:
            ready += 1
        admitting = ready > 0 or view.ended
        if view.ended or self.advancing:
            ready = len(self.limits)
        start: list[VisibleRequest] = []
        advance: list[VisibleRequest] = []
        for k in range(ready):
            advance += inside[k]
            if k > 0:
                advance += entries[k][: self.limits[k].take()]
            elif admitting:
                start = fitting(view, entries[0][: self.limits[0].take()])
        return Decision(start, advance=None if len(advance) == len(view.running) else advance, until=inf)

    def segments(self, view: View) -> tuple[list[list[VisibleRequest]], list[list[VisibleRequest]]]:
        """Requests that wait before each segment, and those inside; in the order of arrivals and of starts."""
        before: list[list[VisibleRequest]] = [[] for _ in self.limits]
        inside: list[list[VisibleRequest]] = [[] for _ in self.limits]
        before[0] += view.waiting
        for request in view.running:
            tokens = request.generated
            k = bisect_left(self.ends, tokens)
            if k < len(self.ends) and self.ends[k] == tokens:
                before[k + 1].append(request)
            else:
                inside[k].append(request)
        return before, inside


class NestedWaitAdvancing(NestedWait):
    """Nested WAIT in which all segments run in every batch: no step needs an arrival.

    Thresholds then only say how many new requests must wait, and how many enter a segment in one batch.
    """

    name = "nested-wait-advancing"
    advancing = True
