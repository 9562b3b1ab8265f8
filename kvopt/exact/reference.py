"""The dynamic programme as problem statement: round by round, exact merging of equal states, nothing else.

State in round t: how many requests of each type have not started, and the multiset of running requests as
(type, rounds left). Decision: which requests start in this round. Cost of a round: one for each request that
has arrived and not completed. Two partial schedules with the same state in the same round are merged, the
cheaper one stays. No bound, no dominance, no symmetry rule: the tests hold the fast search against this.
"""

from __future__ import annotations

from collections.abc import Iterator

from kvopt.model import Instance, RequestTypes
from kvopt.monitor import Monitor
from kvopt.solving import Answer

#: Unstarted count of each type; running requests as sorted (type, rounds left).
State = tuple[tuple[int, ...], tuple[tuple[int, int], ...]]


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Forward dynamic programme over all states; for small instances (states are plain Python tuples)."""
    types = instance.types
    arrival, output, count = types.arrival.tolist(), types.output.tolist(), types.count.tolist()
    # After the last arrival an idle worker never waits in an optimal schedule, so no start is later than this.
    horizon = max(arrival) + int(instance.output.sum())
    layer: dict[State, int] = {(tuple(count), ()): 0}
    came_from: list[dict[State, State]] = []
    visited = successors = 0
    best: tuple[int, int, State] | None = None
    for t in range(horizon + 1):
        following: dict[State, int] = {}
        origin: dict[State, State] = {}
        for state, cost in layer.items():
            visited += 1
            for unstarted, running in starts(state, t, instance.capacity, types):
                successors += 1
                if successors % 1024 == 0 and monitor.stopped:
                    return Answer(statistics={"states": visited})
                present = len(running) + sum(c for c, a in zip(unstarted, arrival, strict=True) if a <= t)
                left = tuple(sorted((k, rounds - 1) for k, rounds in running if rounds > 1))
                reached, total = (unstarted, left), cost + present
                if total < following.get(reached, total + 1):
                    following[reached], origin[reached] = total, state
        came_from.append(origin)
        for state, cost in following.items():
            if not any(state[0]) and not state[1] and (best is None or cost < best[0]):
                best = (cost, t + 1, state)
        layer = following
        monitor.report(round=t, states=len(layer))
    assert best is not None
    monitor.offer(read_back(instance, best, came_from, output))
    return Answer(lower_bound=best[0], statistics={"states": visited})


def starts(state: State, t: int, capacity: int, types: RequestTypes) -> Iterator[State]:
    """Every choice of requests to start in round t that leaves all later rounds within the capacity."""
    kinds = range(len(types))
    arrival, output, prompt = types.arrival.tolist(), types.output.tolist(), types.prompt.tolist()

    def feasible(running: tuple[tuple[int, int], ...]) -> bool:
        return all(
            sum(prompt[k] + output[k] - left + u + 1 for k, left in running if left > u) <= capacity
            for u in {left - 1 for _, left in running}
        )

    def extend(first: int, unstarted: tuple[int, ...], running: tuple[tuple[int, int], ...]) -> Iterator[State]:
        yield unstarted, running
        for k in kinds[first:]:
            if unstarted[k] and arrival[k] <= t:
                more = (*running, (k, output[k]))
                if feasible(more):
                    yield from extend(k, (*unstarted[:k], unstarted[k] - 1, *unstarted[k + 1 :]), more)

    yield from extend(0, *state)


def read_back(
    instance: Instance, best: tuple[int, int, State], came_from: list[dict[State, State]], output: list[int]
) -> list[int]:
    """Start rounds, from the chain of states that led to the best final one."""
    _, round_, state = best
    starts_of_type: list[list[int]] = [[] for _ in output]
    for t in reversed(range(round_)):
        before = came_from[t][state]
        for k, (was, now) in enumerate(zip(before[0], state[0], strict=True)):
            starts_of_type[k] += [t] * (was - now)
        state = before
    result = [0] * instance.n
    for members, rounds in zip(instance.types.members, starts_of_type, strict=True):
        for request, t in zip(members.tolist(), reversed(rounds), strict=True):
            result[request] = t
    return result
