"""Brute force in plain Python for at most eight requests: the ground truth of the tests.

Depth-first over the requests in canonical order of (start, index). Every start round is tried up to the
horizon in which some optimal schedule ends; the only pruning is the incumbent: with `k` requests left,
none of which may start before the last start, each adds at least its output. No other rule is used, so
that nothing clever can be wrong here.
"""

from __future__ import annotations

from kvopt.errors import TooLargeError
from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.solving import Answer

#: Largest number of requests accepted, and of rounds: memory is kept for each round by itself.
MAX_N, MAX_ROUNDS = 8, 1_000_000
#: Rounds of runs looked at between two looks at the limits.
SHARE = 1 << 16


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Enumerate all schedules; raises TooLargeError above `MAX_N` requests or `MAX_ROUNDS` rounds."""
    if instance.n > MAX_N:
        raise TooLargeError(f"brute force takes at most {MAX_N} requests, got {instance.n}")
    search = _Search(instance, monitor)
    if search.last_start > MAX_ROUNDS:
        raise TooLargeError(f"brute force takes at most {MAX_ROUNDS:,} rounds, got {search.last_start:,}")
    search.run()
    done = not search.aborted
    return Answer(
        lower_bound=monitor.incumbent if done else None,
        statistics={"nodes": search.nodes},
    )


class _Search:
    def __init__(self, instance: Instance, monitor: Monitor) -> None:
        self.capacity = instance.capacity
        self.prompt, self.output = instance.prompt.tolist(), instance.output.tolist()
        self.arrival = instance.arrival.tolist()
        self.monitor = monitor
        self.nodes = self.work = 0
        self.aborted = False
        self.used: dict[int, int] = {}
        self.starts = [0] * instance.n
        # One after another from the last arrival on is feasible; no optimal schedule starts anything later.
        self.last_start = max(self.arrival) + sum(self.output)
        self.best = sum(max(self.arrival) + sum(self.output) - a for a in self.arrival) + 1

    def run(self) -> None:
        self.place(frozenset(range(len(self.prompt))), 0, -1, -sum(self.arrival))

    def place(self, remaining: frozenset[int], round_: int, after: int, value: int) -> None:
        """Choose the next start at or after `round_`; `value` sums completions minus arrivals so far."""
        if not remaining:
            if value < self.best:
                self.best = value
                self.monitor.offer(self.starts)
            return
        self.nodes += 1
        ahead = sum(self.output[i] for i in remaining)
        for t in range(round_, self.last_start + 1):
            # Everything left completes at t + output at the earliest.
            if self.aborted or value + ahead + t * len(remaining) >= self.best:
                return
            for i in sorted(remaining):
                if self.stopped(self.output[i]):
                    return
                if (t == round_ and i <= after) or t < self.arrival[i] or not self.fits(i, t):
                    continue
                self.add(i, t, 1)
                self.starts[i] = t
                self.place(remaining - {i}, t, i, value + t + self.output[i])
                self.add(i, t, -1)

    def stopped(self, rounds: int) -> bool:
        """Whether a limit ends the search, looked up each time that so many rounds more make a `SHARE`."""
        self.work += rounds
        if self.work >= SHARE:
            self.work = 0
            self.aborted = self.aborted or self.monitor.stopped
        return self.aborted

    def fits(self, i: int, start: int) -> bool:
        return all(self.used.get(start + j, 0) + self.prompt[i] + j + 1 <= self.capacity for j in range(self.output[i]))

    def add(self, i: int, start: int, sign: int) -> None:
        for j in range(self.output[i]):
            self.used[start + j] = self.used.get(start + j, 0) + sign * (self.prompt[i] + j + 1)
