"""Reference policies in the general simulator (`kvopt.online`), in the round clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from kvopt.errors import InputError
from kvopt.online import Policy, View, VisibleRequest
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
    >>> from kvopt.regret.mix import Mix
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
        self._kind = {lengths: k for k, lengths in enumerate(zip(graph.mix.prompt, graph.mix.output, strict=True))}

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
        queues: list[deque[VisibleRequest]] = [deque() for _ in space.cap]
        for request in view.waiting:
            queues[self.kind(request)].append(request)
        node = self._number[self.profile(view)]
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

    def kind(self, request: VisibleRequest) -> int:
        """Type of a request; InputError if it has none."""
        lengths = (request.prompt, request.predicted)
        if lengths not in self._kind:
            raise InputError(
                f"{self.name}: request {request.index} with prompt {lengths[0]} and predicted output {lengths[1]} "
                f"is of no type of the mix"
            )
        return self._kind[lengths]  # type: ignore[index]

    def profile(self, view: View) -> tuple[int, ...]:
        """Tokens the running requests hold in this round and the following ones."""
        held: list[int] = []
        for request in view.running:
            self.kind(request)
            left = (request.predicted or 0) - request.generated
            held += [0] * (left - len(held))
            for later in range(left):
                held[later] += request.prompt + request.generated + 1 + later
        return tuple(held)
