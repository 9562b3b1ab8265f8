"""The value of a release game against randomised policies: a flow programme, certified from both sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from kvopt.adversary.game import Game
from kvopt.adversary.mix import MOST_ROUNDS, Mix, Play, certified_ratio
from kvopt.adversary.states import States
from kvopt.adversary.watching import run_watched
from kvopt.errors import SolverError, TooLargeError
from kvopt.mip.linear import LinearProgramme, Optimum
from kvopt.model import FloatArray, IntArray
from kvopt.monitor import Monitor

#: Memory of building and solving, measured for each coefficient.
BYTES_PER_COEFFICIENT = 1_000
#: Probabilities of the policy are rounded to multiples of 1 / PARTS.
PARTS = 2**40
#: Weights of the adversary are multiples of a common unit, if this many units or fewer suffice to hit the duals.
MOST_UNITS = 100_000
#: How far a dual may be from a multiple of the unit, relative to the largest dual.
NEAR = 1e-7
#: Otherwise they are rounded to multiples of the largest one over this.
GRAIN = 10**12

#: Counts per type released in the rounds 0, 1, ...
History = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class RandomisedValue:
    """What is known about the value of a game against randomised policies and an oblivious adversary.

    Attributes
    ----------
    value : float or None
        Optimum of the programme in floating point; None when a limit ended the run.
    lower, upper : Fraction or None
        The value is within these, exactly: `lower` is the ratio certified by `mix`, `upper` what a randomised
        policy, rounded to exact probabilities, guarantees.
    mix : Mix or None
        The adversary's distribution, the rounded dual solution.
    variables, rows, coefficients, states, nodes : int
        Size of the programme, of the state space and of the release tree.
    """

    value: float | None
    lower: Fraction | None
    upper: Fraction | None
    mix: Mix | None
    variables: int
    rows: int
    coefficients: int
    states: int
    nodes: int


class End(NamedTuple):
    """A history at which the game is over."""

    row: int
    history: History
    optimum: int
    #: Number of the node before the last releases, -1 if the game ends in round 0, and the code of these releases.
    parent: int
    code: int


class Node(NamedTuple):
    """A history at which the game goes on."""

    #: Number of the node a round earlier, -1 in round 0.
    parent: int
    round_: int
    #: What the releases of this round add to the number of a state.
    code: int
    #: States here, and for each the successors with the variables of the flow.
    states: list[int]
    edges: list[list[tuple[int, int]]]


def randomised_value(game: Game, monitor: Monitor | None = None) -> RandomisedValue:
    """Least ratio that some randomised online policy guarantees against releases drawn before the play.

    Variables are the probability flows of the policy through its states along each history; a flow out of a
    state enters every continuation of the history alike. The expected cost at each end is at most r times its
    optimum, and r is minimised. The duals of these rows, scaled, are the adversary's mix (Yao's principle).

    Neither side is taken on trust: the rounded duals are checked by `kvopt.adversary.mix`, and the rounded flows are
    followed through the tree in integers.

    Parameters
    ----------
    game : Game
    monitor : Monitor, optional
        Limits, interruption, progress; its instance is the menu.

    Returns
    -------
    RandomisedValue

    Raises
    ------
    TooLargeError
        If the game is too long or has too many states, or the programme would need more than the memory limit (2 GB
        without one).
    SolverError
        If GLOP fails.

    Examples
    --------
    >>> found = randomised_value(Game.of(4, [(1, 1), (1, 3)], requests=4, horizon=4))
    >>> round(found.value, 4), found.lower
    (1.2857, Fraction(9, 7))
    """
    monitor = monitor or Monitor(game.menu)
    longest = game.horizon + game.requests * int(game.menu.output.max())
    if longest > MOST_ROUNDS:
        raise TooLargeError(f"plays of up to {longest:,} rounds; a mix is checked up to {MOST_ROUNDS:,}")
    states = States(game)
    flow = _Flow(game, states, monitor)
    complete = flow.build()
    optimum = flow.solve() if complete else None
    value = lower = upper = mix = None
    if optimum is not None:
        monitor.report(force=True, step="checking")
        value = optimum.value
        mix = flow.mix(optimum)
        lower = certified_ratio(mix)
        upper = flow.guarantee(optimum)
        if not lower <= upper:
            raise SolverError(f"a mix certifies {lower}, yet a policy guarantees {upper}: please report this game")
    model = flow.model
    return RandomisedValue(
        value, lower, upper, mix, model.columns, model.rows, model.coefficients, len(states), game.histories
    )


class _Flow:
    """The flow programme and its parts."""

    def __init__(self, game: Game, states: States, monitor: Monitor) -> None:
        self.game, self.states, self.monitor = game, states, monitor
        self.model = LinearProgramme()
        self.ratio = self.model.variable()
        self.nodes: list[Node] = []
        self.ends: list[End] = []
        self.releases = list(zip(states.release_counts, states.releases.tolist(), strict=True))
        self.present, self.clearing = states.present.tolist(), states.clearing.tolist()
        self.first, self.successor = states.first.tolist(), states.successor.tolist()

    def build(self) -> bool:
        """Add the whole tree; False if stopped."""
        for counts, (size, code) in self.releases[1:]:
            self.visit((counts,), self.game.requests - size, -1, code, [code], [0], [], -1)
        return not self.monitor.stopped

    def visit(
        self,
        history: History,
        left: int,
        parent: int,
        code: int,
        states: list[int],
        paid: list[int],
        inflow: list[int],
        spent: int,
    ) -> None:
        """Add a history: policy states, what a clairvoyant has paid in each, inflow variables, cost variable so far."""
        if (len(self.nodes) + len(self.ends)) % 1024 == 0 and not self.may_grow():
            return
        model, t = self.model, len(history) - 1
        if left == 0 or t == self.game.horizon:
            optimum = min(c + self.clearing[x] for x, c in zip(states, paid, strict=True))
            if parent < 0:
                # One state with certainty: its cost is a constant.
                row = model.add(-math.inf, [(self.ratio, -optimum)], -self.clearing[states[0]])
            else:
                terms = [(f, self.clearing[x]) for f, x in zip(inflow, states, strict=True)]
                row = model.add(-math.inf, [(self.ratio, -optimum), (spent, 1), *terms], 0)
            self.ends.append(End(row, history, optimum, parent, code))
            return
        total = model.variable()
        if parent < 0:
            model.add(self.present[states[0]], [(total, 1)], self.present[states[0]])
        else:
            terms = [(f, -self.present[x]) for f, x in zip(inflow, states, strict=True)]
            model.add(0, [(total, 1), (spent, -1), *terms], 0)
        number, node = len(self.nodes), Node(parent, t, code, states, [])
        self.nodes.append(node)
        cheapest: dict[int, int] = {}
        into: dict[int, list[int]] = {}
        for i, x in enumerate(states):
            price = paid[i] + self.present[x]
            edges = [(y, model.variable()) for y in self.successor[self.first[x] : self.first[x + 1]]]
            for y, flow in edges:
                cheapest[y] = min(price, cheapest.get(y, price))
                into.setdefault(y, []).append(flow)
            node.edges.append(edges)
            out = [(flow, 1) for _, flow in edges]
            if parent < 0:
                model.add(1, out, 1)
            else:
                model.add(0, [*out, (inflow[i], -1)], 0)
        following = []
        for flows in into.values():
            following.append(flows[0] if len(flows) == 1 else model.variable())
            if len(flows) > 1:
                model.add(0, [*((flow, 1) for flow in flows), (following[-1], -1)], 0)
        after, price_after = list(into), [cheapest[y] for y in into]
        for counts, (size, more) in self.releases:
            if size > left:
                break
            moved = [y + more for y in after]
            self.visit((*history, counts), left - size, number, more, moved, price_after, following, total)

    def may_grow(self) -> bool:
        """Report progress; refuse a programme beyond the memory limit; False if stopped."""
        visited = len(self.nodes) + len(self.ends)
        self.monitor.report(step="building", tree=f"{100 * visited // self.game.histories} %")
        allowed_gb = self.monitor.memory_limit_gb or 2.0
        if self.model.coefficients * BYTES_PER_COEFFICIENT / 1e9 > allowed_gb:
            raise TooLargeError(
                f"the flow programme has {self.model.coefficients:,} coefficients after {visited:,} of "
                f"{self.game.histories:,} histories; it would need more than {allowed_gb:.1f} GB"
            )
        return not self.monitor.stopped

    def solve(self) -> Optimum | None:
        """The optimum, None if stopped."""
        left_s = None if self.monitor.time_limit_s is None else self.monitor.remaining_s
        return run_watched(
            lambda: self.model.solve(left_s),
            self.monitor,
            self.model.interrupter.interrupt,
            lambda: self.monitor.report(step="solving", variables=self.model.columns),
        )

    def mix(self, optimum: Optimum) -> Mix:
        """The duals of the rows of the ends as integer weights."""
        weights = whole(np.maximum(-optimum.duals[[end.row for end in self.ends]], 0.0))
        types = self.game.types
        plays = []
        for end, weight in zip(self.ends, weights.tolist(), strict=True):
            if weight:
                releases = [
                    (t, *types[k])
                    for t, counts in enumerate(end.history)
                    for k, c in enumerate(counts)
                    for _ in range(c)
                ]
                plays.append(Play(weight, tuple(releases)))
        return Mix(self.game.menu.capacity, tuple(plays))

    def guarantee(self, optimum: Optimum) -> Fraction:
        """The ratio that the policy of the flows guarantees, its probabilities rounded to multiples of 1 / `PARTS`.

        In round t probabilities are integers over ``PARTS ** t`` and so are expected costs.
        """
        spent: list[int] = []
        outflow: list[dict[int, int]] = []
        for node in self.nodes:
            if node.parent < 0:
                here, cost = {node.code: 1}, 0
            else:
                here = {y + node.code: p for y, p in outflow[node.parent].items()}
                cost = spent[node.parent] * PARTS
            spent.append(cost + sum(p * self.present[x] for x, p in here.items()))
            after: dict[int, int] = {}
            for x, edges in zip(node.states, node.edges, strict=True):
                if x in here:
                    for (y, _), share in zip(edges, shares([optimum.values[f] for _, f in edges]), strict=True):
                        if share:
                            after[y] = after.get(y, 0) + here[x] * share
            outflow.append(after)
        worst = Fraction(1)
        for end in self.ends:
            if end.parent < 0:
                cost, scale = self.clearing[end.code], 1
            else:
                last = sum(p * self.clearing[y + end.code] for y, p in outflow[end.parent].items())
                cost, scale = spent[end.parent] * PARTS + last, PARTS ** (self.nodes[end.parent].round_ + 1)
            worst = max(worst, Fraction(cost, scale * end.optimum))
        return worst


def whole(weights: FloatArray) -> IntArray:
    """Integers in the proportions of `weights`: exact ones where the weights are near multiples of one unit."""
    scaled = weights / weights.max()
    for units in range(1, MOST_UNITS + 1):
        rounded = np.rint(scaled * units)
        if np.abs(scaled * units - rounded).max() <= NEAR * units:
            return rounded.astype(np.int64)
    return np.rint(scaled * GRAIN).astype(np.int64)


def shares(flows: list[float]) -> list[int]:
    """Integers that sum to `PARTS`, in the proportions of `flows`; all to the first where nothing flows.

    >>> shares([0.5, 0.25, 0.25]) == [PARTS // 2, PARTS // 4, PARTS // 4]
    True
    """
    total = sum(max(flow, 0.0) for flow in flows)
    if total < 1e-9:
        return [PARTS] + [0] * (len(flows) - 1)
    parts = [math.floor(max(flow, 0.0) / total * PARTS + 0.5) for flow in flows]
    largest = max(range(len(parts)), key=parts.__getitem__)
    parts[largest] += PARTS - sum(parts)
    return parts
