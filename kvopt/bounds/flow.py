"""The flow bound: token-rounds shipped to rounds one by one, a minimum-cost flow (OR-Tools).

A run of (s, o) from round p holds s + j tokens in round p + j - 1, so the mean round of its tokens is
``p + sum_j (j-1)(s+j) / vol``: its latency is that mean plus ``o - a - sum_j (j-1)(s+j) / vol``, exactly.
Letting each token-round go to any round from the arrival on, at most M a round and at most s + o of one
request a round, at cost ``t / vol``, is a transportation problem that bounds the total latency from below.
Its dual solution, one price per round, is the certificate. The checker re-evaluates it with the tighter rule
that the o rounds of a request hold s+1, ..., s+o tokens in some order, so the bound is at least the flow's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kvopt.bounds.bound import Bound
from kvopt.errors import SolverError, TooLargeError
from kvopt.model import Certificate, Instance, IntArray, exact_sum
from kvopt.verify import Problem, check_flow

#: Costs are rounded down to multiples of one over this, or over less where the solver's range demands it.
DENOMINATOR = 2**20
#: Largest number of arcs (types times rounds).
MAX_ARCS = 4_000_000


@dataclass(frozen=True, eq=False)
class Network:
    """The transportation problem aggregated by type: K sources, H rounds.

    Attributes
    ----------
    capacity : int
        Token-rounds that a round takes.
    supply : int64 array of shape (K,)
        Volume of each type, all its requests together.
    open : bool array of shape (K, H)
        Whether the type has arrived by the round; only then there is an arc.
    limit : int64 array of shape (K,)
        Capacity of each arc of a type: its count times its peak.
    cost : int64 array of shape (K, H)
        ``floor(t * denominator / volume)`` for each unit sent to round t.
    denominator : int
    """

    capacity: int
    supply: IntArray
    open: npt.NDArray[np.bool_]
    limit: IntArray
    cost: IntArray
    denominator: int

    @cached_property
    def arcs(self) -> tuple[IntArray, IntArray]:
        """Types and rounds of the arcs between them."""
        kind, round_ = np.nonzero(self.open)
        return kind, round_


def network(instance: Instance) -> Network:
    """The network of an instance, on rounds that surely take all volume.

    After the last arrival, starting every type at an even rate fills no round above M; it ends within
    (total volume / M) + max output rounds.

    Raises
    ------
    TooLargeError
        If types times rounds exceed `MAX_ARCS`.
    """
    types = instance.types
    served = -(-exact_sum(instance.volume) // instance.capacity)
    rounds = int(types.arrival.max()) + served + int(types.output.max())
    if len(types) * rounds > MAX_ARCS:
        raise TooLargeError(
            f"the flow bound would need {len(types)} types x {rounds} rounds of arcs, at most {MAX_ARCS:,} are "
            "supported; the price bound is stronger and has no such limit"
        )
    volume = types.volume
    denominator = DENOMINATOR
    while denominator > 1 and rounds * denominator * (len(types) + rounds + 1) >= 2**60:
        denominator //= 2
    t = np.arange(rounds)
    return Network(
        capacity=instance.capacity,
        supply=volume * types.count,
        open=t >= types.arrival[:, None],
        limit=(types.prompt + types.output) * types.count,
        cost=t * denominator // volume[:, None],
        denominator=denominator,
    )


def cheapest_flow(net: Network) -> IntArray:
    """An optimal flow from types to rounds, shape (K, H), by OR-Tools' cost-scaling method.

    Raises
    ------
    SolverError
        If the solver does not report an optimal flow.
    """
    from kvopt.mip.libraries import min_cost_flow

    kinds, rounds = net.cost.shape
    kind, round_ = net.arcs
    solver = min_cost_flow.SimpleMinCostFlow()
    arcs = solver.add_arcs_with_capacity_and_unit_cost(kind, kinds + round_, net.limit[kind], net.cost[kind, round_])
    # The last node takes what the rounds take.
    solver.add_arcs_with_capacity_and_unit_cost(
        kinds + np.arange(rounds),
        np.full(rounds, kinds + rounds),
        np.full(rounds, net.capacity),
        np.zeros(rounds, dtype=np.int64),
    )
    supply = np.concatenate((net.supply, np.zeros(rounds, dtype=np.int64), [-net.supply.sum()]))
    solver.set_nodes_supplies(np.arange(kinds + rounds + 1), supply)
    status = solver.solve()
    if status != solver.OPTIMAL:
        raise SolverError(f"OR-Tools did not solve the minimum-cost flow: {status.name.lower()}")
    flow = np.zeros(net.cost.shape, dtype=np.int64)
    flow[kind, round_] = solver.flows(arcs)
    return flow


def round_prices(net: Network, flow: IntArray) -> IntArray:
    """Least round prices (over `net.denominator`) that together with prices of the types prove the flow optimal.

    A type's price is its dearest arc in use; a round's price lifts every arc that is not full to it. Raised in
    turn from zero until nothing changes: Bellman-Ford on the residual network, which has no improving cycle when
    the flow is optimal. O(K H) a pass, few passes in practice.

    Raises
    ------
    SolverError
        If the prices keep rising, that is, if the flow is not optimal.
    """
    used = flow > 0
    loose = net.open & (flow < net.limit[:, None])
    prices = np.zeros(net.cost.shape[1], dtype=np.int64)
    for _ in range(sum(net.cost.shape) + 1):
        priced = net.cost + prices
        level = np.where(used, priced, -1).max(axis=1)
        raised = np.maximum(prices, np.where(loose, level[:, None] - net.cost, 0).max(axis=0))
        if (raised == prices).all():
            return prices
        prices = raised
    raise SolverError("the flow returned by OR-Tools is not of minimum cost")


def bound(instance: Instance) -> Bound:
    """Bound from the duals of the cheapest flow; at least the flow's cost (up to its rounding).

    Raises
    ------
    TooLargeError
        If types times rounds exceed `MAX_ARCS`.
    SolverError
        If OR-Tools fails.

    Examples
    --------
    >>> bound(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])).value
    10
    """
    net = network(instance)
    prices = np.trim_zeros(round_prices(net, cheapest_flow(net)), "b")
    certificate = Certificate("flow", {"denominator": net.denominator, "prices": prices.tolist()})
    return Bound(check_flow(Problem.of(instance), certificate.data), certificate)
