"""``--solver starts``: a search tree over starts whose size follows the number of requests, never that of tokens.

It asks for a schedule below a threshold and raises the threshold from pass to pass, so that each finished pass is a
certified bound; the pass whose threshold is the best schedule known proves it optimal. docs/search_tree.md states
the method.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvopt.bounds import growth, prices, volume
from kvopt.bounds.bound import Bound
from kvopt.errors import TooLargeError
from kvopt.exact.tree import Tree
from kvopt.large.annealing import Annealer
from kvopt.model import Instance, exact_sum
from kvopt.monitor import Monitor
from kvopt.policies import backlog
from kvopt.solving import Answer
from kvopt.verify import MOST_TREE_REQUESTS

#: Nodes after which the first pass, with the best schedule as threshold, gives way to lower thresholds.
FIRST_NODES = 50_000
#: Thresholds of the passes that follow, as shares of the waiting in the best schedule. A tenth more makes a tree
#: two to three times larger, so all that come before the last take less time than that one.
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
#: Moves of annealing for each request after the first pass.
MOVES = 80_000.0

#: A node takes as long as the square of the number of requests, a child of the dynamic programme as that of the
#: longest output over `CHILD`; the last attempt, whose children have no limit, counts for so many. A turn of fewer
#: nodes than `LEAST_NODES` is left out: it would settle nothing, and the first nodes cost most.
CHILD, LAST_CHILDREN, LEAST_NODES = 800, 200_000_000, 100


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Prove the optimum, or return the best schedule and a certified bound when a limit stops the search.

    Raises
    ------
    TooLargeError
        Above `kvopt.verify.MOST_TREE_REQUESTS` requests.
    """
    if instance.n > MOST_TREE_REQUESTS:
        raise TooLargeError(
            f"the search tree over starts takes at most {MOST_TREE_REQUESTS} requests, got {instance.n}"
        )
    for policy in (backlog.solve_mc_sf, backlog.solve_svf):
        policy(instance, monitor)
    best = volume.bound(instance)
    monitor.raise_bound(best.value)
    outputs = exact_sum(instance.output)
    nodes = passes = 0
    for share in (None, *SHARES):
        if monitor.stopped or monitor.gap_reached:
            break
        assert monitor.incumbent is not None
        threshold = monitor.incumbent
        if share is not None:
            threshold = outputs + int(share * (monitor.incumbent - outputs))
            if threshold <= best.value:
                continue
        tree = Tree(instance, threshold)
        tree.run(monitor, FIRST_NODES if share is None else None)
        nodes, passes = nodes + tree.nodes, passes + 1
        if tree.complete:
            best = max(best, Bound(tree.bound, tree.certificate), key=by_value)
        elif share is None:
            best = max(best, guided(instance, monitor), key=by_value)
        monitor.raise_bound(best.value)
    return Answer(best.value, best.certificate, {"nodes": nodes, "passes": passes})


@dataclass
class Rival:
    """The first pass of the tree in turns between the attempts of the dynamic programme (`kvopt.exact.dp.Rival`)."""

    instance: Instance
    monitor: Monitor
    tree: Tree | None = None

    def __call__(self, children: int | None) -> Answer | None:
        """One turn; the proof if that was the last one."""
        assert self.monitor.incumbent is not None
        work = (LAST_CHILDREN if children is None else children) * int(self.instance.output.max()) ** 2 // CHILD
        nodes = work // self.instance.n**2
        if nodes < LEAST_NODES:
            return None
        if self.tree is None:
            self.tree = Tree(self.instance, self.monitor.incumbent)
        tree = self.tree
        tree.lower(self.monitor.incumbent)
        tree.run(self.monitor, tree.nodes + nodes)
        if not tree.complete or tree.bound < self.monitor.incumbent:
            return None
        self.monitor.raise_bound(tree.bound)
        return Answer(tree.bound, tree.certificate, {"method": "starts", "nodes": tree.nodes})


def by_value(bound: Bound) -> int:
    """The key by which bounds are compared."""
    return bound.value


def guided(instance: Instance, monitor: Monitor) -> Bound:
    """What memory prices bring: better schedules for the monitor, and a bound to begin with."""
    if monitor.stopped:
        return growth.improved(instance, prices.fluid(instance))
    assert monitor.best_starts is not None
    near_best = prices.memory_prices(instance)
    Annealer(instance, near_best, monitor).run(monitor.best_starts, MOVES * instance.n, monitor.seed)
    return growth.improved(instance, near_best)
