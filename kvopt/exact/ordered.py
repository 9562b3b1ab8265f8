"""The best schedule whose starts follow one fixed order: an exact dynamic programme over waiting patterns.

A list policy starts every request as soon as it fits. Waiting on purpose can be far better: a thousand
identical requests are finished in about half the total latency when they are started one per round. This
programme finds the best waiting pattern for a given order, in time linear in n for a fixed capacity.

Stage k: the first k requests of the order have been started. State: the memory profile of the running ones
from the round t on in which request k+1 first fits (t itself does not matter once all have arrived, for the
cost to go is the same), with value V = sum of starts so far + t * (requests not yet started). Decision: wait
w rounds more, then start request k+1. Two rules remove states without losing the optimum:

- *Gap rule.* ``w < output``: from t on the request fits beside all that is running, so with ``w >= output`` it
  would have run and ended before its start, at no loss to anybody.
- *Time-shift dominance.* State A removes B when for some d >= 0 ``V_A + d * rest <= V_B`` and the profile of A,
  d rounds later, is nowhere above that of B: let A wait d rounds and copy what B does. With arrivals ahead the
  copy must not start anything earlier than B does: ``t_A + d >= t_B``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from kvopt.model import Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.policies.backlog import list_schedule
from kvopt.solving import Answer

#: States kept per stage in the successive beams, as far as memory allows; the first beam that cuts nothing is exact.
BEAMS = (10, 300, 10_000, 100_000)
#: Gigabytes that the successors of one stage may take, unless a memory limit leaves less.
STAGE_GB = 0.5
#: How many of the kept states each new one is held against; a longer scan removes few more and costs quadratically.
DOMINANCE_SCAN = 500


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Best waiting pattern for the order in which shortest output first starts the requests.

    Without arrivals that order is by output, ties by index. The answer is never worse than ``mc-sf``.
    """
    shortest_first = list_schedule(instance, np.argsort(instance.output, kind="stable"))
    monitor.offer(shortest_first)
    order = np.lexsort((instance.output, shortest_first))
    found = best_waits(instance, order, monitor)
    return Answer(statistics={"order": "mc-sf", "exact_for_order": found.exact, "states": found.states})


@dataclass(frozen=True)
class OrderedSchedule:
    """The best schedule found for one order.

    Attributes
    ----------
    starts : int64 array of shape (n,) or None
        Start round of each request; None if the run was stopped before the first schedule.
    exact : bool
        Whether no schedule whose starts follow the order has a smaller total latency.
    states : int
        States kept over all stages and beams.
    """

    starts: IntArray | None
    exact: bool
    states: int


def best_waits(instance: Instance, order: IntArray, monitor: Monitor) -> OrderedSchedule:
    """Optimal starts under ``starts[order[0]] <= starts[order[1]] <= ...``, found by beams of growing width.

    Parameters
    ----------
    instance : Instance
    order : int array of shape (n,)
        A permutation of the requests.
    monitor : Monitor
        Its limits are obeyed, and every improvement is offered to it.

    Returns
    -------
    OrderedSchedule

    Examples
    --------
    >>> inst = Instance(capacity=9, prompt=[1] * 5, output=[3] * 5)
    >>> found = best_waits(inst, np.arange(5), Monitor(inst))
    >>> found.starts.tolist(), found.exact
    ([0, 1, 2, 3, 4], True)
    """
    search = _Search(instance, order, monitor)
    longest = int(instance.output.max())
    budget_gb = min(STAGE_GB, monitor.most_gb / 4)
    # A state has up to one successor for each wait below the output, and a profile as long as the longest output.
    widest = max(1, int(budget_gb * 1e9 / (4 * longest * longest)))
    widths = sorted({min(width, widest) for width in BEAMS})
    exact = any(search.run(width) for width in widths if not monitor.stopped)
    return OrderedSchedule(search.starts, exact, search.states)


class _Search:
    def __init__(self, instance: Instance, order: IntArray, monitor: Monitor) -> None:
        self.instance, self.order, self.monitor = instance, order, monitor
        # Starts follow the order, so each request is as good as arrived with the last of its predecessors.
        self.ready = np.maximum.accumulate(instance.arrival[order])
        self.starts: IntArray | None = None
        self.best = np.iinfo(np.int64).max
        self.states = 0

    def run(self, width: int) -> bool:
        """One beam; tells whether it reached the end without cutting anything."""
        instance, n = self.instance, self.instance.n
        prompt, output = instance.prompt[self.order], instance.output[self.order]
        profile = np.zeros((1, int(output.max())), np.int32)
        time, value = self.ready[:1].copy(), self.ready[:1] * n
        parents, started = [], []
        cut = False
        for k in range(n):
            following = min(k + 1, n - 1)
            more = _expand(
                instance.capacity, profile, time, value, n - k, prompt[k], output[k], prompt[following],
                output[following], self.ready[following], self.ready[-1], self.best,
            )  # fmt: skip
            profile, time, value, parent, start = more
            # The running requests delay all others by about their share of the memory.
            rank = np.argsort(value + profile.sum(axis=1) * ((n - k - 1) / instance.capacity), kind="stable")
            if len(rank) > 4 * width:
                rank, cut = rank[: 4 * width], True
            keep = rank[_undominated(profile[rank], time[rank], value[rank], n - k - 1, self.ready[-1], DOMINANCE_SCAN)]
            if len(keep) > width:
                keep, cut = keep[:width], True
            profile, time, value = profile[keep], time[keep], value[keep]
            parents.append(parent[keep])
            started.append(start[keep])
            self.states += len(keep)
            self.monitor.report(beam=width, stage=k + 1, states=len(keep))
            if len(keep) == 0:
                # Everything left is no better than the incumbent.
                return not cut
            if self.monitor.stopped:
                return False
        self.best = int(value[0])
        self.starts = np.empty(n, np.int64)
        label = 0
        for k in range(n - 1, -1, -1):
            self.starts[self.order[k]] = started[k][label]
            label = parents[k][label]
        self.monitor.offer(self.starts)
        return not cut


@numba.njit(cache=True, nogil=True)
def _fits(profile, wait, capacity, prompt, output):
    """Whether a request started `wait` rounds from now fits beside the running ones in all its rounds."""
    for j in range(min(output, len(profile) - wait)):
        if profile[wait + j] + prompt + j + 1 > capacity:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _expand(
    capacity, profile, time, value, rest, prompt, output, next_prompt, next_output, next_ready, last_ready, best
):
    """All states after one more start, equal ones merged: profile, time, value, parent, start."""
    labels, width = profile.shape
    room, kept = 64, 0
    new_profile = np.empty((room, width), profile.dtype)
    new_time, new_value = np.empty(room, np.int64), np.empty(room, np.int64)
    new_parent, new_start = np.empty(room, np.int64), np.empty(room, np.int64)
    hashes = np.empty(room, np.uint64)
    table = np.full(4 * room, -1, np.int64)
    row = np.empty(width, profile.dtype)
    for label in range(labels):
        for wait in range(output):
            if not _fits(profile[label], wait, capacity, prompt, output):
                continue
            for u in range(width):
                held = profile[label, wait + u] if wait + u < width else 0
                row[u] = held + prompt + u + 1 if u < output else held
            start = time[label] + wait
            ahead = 0
            if rest == 1:
                row[:] = 0
            else:
                ahead = max(0, next_ready - start)
                while not _fits(row, min(ahead, width), capacity, next_prompt, next_output):
                    ahead += 1
            cost = value[label] + wait * rest + ahead * (rest - 1)
            if cost >= best:
                break
            now = start + ahead
            shift = min(ahead, width)
            for u in range(width):
                row[u] = row[u + shift] if u + shift < width else 0
            code = np.uint64(14695981039346656037)
            for u in range(width):
                code = (code ^ np.uint64(row[u])) * np.uint64(1099511628211)
            # Before the last arrival the same profile at another time is another state.
            if now < last_ready:
                code = (code ^ np.uint64(now)) * np.uint64(1099511628211)
            code ^= code >> np.uint64(29)
            slot = np.int64(code & np.uint64(len(table) - 1))
            while table[slot] >= 0:
                other = table[slot]
                if hashes[other] == code and (now == new_time[other] or min(now, new_time[other]) >= last_ready):
                    same = True
                    for u in range(width):
                        if new_profile[other, u] != row[u]:
                            same = False
                            break
                    if same:
                        break
                slot = (slot + 1) & (len(table) - 1)
            target = table[slot]
            if target < 0:
                if kept == room:
                    room *= 2
                    grown = np.empty((room, width), profile.dtype)
                    grown[:kept] = new_profile
                    new_profile = grown
                    new_time = np.concatenate((new_time, np.empty(kept, np.int64)))
                    new_value = np.concatenate((new_value, np.empty(kept, np.int64)))
                    new_parent = np.concatenate((new_parent, np.empty(kept, np.int64)))
                    new_start = np.concatenate((new_start, np.empty(kept, np.int64)))
                    hashes = np.concatenate((hashes, np.empty(kept, np.uint64)))
                    table = np.full(4 * room, -1, np.int64)
                    for other in range(kept):
                        slot = np.int64(hashes[other] & np.uint64(len(table) - 1))
                        while table[slot] >= 0:
                            slot = (slot + 1) & (len(table) - 1)
                        table[slot] = other
                    slot = np.int64(code & np.uint64(len(table) - 1))
                    while table[slot] >= 0:
                        slot = (slot + 1) & (len(table) - 1)
                target = kept
                table[slot] = target
                hashes[target] = code
                new_profile[target] = row
                kept += 1
            elif new_value[target] <= cost:
                continue
            new_time[target], new_value[target] = now, cost
            new_parent[target], new_start[target] = label, start
    return new_profile[:kept], new_time[:kept], new_value[:kept], new_parent[:kept], new_start[:kept]


@numba.njit(cache=True, nogil=True)
def _undominated(profile, time, value, rest, last_ready, scan):
    """Indices of the states that time-shift dominance leaves, in the given order."""
    labels, width = profile.shape
    kept = np.empty(labels, np.int64)
    size = 0
    for b in range(labels):
        dominated = False
        for k in range(max(0, size - scan), size):
            a = kept[k]
            shift = max(0, time[b] - time[a]) if max(time[a], time[b]) < last_ready else 0
            while not dominated and value[a] + shift * rest <= value[b] and shift <= width:
                dominated = True
                for u in range(width - shift):
                    if profile[a, u + shift] > profile[b, u]:
                        dominated = False
                        break
                shift += 1
            if dominated:
                break
        if not dominated:
            kept[size] = b
            size += 1
    return kept[:size]
