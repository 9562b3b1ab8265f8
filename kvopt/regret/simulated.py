"""Reference policies and staggered admission in the general simulator (`kvopt.online`), in the round clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from kvopt.errors import InputError
from kvopt.model import IntArray
from kvopt.online import Policy, View, VisibleRequest
from kvopt.regret.mix import Mix
from kvopt.regret.plans import StartPlan
from kvopt.regret.reference import TablePolicy


class Tabled(Policy):
    """A table policy as a policy of the simulator; needs exact predictions and the types of its mix.

    Within a type, the request that arrived first is started first.

    Parameters
    ----------
    table : TablePolicy
        Made for the capacity and the types that will be simulated.

    Examples
    --------
    >>> from kvopt.online import simulate
    >>> from kvopt.regret.profiles import profile_graph
    >>> from kvopt.regret.reference import resolve
    >>> from kvopt.regret.tables import StateSpace
    >>> from kvopt import Instance
    >>> table = resolve(StateSpace(profile_graph(Mix(5, [1, 1], [1, 3], [1, 1])), (4, 4)))
    >>> simulate(Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3]), Tabled(table)).total_latency
    12
    """

    needs_prediction = True

    def __init__(self, table: TablePolicy) -> None:
        self.table = table
        self.name = table.name
        graph = table.space.graph
        self._number = {profile: number for number, profile in enumerate(graph.profiles)}

    def decide(self, view: View) -> Iterable[VisibleRequest]:
        """The starts that the table lists for this profile and these waiting requests.

        Raises
        ------
        InputError
            For a request that is not of a type of the mix, or another capacity.
        """
        space = self.table.space
        graph = space.graph
        if view.capacity != graph.mix.capacity:
            raise InputError(f"{self.name} was computed for capacity {graph.mix.capacity}, not {view.capacity}")
        queues = by_kind(view.waiting, graph.mix, self.name)
        node = self._number[tuple(profile(view).tolist())]
        table, time = self.table.actions, int(view.time)
        if view.ended or (len(table) > 1 and time >= len(table)):
            actions = self.table.clear
        else:
            actions = table[min(time, len(table) - 1)]
        chosen: list[VisibleRequest] = []
        while True:
            counted = (min(most, len(queue)) for most, queue in zip(space.cap, queues, strict=True))
            at = sum(int(stride) * count for stride, count in zip(space.strides, counted, strict=True))
            kind = int(actions[node, at])
            if kind < 0:
                return chosen
            chosen.append(queues[kind].popleft())
            node = int(graph.start[node, kind])


class Staggered(Policy):
    """Staggered admission (`kvopt.regret.staggered`) as a policy of the simulator.

    Parameters
    ----------
    plan : StartPlan

    Examples
    --------
    >>> from kvopt import Instance
    >>> from kvopt.online import simulate
    >>> from kvopt.regret.plans import even_plan
    >>> plan = even_plan(Mix(9, [1], [3], [1]))
    >>> simulate(Instance(9, [1] * 5, [3] * 5), Staggered(plan)).total_latency
    25
    """

    name = "staggered"
    needs_prediction = True

    def __init__(self, plan: StartPlan) -> None:
        self.plan = plan

    def decide(self, view: View) -> Iterable[VisibleRequest]:
        """Planned starts first, then whatever fits beside the running requests and all future planned starts."""
        mix = self.plan.mix
        if view.capacity != mix.capacity:
            raise InputError(f"{self.name} was computed for capacity {mix.capacity}, not {view.capacity}")
        queues = by_kind(view.waiting, mix, self.name)
        held = np.zeros(max(mix.output), np.int64)
        running = profile(view)
        held[: len(running)] += running
        now, period = int(view.time), len(self.plan.quota)
        for later in range(1, len(held)):
            for k, planned in enumerate(self.plan.quota[(now + later) % period].tolist()):
                if planned:
                    ramp = mix.prompt[k] + 1 + np.arange(min(mix.output[k], len(held) - later))
                    held[later : later + len(ramp)] += planned * ramp
        chosen: list[VisibleRequest] = []

        def start(k: int, number: int) -> None:
            held[: mix.output[k]] += number * (mix.prompt[k] + 1 + np.arange(mix.output[k]))
            chosen.extend(queues[k].popleft() for _ in range(number))

        for k, planned in enumerate(self.plan.quota[now % period].tolist()):
            start(k, min(planned, len(queues[k])))
        for k in sorted(range(len(mix)), key=lambda k: (mix.output[k], mix.prompt[k])):
            ramp = mix.prompt[k] + 1 + np.arange(mix.output[k])
            start(k, min(len(queues[k]), int(((mix.capacity - held[: len(ramp)]) // ramp).min())))
        return chosen


def by_kind(waiting: Iterable[VisibleRequest], mix: Mix, name: str) -> list[deque[VisibleRequest]]:
    """Waiting requests of each type; InputError for a request of none."""
    number = {lengths: k for k, lengths in enumerate(zip(mix.prompt, mix.output, strict=True))}
    queues: list[deque[VisibleRequest]] = [deque() for _ in number]
    for request in waiting:
        lengths = (request.prompt, request.predicted or 0)
        if lengths not in number:
            raise InputError(
                f"{name}: request {request.index} with prompt {lengths[0]} and predicted output {lengths[1]} "
                f"is of no type of the mix"
            )
        queues[number[lengths]].append(request)
    return queues


def profile(view: View) -> IntArray:
    """Tokens the running requests will hold in this round and the following ones, without trailing zeros."""
    left = [(request.predicted or 0) - request.generated for request in view.running]
    held = np.zeros(max(left, default=0), np.int64)
    for request, rounds in zip(view.running, left, strict=True):
        held[:rounds] += request.prompt + request.generated + 1 + np.arange(rounds)
    return held
