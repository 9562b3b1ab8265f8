"""How the running requests lie on top of each other in a picture: numbers only, no drawing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvopt.model import IntArray, Schedule

#: Up to this many requests a better stacking order is searched for; with more, the plain rule reads better.
SEARCH_MAX_REQUESTS, SEARCH_MAX_ROUNDS = 8, 2_000


def stacking_order(schedule: Schedule) -> IntArray:
    """Requests from the bottom of the stack to its top: the last to complete lowest, ties by start.

    A request then never lies on one that completes before it, so no shape ever falls: it is lifted by the growth
    beneath it and by later, longer requests that slide in, and leaves at the top. For few requests this order is
    improved by moving single requests while shapes break less often, or move less.

    Returns
    -------
    int64 array of shape (n,)

    Examples
    --------
    >>> from kvopt.model import Instance
    >>> inst = Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3])
    >>> stacking_order(Schedule(inst, [0, 1, 0, 3])).tolist()
    [3, 2, 1, 0]
    """
    order = np.lexsort((schedule.starts, -schedule.completions))
    instance = schedule.instance
    if instance.n > SEARCH_MAX_REQUESTS or int(instance.output.sum()) > SEARCH_MAX_ROUNDS:
        return order
    best = unrest(schedule, order)
    improved = best > (0, 0)
    while improved:
        improved = False
        for taken in range(instance.n):
            for put in range(instance.n):
                moved = np.insert(np.delete(order, taken), put, order[taken])
                value = unrest(schedule, moved)
                if value < best:
                    order, best, improved = moved, value, True
    return order


def unrest(schedule: Schedule, order: IntArray) -> tuple[int, int]:
    """How often a shape is torn apart between two rounds, and by how many tokens lower edges move in all."""
    lower, upper = (np.concatenate(edges) for edges in stacked(schedule, order))
    within = np.ones(len(lower) - 1, dtype=bool)
    within[np.cumsum(schedule.instance.output)[:-1] - 1] = False  # not from one request to the next
    return int(torn(lower, upper)[within].sum()), int(np.abs(np.diff(lower))[within].sum())


def torn(lower: IntArray, upper: IntArray) -> npt.NDArray[np.bool_]:
    """Between which rounds and the next the levels covered have none in common, one shorter than the edges."""
    return (lower[1:] >= upper[:-1]) | (upper[1:] <= lower[:-1])


def stacked(schedule: Schedule, order: IntArray) -> tuple[list[IntArray], list[IntArray]]:
    """Lower and upper edge of each request in each round of its run, when stacked in this order.

    Parameters
    ----------
    schedule : Schedule
    order : int64 array of shape (n,)
        Requests from bottom to top.

    Returns
    -------
    lower, upper : list of n int64 arrays, the i-th of shape (output[i],)
        Tokens below and up to the top of request i; ``upper - lower`` is what it holds.

    Notes
    -----
    O(S log S) for S = the sum of all outputs.
    """
    instance = schedule.instance
    output = instance.output[order]
    ends = np.cumsum(output)
    step = np.arange(int(ends[-1])) - np.repeat(ends - output, output)
    round_ = np.repeat(schedule.starts[order], output) + step
    tokens = np.repeat(instance.prompt[order], output) + step + 1
    # Rows are grouped by place in the stack; a stable sort by round keeps that order within each round.
    by_round = np.argsort(round_, kind="stable")
    height = np.cumsum(tokens[by_round])
    new_round = np.flatnonzero(np.diff(round_[by_round], prepend=-1))
    floor = np.concatenate(([0], height))[new_round]
    height -= np.repeat(floor, np.diff(np.append(new_round, len(height))))
    top = np.empty_like(height)
    top[by_round] = height
    upper = np.split(top, ends[:-1])
    lower = np.split(top - tokens, ends[:-1])
    place = np.argsort(order)
    return [lower[k] for k in place], [upper[k] for k in place]
