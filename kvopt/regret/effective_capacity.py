"""The effective capacity of a mix: the largest arrival rate that any policy can sustain, with proofs on both sides.

A policy that starts type k at the long-run rate ``r * share[k]`` induces a circulation on the graph of profiles
(`kvopt.regret.profiles`): ``x >= 0`` on its moves, as much flow into every profile as out of it, a total of 1 on the
advances, and ``r * share[k]`` on the starts of type k. The largest r is a linear programme.

Both bounds are proved with integers and fractions alone, whatever the programme's solver returned:

* below, by closed walks on the graph. Walked in turn, in the right proportions, they start every type at the stated
  rate; arrivals at any smaller rate can be served in the slots of that plan.
* above, by a price for a start of each type and a potential on the profiles such that a start raises the sum of
  price earned and potential by nothing and an advance by at most g. Then T rounds earn at most ``g T`` plus a
  constant, whatever the policy, so ``r * (mean price of an arrival) <= g``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kvopt.model import FloatArray
from kvopt.regret.mix import Mix
from kvopt.regret.profiles import ProfileGraph, profile_graph

#: Flows below this are taken for rounding errors of the solver.
FLOW_TOLERANCE = 1e-9
#: Seconds for the programme.
TIME_LIMIT_S = 600.0
#: Denominators tried for an exact dual solution, and the one used when none of them fits.
DENOMINATORS, FINE_DENOMINATOR = 5_000, 10**9


@dataclass(frozen=True)
class Walk:
    """A closed walk on the graph of profiles, followed for a share of the time.

    Attributes
    ----------
    profile : int
        Number of the profile where it begins and ends.
    moves : tuple of int
        Type started, or -1 for an advance by one round.
    weight : Fraction
        How often it is walked, relative to the other walks.
    """

    profile: int
    moves: tuple[int, ...]
    weight: Fraction

    @property
    def rounds(self) -> int:
        """Rounds one walk takes."""
        return sum(move == -1 for move in self.moves)


@dataclass(frozen=True, eq=False)
class EffectiveCapacity:
    """The largest sustainable rate of a mix lies within ``[lower, upper]``, in requests per round.

    Attributes
    ----------
    graph : ProfileGraph
    lower, upper : Fraction
        Equal in most cases; what `walks`, and `price` with `potential`, prove.
    walks : tuple of Walk
        A plan that starts the types at `lower` times their shares.
    price : tuple of int, length K
        What a start of each type earns in the proof of `upper`.
    potential : tuple of int, one for each profile
    """

    graph: ProfileGraph
    lower: Fraction
    upper: Fraction
    walks: tuple[Walk, ...]
    price: tuple[int, ...]
    potential: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether the two bounds meet."""
        return self.lower == self.upper

    @property
    def volume_share(self) -> Fraction:
        """Part of the volume capacity that can be sustained, from `lower`."""
        return self.lower / self.graph.mix.volume_capacity


def effective_capacity(mix: Mix, graph: ProfileGraph | None = None) -> EffectiveCapacity:
    """Solve the circulation programme of a mix and prove the result from both sides.

    Parameters
    ----------
    mix : Mix
    graph : ProfileGraph, optional
        Its profiles, if they are at hand.

    Raises
    ------
    TooLargeError
        If there are too many profiles.
    SolverError
        If GLOP does not solve the programme, or its solution proves nothing.

    Examples
    --------
    >>> found = effective_capacity(Mix(8, [1, 1], [2, 6], [0.7, 0.3]))
    >>> found.lower, found.exact, round(float(found.volume_share), 4)
    (Fraction(15, 28), True, 0.7768)
    """
    graph = profile_graph(mix) if graph is None else graph
    flow, price, potential = solve_circulation(graph)
    walks = proportioned(mix, closed_walks(graph, flow))
    price_int, potential_int = certified_dual(graph, price, potential)
    return EffectiveCapacity(
        graph=graph,
        lower=rate_of_walks(graph, walks),
        upper=rate_bound(graph, price_int, potential_int),
        walks=walks,
        price=price_int,
        potential=potential_int,
    )


def rate_of_walks(graph: ProfileGraph, walks: Sequence[Walk]) -> Fraction:
    """The rate that weighted closed walks sustain: replays every move, exact.

    Raises
    ------
    ValueError
        If a walk takes a move that does not exist, is not closed, or has a negative weight.
    """
    rounds, started = Fraction(0), [Fraction(0)] * len(graph.mix)
    for walk in walks:
        if walk.weight < 0:
            raise ValueError(f"negative weight {walk.weight}")
        at = walk.profile
        for move in walk.moves:
            at = int(graph.advance[at]) if move == -1 else int(graph.start[at, move])
            if at < 0:
                raise ValueError(f"a request of type {move} does not fit")
            if move == -1:
                rounds += walk.weight
            else:
                started[move] += walk.weight
        if at != walk.profile:
            raise ValueError(f"the walk from profile {walk.profile} ends in {at}")
    if rounds == 0:
        return Fraction(0)
    return min(count / share for count, share in zip(started, graph.mix.share, strict=True)) / rounds


def rate_bound(graph: ProfileGraph, price: Sequence[int], potential: Sequence[int]) -> Fraction:
    """The rate that no policy exceeds, by prices and a potential: checks every move, exact, O(N K).

    Raises
    ------
    ValueError
        If a start gains, a price is negative or every price is 0.
    """
    if min(price) < 0 or not any(price):
        raise ValueError("prices must be at least 0, and one of them positive")
    for at, row in enumerate(graph.start.tolist()):
        for k, after in enumerate(row):
            if after >= 0 and price[k] + potential[after] > potential[at]:
                raise ValueError(f"starting type {k} in profile {at} gains")
    gain = max(potential[after] - potential[at] for at, after in enumerate(graph.advance.tolist()))
    return gain / sum((f * p for f, p in zip(graph.mix.share, price, strict=True)), Fraction(0))


def solve_circulation(graph: ProfileGraph) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Solve the programme with GLOP: flow of shape (N, K + 1) with the advances last, prices, potential."""
    from kvopt.mip.linear import Entries, linear_model, solve_linear

    size, types = graph.start.shape
    tail, kind = np.nonzero(graph.start >= 0)
    starts = len(tail)
    count = starts + size + 1  # the moves, and the rate
    source = np.concatenate((tail, np.arange(size)))
    target = np.concatenate((graph.start[tail, kind], graph.advance)).astype(np.int64)
    between = np.flatnonzero(source != target)
    share = np.array([float(f) for f in graph.mix.share])
    # Rows: balance of each profile (in - out), started - r * share of each type, and one for the advances.
    entries: list[Entries] = [
        (target[between], between, 1),
        (source[between], between, -1),
        (size + kind, np.arange(starts), 1),
        (size + np.arange(types), np.full(types, count - 1), -share),
        (np.full(size, size + types), starts + np.arange(size), 1),
    ]
    cost, right = np.zeros(count), np.zeros(size + types + 1)
    cost[-1], right[-1] = -1.0, 1.0
    model = linear_model(cost, np.full(count, np.inf), entries, right, right)
    result = solve_linear(model, TIME_LIMIT_S)
    assert result is not None
    flow = np.array(result.variable_values(list(model.variables())))[:-1]
    duals = np.array(result.dual_values(list(model.linear_constraints())))
    moved = np.zeros((size, types + 1))
    moved[tail, kind] = flow[:starts]
    moved[:, types] = flow[starts:]
    return moved, duals[size : size + types], duals[:size]


def closed_walks(graph: ProfileGraph, flow: FloatArray) -> list[Walk]:
    """Split a circulation into closed walks, each weighted by the flow it carries."""
    size, types = graph.start.shape
    left = np.where(flow > FLOW_TOLERANCE, flow, 0.0)
    after = np.column_stack((graph.start, graph.advance))
    walks = []
    for origin in range(size):
        while left[origin].max() > FLOW_TOLERANCE:
            seen = {origin: 0}
            path: list[tuple[int, int]] = []
            at = origin
            while True:
                move = int(left[at].argmax())
                if left[at, move] <= FLOW_TOLERANCE:  # what rounding has left over leads nowhere
                    left[path[-1] if path else (at, move)] = 0.0
                    break
                path.append((at, move))
                at = int(after[at, move])
                if at in seen:
                    cycle = path[seen[at] :]
                    weight = min(left[step] for step in cycle)
                    for step in cycle:
                        left[step] -= weight
                    moves = tuple(-1 if move == types else move for _, move in cycle)
                    walks.append(Walk(at, moves, Fraction(weight)))
                    break
                seen[at] = len(path)
    return walks


def proportioned(mix: Mix, walks: Sequence[Walk]) -> tuple[Walk, ...]:
    """Give walks the weights that start the types exactly in the mix's proportions, if few of them can.

    The best choice uses at most K walks, and starting every type ``share`` times determines their weights; the K
    walks of largest flow are tried with fractions, and the float weights stay if those do not do.
    """
    merged: dict[tuple[int, tuple[int, ...]], Fraction] = {}
    for walk in walks:
        key = (walk.profile, walk.moves)
        merged[key] = merged.get(key, Fraction(0)) + walk.weight
    every = [
        Walk(profile, moves, weight.limit_denominator(FINE_DENOMINATOR)) for (profile, moves), weight in merged.items()
    ]
    basis = sorted(every, key=lambda walk: -walk.weight * walk.rounds)[: len(mix)]
    counts = [[Fraction(walk.moves.count(k)) for walk in basis] for k in range(len(mix))]
    weights = solve_fractions(counts, list(mix.share))
    if weights is None or min(weights) < 0:
        return tuple(every)
    return tuple(Walk(w.profile, w.moves, weight) for w, weight in zip(basis, weights, strict=True) if weight > 0)


def solve_fractions(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction] | None:
    """Solution of a square system by Gaussian elimination, or None if it is not unique or not square.

    >>> solve_fractions([[Fraction(2), Fraction(1)], [Fraction(0), Fraction(4)]], [Fraction(1), Fraction(2)])
    [Fraction(1, 4), Fraction(1, 2)]
    """
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    if any(len(row) != size + 1 for row in rows):
        return None
    for k in range(size):
        pivot = next((i for i in range(k, size) if rows[i][k] != 0), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(size):
            if i != k and rows[i][k] != 0:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[size] for row in rows]


def certified_dual(
    graph: ProfileGraph, price: FloatArray, potential: FloatArray
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Integer prices and potentials that prove a bound, from floating-point ones.

    The smallest denominator that turns all of them into integers makes the proof exact; otherwise a fine one
    loses nothing that matters. Potentials are then raised, from the last profile to the first, until no start gains.
    """
    values = np.concatenate((price, potential))
    scale = next((d for d in range(1, DENOMINATORS + 1) if near_integer(values * d, 1e-7 * d)), FINE_DENOMINATOR)
    price_int = [max(0, round(p * scale)) for p in price.tolist()]
    potential_int = [round(h * scale) for h in potential.tolist()]
    start = graph.start.tolist()
    for at in range(len(graph) - 1, -1, -1):  # starts lead to larger numbers
        gained = [price_int[k] + potential_int[after] for k, after in enumerate(start[at]) if after >= 0]
        potential_int[at] = max([potential_int[at], *gained])
    return tuple(price_int), tuple(potential_int)


def near_integer(values: FloatArray, tolerance: float) -> bool:
    """Whether all values are within `tolerance` of integers."""
    return bool(np.abs(values - np.rint(values)).max() <= tolerance)
