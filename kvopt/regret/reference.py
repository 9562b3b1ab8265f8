"""Policies computed on the graph of profiles: the best there is at small capacities, to measure others against.

Each is a table from (running profile, waiting requests) to the next start, and sees nothing of the future. After
the last round with arrivals all of them clear the backlog optimally.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kvopt.errors import InputError, UnknownNameError
from kvopt.model import FloatArray, IntArray
from kvopt.regret.paths import ArrivalPath, draw_path
from kvopt.regret.tables import ActionArray, ArrivalStages, StateSpace, clearing, follow

#: Futures drawn for `expected_hindsight` unless told otherwise.
FUTURES = 60
#: Relative value iteration ends when the average waiting per round is known to this accuracy, or gives up.
ACCURACY, MOST_ITERATIONS = 1e-6, 200_000
#: Paths with this index and above are futures: never the ones a policy is measured on.
FIRST_FUTURE = 10**9


@dataclass(frozen=True, eq=False)
class TablePolicy:
    """A policy as a table of starts.

    Attributes
    ----------
    name : str
    space : StateSpace
    actions : int8 array of shape (1, N, S) or (T, N, S)
        Type to start next, or -1 for none; for all rounds, or for each of rounds 0..T-1.
    clear : int8 array of shape (N, S)
        The same once no more requests arrive.
    expected : float or None
        The expected waiting by the policy's own calculation: in total for ``finite-opt``, per round for
        ``stationary``.
    """

    name: str
    space: StateSpace
    actions: ActionArray
    clear: ActionArray
    expected: float | None = None

    def waiting(self, path: ArrivalPath) -> tuple[int, int]:
        """Total waiting on a path in rounds, and the number of rounds in which a cap was exceeded.

        Raises
        ------
        InputError
            If the table ends before the path does.
        """
        if 1 < len(self.actions) != path.rounds:
            raise InputError(f"{self.name} was computed for {len(self.actions)} rounds, the path has {path.rounds}")
        space = self.space
        graph = space.graph
        counts = path.counts(len(graph.mix))
        return follow(self.actions, self.clear, graph.start, graph.advance, space.strides, space.most, counts)


def resolve(space: StateSpace) -> TablePolicy:
    """Each round, solve the known backlog as if nobody came any more, and do the first step."""
    clear = clearing_table(space)[1]
    return TablePolicy("resolve", space, clear[None], clear)


def finite_opt(space: StateSpace, rate: Fraction, rounds: int, process: str = "bernoulli") -> TablePolicy:
    """The online policy of least expected total latency for arrivals in rounds 0..rounds-1: backward induction.

    Exact but for states beyond the caps. O(rounds * N * S * (K + outcomes)) time, rounds * N * S bytes.

    Examples
    --------
    >>> from kvopt.regret.mix import Mix
    >>> from kvopt.regret.profiles import profile_graph
    >>> space = StateSpace(profile_graph(Mix(5, [1, 1], [1, 3], [1, 1])), (12, 12))
    >>> round(finite_opt(space, Fraction(1, 2), 20).expected, 4)
    8.8972
    """
    arrivals, actions, value, clear = prepare(space, rate, process, rounds)
    post = np.empty_like(value)
    for t in range(rounds - 1, -1, -1):
        if t == rounds - 1:
            space.after_starts(value, np.zeros(len(space.cap), np.int64), post)
        else:
            space.after_starts(value, arrivals, post)
        space.before_starts(post, value, actions[t])
    space.after_starts(value, arrivals, post)  # the arrivals of round 0, on the idle worker
    return TablePolicy("finite-opt", space, actions, clear, float(post[0, 0]))


def expected_hindsight(
    space: StateSpace,
    rate: Fraction,
    rounds: int,
    process: str = "bernoulli",
    *,
    seed: int = 0,
    futures: int = FUTURES,
) -> TablePolicy:
    """Of all choices the one whose hindsight optimum is least on average over sampled futures.

    In the spirit of compensated coupling (Vera and Banerjee, arXiv 1901.05028): `futures` complete futures are
    drawn once, the optimum from every state and round is computed on each of them, and each round's choice
    minimises the mean. O(futures * rounds * N * S * K).
    """
    _, actions, _, clear = prepare(space, rate, process, rounds)
    types = len(space.cap)
    counts = [draw_path(space.graph.mix, rate, rounds, seed, FIRST_FUTURE + i, process) for i in range(futures)]
    arrived = np.stack([path.counts(types) for path in counts])
    values = np.repeat(clearing_table(space)[0][None], futures, axis=0).astype(np.int32)
    post = np.empty(values.shape[1:], np.int32)
    total = np.empty(values.shape[1:], np.int64)
    best = np.empty_like(total)
    ignored = np.empty_like(actions[0])
    for t in range(rounds - 1, -1, -1):
        total[:] = 0
        for i in range(futures):
            later = arrived[i, t + 1] if t + 1 < rounds else np.zeros(types, np.int64)
            space.after_starts(values[i], later, post)
            total += post
            space.before_starts(post, values[i], ignored)
        space.before_starts(total, best, actions[t])
    return TablePolicy("expected-hindsight", space, actions, clear)


def stationary(space: StateSpace, rate: Fraction, process: str = "bernoulli") -> TablePolicy:
    """The policy of least average waiting per round in the long run: relative value iteration.

    Raises
    ------
    InputError
        If the iteration does not settle: the load is too close to, or beyond, what the caps can hold.
    """
    arrivals, actions, value, clear = prepare(space, rate, process, 1)
    post = np.empty_like(value)
    for _ in range(MOST_ITERATIONS):
        before = value.copy()
        space.after_starts(value, arrivals, post)
        space.before_starts(post, value, actions[0])
        step = value - before
        low, high = float(step.min()), float(step.max())
        if high - low < ACCURACY * max(1.0, high):
            return TablePolicy("stationary", space, actions, clear, (low + high) / 2)
        value -= value[0, 0]
    raise InputError(f"value iteration at rate {float(rate):g} did not settle within {MOST_ITERATIONS:,} steps")


def clearing_table(space: StateSpace) -> tuple[IntArray, ActionArray]:
    """Least total waiting of a backlog and the first start that achieves it, int64 and int8 of shape (N, S)."""
    shape = (len(space.graph), space.queues)
    value, action = np.empty(shape, np.int64), np.empty(shape, np.int8)
    clearing(space.graph.start, space.graph.advance, space.digits, space.strides, value, action)
    return value, action


def prepare(
    space: StateSpace, rate: Fraction, process: str, tables: int
) -> tuple[ArrivalStages, ActionArray, FloatArray, ActionArray]:
    """Arrival stages, empty action tables, and the cost and starts of clearing."""
    stages = ArrivalStages.of(space.graph.mix, rate, process)
    value, clear = clearing_table(space)
    return stages, np.empty((tables, *value.shape), np.int8), value.astype(np.float64), clear


#: name -> function of (space, rate, rounds, process, seed).
REFERENCES: dict[str, Callable[[StateSpace, Fraction, int, str, int], TablePolicy]] = {
    "resolve": lambda space, rate, rounds, process, seed: resolve(space),
    "expected-hindsight": lambda space, rate, rounds, process, seed: expected_hindsight(
        space, rate, rounds, process, seed=seed
    ),
    "stationary": lambda space, rate, rounds, process, seed: stationary(space, rate, process),
    "finite-opt": lambda space, rate, rounds, process, seed: finite_opt(space, rate, rounds, process),
}


def reference_policy(
    name: str, space: StateSpace, rate: Fraction, rounds: int, process: str = "bernoulli", seed: int = 0
) -> TablePolicy:
    """The reference policy of that name.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    if name not in REFERENCES:
        raise UnknownNameError("reference policy", name, list(REFERENCES))
    return REFERENCES[name](space, rate, rounds, process, seed)
