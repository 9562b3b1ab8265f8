"""State-space relaxation: forget which requests remain, remember the memory profile.

Requests are put into classes; in the relaxed problem a member runs with its class's shape, the least prompt
and the least output of the members, and any number of members may start as long as n start in all. What is
left of a state is the memory profile and the number of requests still to start, so the relaxed problem is a
shortest path in a small layered graph, and its cost to go bounds that of every label with that profile.
Multipliers, one for each class, charge for starts beyond the class's size (Christofides, Mingozzi and Toth
1981; Tanaka, Fujikuma and Araki 2009 use the same idea with time as the state). Unlike the time-indexed
linear programme, the relaxed problem never splits a request: it sees the sawtooth of growing memory.
docs/dynamic_programme.md has the proof and measurements.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kvopt.exact import relaxation_kernels as kernels
from kvopt.exact.watch import Watch
from kvopt.model import Instance, IntArray, volume
from kvopt.monitor import Monitor

#: Most classes, and most types that are kept apart on trial, whatever the graph they make.
MAX_CLASSES, ALL_TYPES = 8, 4
#: Most steps of the multipliers, and most arcs, each counted for each number of requests to start, that they look at.
MULTIPLIER_STEPS, MULTIPLIER_WORK = 24, 1_000_000_000
#: Fewest and most steps where sublimation goes on from there, on a small part of the graph; one for so many requests.
FIRST_STEPS, REQUESTS_PER_STEP = (4, 8), 5
#: Most steps with few types in classes: the search needs bounds on labels rather than the best one at the root.
CLASS_STEPS = 1
#: Smallest graph whose sweeps are shared among threads, and end when the monitor stops.
SHARED_PROFILES = 20_000
#: The ascent ends when its steps, as a fraction of the open gap, are shorter than this.
STRIDE_END = 0.1
#: Most costs to go, and most words of all profiles, of a graph: 2.4 and 0.4 GB; and words from which on profiles take
#: longer to make in proportion.
MOST_COSTS, MOST_WORDS, FEW_WORDS = 300_000_000, 50_000_000, 8
#: More than any cost.
NEVER = 2**61
#: Longest output (cells of a profile) for which the relaxation is tried.
MAX_OUTPUT = 256


@dataclass(frozen=True)
class Effort:
    """Largest graph: arcs (profiles times classes), arcs times requests (work of a sweep), arcs for each request."""

    arcs: int
    work: int
    each: int = 2**31


#: A millisecond or two; less with few requests, which a search settles as fast.
TINY = Effort(arcs=15_000, work=250_000, each=750)
#: Some ten milliseconds.
LIGHT = Effort(arcs=150_000, work=15_000_000)
#: Up to a tenth of a second.
MIDDLE = Effort(arcs=500_000, work=50_000_000)
#: A second or two.
MEDIUM = Effort(arcs=1_500_000, work=100_000_000)
#: For instances that resist: up to a minute.
HEAVY = Effort(arcs=4_000_000, work=250_000_000)
#: The last resort for few types: a minute or two, and two or three gigabytes.
HUGE = Effort(arcs=25_000_000, work=1_500_000_000)


@dataclass(frozen=True, eq=False)
class ProfileGraph:
    """Memory profiles, and where starts and waiting lead from each.

    Profile 0 is the empty worker. Few profiles differ once the first rounds of each have passed, so a profile a round
    later is a profile of its own, shared by all that wait for it.

    Attributes
    ----------
    prompt, output : int64 arrays of shape (C,)
        Shape of each class.
    nodes : int32 array
        The profiles that starts lead to, and the empty worker, in the order of the certificate.
    depth : int32 array of shape (P,)
        Least number of starts that lead to each profile; ascending, and where equal, the rounds until it is empty.
    later : uint32 array of shape (P,)
        The profile one round later, of a lower number.
    to : uint32 array of shape (C, P)
        The profile after a start now, moved on to the first round in which some class fits; P where there is no room.
    moved : int16 array of shape (C, P)
        So many rounds on.
    """

    prompt: IntArray
    output: IntArray
    nodes: np.ndarray
    depth: np.ndarray
    later: np.ndarray
    to: np.ndarray
    moved: np.ndarray

    @property
    def profiles(self) -> int:
        """Number of profiles."""
        return len(self.later)

    @property
    def arcs(self) -> int:
        """Starts that there may be: profiles times classes."""
        return self.to.size

    def reach(self, requests: int) -> IntArray:
        """With so many requests in all, profiles that matter when 0, 1, ... of them are still to start."""
        return np.searchsorted(self.depth, np.arange(requests, -1, -1), side="right")


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The relaxed problem solved: lower bounds on the cost to go of every profile.

    Attributes
    ----------
    class_of : int64 array of shape (K,)
        Class of each type.
    multipliers : int64 array
        One for each class, in units of ``1 / scale`` rounds.
    graph : ProfileGraph
    cost : int64 array of shape (n + 1, P + 1)
        ``cost[j, p]``: least cost of j more starts from profile p, in units of ``1 / scale``, where a wait of
        one round costs 1 for each request still to start, and a start of class k its output less the multiplier. Of no
        meaning where more than ``n - j`` starts lead to p: no label is there. In the last column `NEVER`.
    reward : int64 array of shape (K,)
        What a remaining request of each type adds to the bound: its class's multiplier, the output its shape
        lacks, less its arrival.
    """

    class_of: IntArray
    multipliers: IntArray
    graph: ProfileGraph
    cost: IntArray
    reward: IntArray


def classes_of(instance: Instance, number: int) -> IntArray:
    """Class of each type: types in ascending (output, prompt) cut into `number` runs that lose least volume."""
    types = instance.types
    order = np.lexsort((types.prompt, types.output))
    prompt, output, count = types.prompt[order], types.output[order], types.count[order]
    held = count * types.volume[order]
    size = len(order)
    loss = np.zeros((size, size + 1))
    for a in range(size):
        least = np.minimum.accumulate(prompt[a:])
        shape = np.cumsum(count[a:]) * volume(least, output[a])
        loss[a, a + 1 :] = np.cumsum(held[a:]) - shape
    best = np.full((number + 1, size + 1), np.inf)
    best[0, 0] = 0
    cut = np.zeros((number + 1, size + 1), dtype=np.int64)
    for c in range(1, number + 1):
        for b in range(c, size + 1):
            total = best[c - 1, :b] + loss[:b, b]
            cut[c, b] = int(np.argmin(total))
            best[c, b] = total[cut[c, b]]
    class_of = np.empty(size, dtype=np.int64)
    b = size
    for c in range(number, 0, -1):
        class_of[order[cut[c, b] : b]] = c - 1
        b = int(cut[c, b])
    return class_of


def profile_graph(
    instance: Instance, prompt: IntArray, output: IntArray, effort: Effort, watch: Watch
) -> ProfileGraph | None:
    """The graph of all profiles that starts of the shapes can make; None when it is larger than `effort`."""
    kinds, n, words = len(output), instance.n, kernels.words_of(int(output.max()), instance.capacity)
    arcs = min(effort.arcs, FEW_WORDS * effort.arcs // words, effort.work // n, effort.each * n)
    arcs = min(arcs, kinds * MOST_COSTS // n, kinds * MOST_WORDS // words)
    arguments = (watch.halt, prompt, output, instance.capacity, arcs)
    (found,) = [kernels.closure(*arguments)] if arcs <= LIGHT.arcs else watch.run(kernels.closure, [arguments])
    nodes, columns, complete = found
    return ProfileGraph(prompt, output, nodes, *columns) if complete else None


def relax(
    instance: Instance,
    scale: int,
    guess: IntArray,
    upper: int,
    effort: Effort,
    monitor: Monitor,
    *,
    all_types: bool = False,
) -> Relaxation | None:
    """Solve the relaxed problem with good multipliers; None when it makes too many profiles.

    Parameters
    ----------
    instance : Instance
    scale : int
        Denominator of all costs.
    guess : int64 array of shape (K,)
        First multipliers of the types: least priced costs of the linear programme do well.
    upper : int
        Total latency of a known schedule; the ascent aims at it.
    effort : Effort
        Decides how fine the classes are.
    all_types : bool
        Every type is a class of its own, or there is no relaxation; few types (`ALL_TYPES`) are kept apart only then.
    """
    if int(instance.output.max()) > MAX_OUTPUT or instance.capacity > np.iinfo(np.int16).max:
        return None
    found = (full_graph if all_types else finest_graph)(instance, effort, Watch(monitor))
    if found is None:
        return None
    class_of, graph = found
    types = instance.types
    number = len(graph.output)
    size = np.bincount(class_of, weights=types.count, minlength=number).astype(np.int64)
    multiplier = np.bincount(class_of, weights=types.count * guess, minlength=number) / size
    lacking = scale * (types.output - graph.output[class_of] - types.arrival)
    constant = int(types.count @ lacking)
    cost, reach = unfilled(graph, instance.n), graph.reach(instance.n)
    tried, best_value, best = None, None, np.rint(multiplier).astype(np.int64)
    direction, stride = size * 0.0, 1.0
    steps = MULTIPLIER_WORK // (graph.arcs * instance.n)
    if len(types) > ALL_TYPES or instance.has_arrivals:
        steps = min(steps, MULTIPLIER_STEPS)
    else:
        first_steps = min(max(FIRST_STEPS[0], instance.n // REQUESTS_PER_STEP), FIRST_STEPS[1])
        steps = min(steps, CLASS_STEPS if number < len(types) else first_steps)
    for _ in range(max(1, steps)):
        if monitor.stopped:
            break
        tried = np.rint(multiplier).astype(np.int64)
        if not fill(cost, reach, graph, scale, tried, monitor):
            return None
        value = int(cost[-1, 0]) + int(size @ tried) + constant
        monitor.report(relaxation=f"{graph.profiles} profiles", classes=number)
        if best_value is None or value > best_value:
            best_value, best = value, tried
            kind, start = kernels.path(cost, scale, scale * graph.output - tried, graph.later, graph.to, graph.moved)
            direction = (size - np.bincount(kind, minlength=number)).astype(np.float64)
            if not direction.any():
                if number == len(types) and not instance.has_arrivals:
                    # Nothing is relaxed here: the path is a schedule, and an optimal one.
                    monitor.offer(types.starts_of_requests(kind, start))
                break
            if value > scale * (upper - 1):
                break
        else:
            stride *= 0.5
            if stride < STRIDE_END:
                break
        room = max(scale * upper - best_value, scale)
        multiplier = best + stride * room * direction / (direction @ direction)
    if tried is not best and not fill(cost, reach, graph, scale, best, monitor):
        return None
    return Relaxation(class_of, best, graph, cost, best[class_of] + lacking)


def with_multipliers(relaxation: Relaxation, scale: int, multipliers: IntArray, monitor: Monitor) -> Relaxation | None:
    """The same relaxation, each type a class of its own, with other multipliers; None when the monitor stops."""
    graph = relaxation.graph
    n = len(relaxation.cost) - 1
    cost = unfilled(graph, n)
    if not fill(cost, graph.reach(n), graph, scale, multipliers, monitor):
        return None
    reward = relaxation.reward - relaxation.multipliers + multipliers
    return Relaxation(relaxation.class_of, multipliers, graph, cost, reward)


def finest_graph(instance: Instance, effort: Effort, watch: Watch) -> tuple[IntArray, ProfileGraph] | None:
    """Classes and graph with as many classes as `effort` allows; None when even one makes too many profiles.

    Only fewer classes than types where `full_graph` could have kept the types apart.
    """
    found = None
    # As many classes as types have been tried before where there are few.
    most = len(instance.types) - (len(instance.types) <= ALL_TYPES)
    for number in range(1, min(most, MAX_CLASSES) + 1):
        # Classes of one type each are numbered as the types are.
        class_of = classes_of(instance, number) if number < len(instance.types) else np.arange(number)
        prompt, output = np.full((2, number), instance.capacity)
        np.minimum.at(prompt, class_of, instance.types.prompt)
        np.minimum.at(output, class_of, instance.types.output)
        graph = profile_graph(instance, prompt, output, effort, watch)
        if graph is None:
            break
        found = class_of, graph
    return found


def full_graph(instance: Instance, effort: Effort, watch: Watch) -> tuple[IntArray, ProfileGraph] | None:
    """The graph in which every type is a class of its own; None when it is larger than `effort`."""
    types = instance.types
    if len(types) > ALL_TYPES:
        return None
    graph = profile_graph(instance, types.prompt.copy(), types.output.copy(), effort, watch)
    return None if graph is None else (np.arange(len(types)), graph)


def unfilled(graph: ProfileGraph, requests: int) -> IntArray:
    """Room for `Relaxation.cost` with so many requests: zero but for the last column."""
    cost = np.zeros((requests + 1, graph.profiles + 1), dtype=np.int64)
    cost[:, -1] = NEVER
    return cost


def fill(
    cost: IntArray, reach: IntArray, graph: ProfileGraph, scale: int, multipliers: IntArray, monitor: Monitor
) -> bool:
    """Costs to go of all layers and the profiles in reach, layer by layer with the profiles shared out among threads.

    Returns whether all were filled before the monitor stopped.
    """
    start_cost, later, starts, workers = (
        scale * graph.output - multipliers,
        graph.later,
        (graph.to, graph.moved),
        monitor.workers,
    )
    if graph.profiles < SHARED_PROFILES:
        kernels.sweeps(cost, reach, scale, start_cost, later, *starts)
        return True
    with ThreadPoolExecutor(workers) as pool:
        for j in range(1, len(cost)):
            if monitor.stopped:
                return False
            edges = np.linspace(0, reach[j], workers + 1).astype(np.int64)
            given = scale * (j - 1), start_cost, *starts
            parts = [pool.submit(kernels.start_now, cost[j], cost[j - 1], lo, hi, *given) for lo, hi in pairwise(edges)]
            for part in parts:
                part.result()
            kernels.start_later(cost[j], reach[j], scale * j, later)
    return True
