"""The relaxation of a certificate, compiled: all memory profiles of its classes, and costs to go, tested or found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kvopt import verify
from kvopt.replay.limits import Unfit, cell_type, require_small

#: Most profiles, and most cells of all their rows.
MOST_PROFILES, MOST_CELLS = 1 << 22, 1 << 27


class Graph(NamedTuple):
    """Memory profiles, from the empty worker on; the empty one is row 0.

    Attributes
    ----------
    later : int64 array of shape (P,)
        The profile one round later.
    node : int64 array of shape (P,)
        Number of a profile to which starts lead, in the order of `kvopt.verify.ClaimedCosts`; -1 for others.
    profile : int64 array of shape (N,)
        Profile of a node.
    to, moved : int64 arrays of shape (P, C)
        By class: the node after a start now, or -1 where it does not fit, and rounds up to it.
    """

    later: np.ndarray
    node: np.ndarray
    profile: np.ndarray
    to: np.ndarray
    moved: np.ndarray


@njit(cache=True, nogil=True)
def fitting(cells, at, first, output, capacity):
    """Whether a request of first memory `first` fits from cell `at` on."""
    for j in range(output):
        if cells[at + j] + first + j > capacity:
            return False
    return True


@njit(cache=True, nogil=True)
def rounds_to_fit(cells, prompt, output, capacity):
    """Rounds until some request fits."""
    at = 0
    while True:
        for c in range(len(prompt)):
            if fitting(cells, at, prompt[c] + 1, output[c], capacity):
                return at
        at += 1


@njit(cache=True, nogil=True)
def number_of(profiles, size, slots, cells):
    """The row of a profile; `size`, where it is written, for a new one; -1 where there is no room for it."""
    code = np.uint64(0)
    for tokens in cells:
        code = (code ^ np.uint64(tokens)) * np.uint64(0x9E3779B97F4A7C15)
        code ^= code >> np.uint64(29)
    at = np.int64(code & np.uint64(len(slots) - 1))
    while slots[at] >= 0:
        if np.array_equal(profiles[slots[at]], cells):
            return slots[at]
        at = (at + 1) & (len(slots) - 1)
    if size == len(profiles):
        return np.int64(-1)
    slots[at] = size
    profiles[size] = cells
    return np.int64(size)


@njit(cache=True, nogil=True)
def explored(prompt, output, capacity, profiles):
    """All profiles, in the order of `kvopt.verify.ClaimedCosts`: sizes, and columns of `Graph`; sizes -1 for too many.

    `profiles` has room for their cells, as many as the longest output has rounds.
    """
    room, width = profiles.shape
    kinds = len(prompt)
    slots = np.full(4 * room, -1, np.int64)
    later, node = np.full(room, -1, np.int64), np.full(room, -1, np.int64)
    to, moved = np.full((room, kinds), -1, np.int64), np.zeros((room, kinds), np.int64)
    nodes = np.empty(room, np.int64)
    cells = np.zeros(2 * width, profiles.dtype)
    number_of(profiles, 0, slots, cells[:width])
    size = nodes_found = 1
    nodes[0] = node[0] = 0
    done = 0
    while done < nodes_found:
        p = nodes[done]
        done += 1
        # Profiles that come up by waiting, until one that came up before.
        while later[p] < 0:
            for c in range(kinds):
                cells[:width], cells[width:] = profiles[p], 0
                if not fitting(cells, 0, prompt[c] + 1, output[c], capacity):
                    continue
                for j in range(output[c]):
                    cells[j] += prompt[c] + 1 + j
                move = rounds_to_fit(cells, prompt, output, capacity)
                q = number_of(profiles, size, slots, cells[move : move + width])
                if q < 0:
                    return -1, -1, later, node, nodes, to, moved
                size = max(size, q + 1)
                if node[q] < 0:
                    nodes[nodes_found] = q
                    node[q] = nodes_found
                    nodes_found += 1
                to[p, c], moved[p, c] = node[q], move
            cells[: width - 1], cells[width - 1] = profiles[p, 1:], 0
            q = number_of(profiles, size, slots, cells[:width])
            if q < 0:
                return -1, -1, later, node, nodes, to, moved
            size = max(size, q + 1)
            later[p] = q
            p = q
    return size, nodes_found, later, node, nodes, to, moved


@njit(cache=True, nogil=True)
def settled(graph, order, scale, start_cost, claims, claimed):
    """Whether no claim is above what starts lead to; without claims, these are entered.

    `claims[j, x]` is the cost of j starts from node x; `order` are the profiles, each after the next one.
    """
    least = np.empty(len(graph.later), np.int64)
    for x in range(claims.shape[1]):
        if not claimed:
            claims[0, x] = 0
        elif claims[0, x] > 0:
            return False
    for j in range(1, len(claims)):
        for p in order:
            best = least[graph.later[p]] + scale * j if p > 0 else np.int64(2**62)
            for c in range(len(start_cost)):
                if graph.to[p, c] >= 0:
                    value = start_cost[c] + scale * graph.moved[p, c] * (j - 1) + claims[j - 1, graph.to[p, c]]
                    best = min(best, value)
            least[p] = best
            x = graph.node[p]
            if x >= 0:
                if not claimed:
                    claims[j, x] = best
                elif claims[j, x] > best:
                    return False
    return True


@njit(cache=True, nogil=True)
def earliest_last(later):
    """The profiles in an order in which each comes after the one a round later."""
    order = np.empty(len(later), np.int64)
    known, chain = np.zeros(len(later), np.bool_), np.empty(len(later), np.int64)
    place = 0
    for p in range(len(later)):
        length = 0
        while not known[p]:
            known[p] = True
            chain[length] = p
            length += 1
            p = later[p]
        for x in range(length - 1, -1, -1):
            order[place] = chain[x]
            place += 1
    return order


class States(NamedTuple):
    """States of a layer: profile, least cost from the root, node of the relaxation, rounds that it is behind."""

    cells: np.ndarray
    cost: np.ndarray
    node: np.ndarray
    behind: np.ndarray


@njit(cache=True, nogil=True)
def expanded(types, class_of, capacity, graph, to_go, scale, left, limit, states, size, following, arcs):
    """All arcs from states with `left` starts to come, as in `kvopt.verify.relaxed_layers`.

    Parameters
    ----------
    types : tuple of int64 arrays
        Prompts, outputs and rewards.
    to_go : int64 array of shape (starts + 1, N)
        Costs by number of starts and node.
    states, size, following
        The layer, of so many states, and room for the next one.
    arcs : int64 array of shape (A, 4)
        Room for arcs: from, rounds, type, to.

    Returns
    -------
    int, int
        How many arcs, and how many states that follow; -1 where there was too little room.
    """
    prompt, output, reward = types
    width = states.cells.shape[1]
    slots = np.full(4 * len(following.cost), -1, np.int64)
    cells = np.zeros(2 * width, states.cells.dtype)
    found = new = 0
    for i in range(size):
        length = width
        while length > 0 and states.cells[i, length - 1] == 0:
            length -= 1
        profile = graph.profile[states.node[i]]
        for _ in range(states.behind[i]):
            profile = graph.later[profile]
        for wait in range(length + 1):
            if wait > 0:
                profile = graph.later[profile]
            waited = states.cost[i] + scale * wait * left
            if waited + to_go[left, 0] > limit:
                break
            for k in range(len(prompt)):
                cells[: width - wait], cells[width - wait :] = states.cells[i, wait:], 0
                if not fitting(cells, 0, prompt[k] + 1, output[k], capacity):
                    continue
                for j in range(output[k]):
                    cells[j] += prompt[k] + 1 + j
                move = rounds_to_fit(cells, prompt, output, capacity)
                seen, moved = graph.to[profile, class_of[k]], graph.moved[profile, class_of[k]]
                rounds = output[k] + move * (left - 1)
                value = waited + scale * rounds - reward[k]
                if value - scale * (move - moved) * (left - 1) + to_go[left - 1, seen] > limit:
                    continue
                # Behind the last start all is one.
                q = number_of(following.cells, new, slots, cells[move : move + width] if left > 1 else cells[width:])
                if q < 0 or found == len(arcs):
                    return -1, -1
                if q == new:
                    following.cost[q], following.node[q], following.behind[q] = value, seen, move - moved
                    new += 1
                following.cost[q] = min(following.cost[q], value)
                arcs[found, 0], arcs[found, 1], arcs[found, 2], arcs[found, 3] = i, wait * left + rounds, k, q
                found += 1
    return found, new


def graph_of(relaxation: verify.Relaxation, capacity: int) -> Graph:
    """All profiles of a relaxation's classes."""
    prompt, output = (np.array(column, np.int64) for column in (relaxation.prompt, relaxation.output))
    room, width = 1 << 10, max(relaxation.output)
    dtype = cell_type(capacity, width)
    while room <= MOST_PROFILES and room * width <= MOST_CELLS:
        cells = np.empty((room, width), dtype)
        size, nodes, later, node, profile, to, moved = explored(prompt, output, capacity, cells)
        if size >= 0:
            return Graph(later[:size], node[:size], profile[:nodes], to[:size], moved[:size])
        room *= 4
    raise Unfit


def costs_of(relaxation: verify.Relaxation, graph: Graph, data: Mapping[str, Any]) -> np.ndarray | None:
    """Costs by number of starts and node: those claimed, if there are any; None if one of them does not hold."""
    fields, nodes, scale = relaxation.requests + 1, len(graph.profile), relaxation.scale
    largest = max(map(abs, relaxation.start_cost))
    require_small(fields * (largest + scale * fields * 3 * max(relaxation.output)))
    if fields * nodes > MOST_CELLS:
        raise Unfit
    claimed = data.get("costs") is not None
    costs = claims_of(data, fields, nodes) if claimed else np.zeros((fields, nodes), np.int64)
    start_cost = np.array(relaxation.start_cost, np.int64)
    if costs is None or not settled(graph, earliest_last(graph.later), scale, start_cost, costs, claimed):
        return None
    return costs


def claims_of(data: Mapping[str, Any], fields: int, nodes: int) -> np.ndarray | None:
    """The costs that a certificate claims, as `kvopt.verify.ClaimedCosts` reads them; None if they are malformed."""
    stream = verify.unpacked(data["costs"])
    if len(stream) % (8 * fields) or not stream:
        return None
    # Second differences, of the first node's costs and of what the others' are above them.
    second = np.frombuffer(stream, "<i8").reshape(-1, fields)
    require_small(fields * fields * max(abs(int(second.min())), abs(int(second.max()))))
    rows = second.cumsum(axis=1).cumsum(axis=1)
    rows[1:] += rows[0]
    if rows[:, 0].max() > 0:
        return None
    if data.get("row_of") is not None:
        names = verify.unpacked(data["row_of"])
        if len(names) % 4:
            return None
        row_of = np.frombuffer(names, "<u4")
        if row_of.max(initial=0) >= len(rows):
            return None
        rows = rows[row_of[:nodes]]
    return rows[:nodes].T.copy() if len(rows) >= nodes else None
