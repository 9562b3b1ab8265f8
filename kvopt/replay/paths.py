"""Sublimation certificates followed by kernels: all paths of the relaxed problem, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from operator import mul
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kvopt import verify
from kvopt.replay.limits import SMALL, Unfit, cell_type, require_small
from kvopt.replay.profiles import Graph, States, costs_of, expanded, graph_of

#: Above all costs of paths.
BEYOND = 2 * SMALL
#: Most cells of a layer's profiles, and most states of a layer times the starts of a type that they may count.
MOST_CELLS, MOST_COUNTED = 1 << 28, 1 << 25


class Layer(NamedTuple):
    """How many states have the same number of starts to come, and the arcs that leave them: from, rounds, type, to."""

    states: int
    arcs: np.ndarray


@njit(cache=True, nogil=True)
def costs_before(arcs, states, ahead, scale, multipliers):
    """Least cost from each state of a layer to the end, by that of those ahead; `BEYOND` where no path leads there."""
    cost = np.full(states, BEYOND)
    for x in range(len(arcs)):
        if ahead[arcs[x, 3]] < BEYOND:
            value = scale * arcs[x, 1] - multipliers[arcs[x, 2]] + ahead[arcs[x, 3]]
            cost[arcs[x, 0]] = min(cost[arcs[x, 0]], value)
    return cost


@njit(cache=True, nogil=True)
def finer_arcs(arcs, scale, multipliers, ahead, counted, count, left, limit, number, cost, finer):
    """The arcs on paths within the limit, between states that tell the starts counted: as in `kvopt.verify.refined`.

    `number` and `cost` are those of the new states by old state and starts counted, numbers -1 for none. Returns how
    many arcs and states there are, -1 for more than fit into `finer`, and both tables of the next layer.
    """
    numbers, costs = np.full((len(ahead), count + 1), -1), np.full((len(ahead), count + 1), BEYOND)
    found = size = 0
    for x in range(len(arcs)):
        old, k, to = arcs[x, 0], arcs[x, 2], arcs[x, 3]
        step = scale * arcs[x, 1] - multipliers[k]
        for started in range(count + 1):
            after = started + (k == counted)
            if number[old, started] < 0 or ahead[to] == BEYOND or after > count or count - after > left:
                continue
            reached = cost[old, started] + step
            if reached + ahead[to] > limit:
                continue
            if found == len(finer):
                return -1, -1, numbers, costs
            if numbers[to, after] < 0:
                numbers[to, after] = size
                size += 1
            costs[to, after] = min(costs[to, after], reached)
            finer[found, 0], finer[found, 1], finer[found, 2] = number[old, started], arcs[x, 1], k
            finer[found, 3] = numbers[to, after]
            found += 1
    return found, size, numbers, costs


def followed(problem: verify.Problem, certificate: Mapping[str, Any]) -> int | None:
    """The bound that the certificate proves, or None if a rule does not hold.

    Raises
    ------
    kvopt.verify.Refusal, Unfit
        The first if something is malformed.
    """
    replay, threshold, stages = verify.opened_paths(problem, certificate)
    relaxation = replay.classes(certificate.get("relaxation"))
    scale, n = replay.denominator, len(problem.output)
    # Costs of paths, and what starts may earn.
    require_small(n * scale * n * 4 * replay.width, *(n * reward for reward in relaxation.reward))
    graph = graph_of(relaxation, replay.capacity)
    to_go = costs_of(relaxation, graph, certificate["relaxation"])
    if to_go is None:
        return None
    limit, best = scale * (threshold - 1), 0
    require_small(limit)
    layers = relaxed_layers(replay, relaxation, graph, to_go, limit)
    steps = verify.MOST_STEPS
    for stage in stages:
        multipliers, counted = verify.read_stage(stage, len(replay.count))
        if not layers:
            break
        require_small(*(n * multiplier for multiplier in multipliers))
        earned = sum(map(mul, replay.count, multipliers))
        prices = np.array(multipliers, np.int64)
        costs = [np.zeros(1, np.int64)]
        for layer in reversed(layers):
            costs.append(costs_before(layer.arcs, layer.states, costs[-1], scale, prices))
        costs.reverse()
        best = max(best, int(costs[0][0]) + earned)
        if best > limit:
            break
        count = replay.count[counted] if counted >= 0 else 0
        steps -= sum(len(layer.arcs) for layer in layers) * (count + 1)
        if steps < 0:
            raise Unfit
        layers = refined(layers, costs, scale, prices, counted, count, limit - earned)
    return threshold if not layers or best > limit else -(-best // scale)


def relaxed_layers(
    replay: verify.Replay, relaxation: verify.Relaxation, graph: Graph, to_go: np.ndarray, limit: int
) -> list[Layer]:
    """`kvopt.verify.relaxed_layers`."""
    types = tuple(np.array(column, np.int64) for column in (replay.prompt, replay.output, relaxation.reward))
    class_of, n = np.array(relaxation.class_of, np.int64), sum(replay.count)
    limit -= sum(map(mul, replay.count, relaxation.reward))
    states, size, room = room_for(1, replay), 1, 1 << 10
    for column in states:
        column[:] = 0
    layers = list[Layer]()
    for left in range(n, 0, -1):
        while True:
            if room * replay.width > MOST_CELLS:
                raise Unfit
            following, arcs = room_for(room, replay), np.empty((4 * room, 4), np.int64)
            tables = types, class_of, replay.capacity, graph, to_go, replay.denominator
            found, new = expanded(*tables, left, limit, states, size, following, arcs)
            if found >= 0:
                break
            room *= 4
        add_layer(layers, size, arcs[:found].copy())
        states, size = following, new
        if size == 0:
            return []
    return layers


def add_layer(layers: list[Layer], states: int, arcs: np.ndarray) -> None:
    """One more layer; raises Unfit for more arcs in all than a certificate may have."""
    layers.append(Layer(states, arcs))
    if sum(len(layer.arcs) for layer in layers) > verify.MOST_ARCS:
        raise Unfit


def room_for(states: int, replay: verify.Replay) -> States:
    """Room for so many states."""
    cells = np.empty((states, replay.width), cell_type(replay.capacity, replay.width))
    return States(cells, *(np.empty(states, np.int64) for _ in range(3)))


def refined(
    layers: list[Layer],
    costs: list[np.ndarray],
    scale: int,
    multipliers: np.ndarray,
    counted: int,
    count: int,
    limit: int,
) -> list[Layer]:
    """`kvopt.verify.refined`."""
    number, cost = np.full((1, count + 1), -1), np.full((1, count + 1), BEYOND)
    number[0, 0] = cost[0, 0] = 0
    refinement, states = list[Layer](), 1
    for left, layer, ahead in zip(range(len(layers) - 1, -1, -1), layers, costs[1:], strict=True):
        if len(ahead) * (count + 1) > MOST_COUNTED:
            raise Unfit
        room = 2 * len(layer.arcs) + 1
        while True:
            finer = np.empty((room, 4), np.int64)
            found, size, numbers, reached = finer_arcs(
                layer.arcs, scale, multipliers, ahead, counted, count, left, limit, number, cost, finer
            )
            if found >= 0:
                break
            room *= 4
        add_layer(refinement, states, finer[:found].copy())
        if size == 0:
            return []
        states, number, cost = size, numbers, reached
    return refinement
