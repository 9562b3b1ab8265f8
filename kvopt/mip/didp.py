"""CABS, the solver of DIDPPy, on the round-by-round dynamic programme.

Domain-independent dynamic programming (Kuroiwa and Beck, ICAPS 2023) separates the statement of a dynamic programme
from its solver, as integer programming does. State in round t:

- ``R[k]``, the unstarted requests of type k;
- ``p[u]``, the tokens that running requests hold in round t + u (less is better: a resource, in DIDP's words);
- the least type that may still start in round t (less is better), so that a choice of starts has one order;
- with arrivals, t itself, up to the last arrival: from then on all rounds are alike.

Transitions: *start* a type that is left, has arrived and fits in all its rounds, at cost o_k; *pass* a round, at the
cost of one for each request that has arrived and not started. The costs of a path add up to its total latency. A
round without running requests is passed only before the last arrival, as in every optimal schedule.

Which requests are running is forgotten, unlike in `kvopt.exact.reference`: the profile p is all the future needs, and
it makes states comparable. With equal counts and round, ``p <= p'`` everywhere leaves more room.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kvopt.errors import InputError, TooLargeError
from kvopt.mip import worker
from kvopt.mip.running import Claim, conclude, refuse, warm_start, whole_bound
from kvopt.model import Instance, IntArray, RequestTypes
from kvopt.monitor import Monitor
from kvopt.solving import Answer

if TYPE_CHECKING:
    import didppy

#: Name of the transition to the next round; the others are named after their type.
PASS = "pass"
#: Largest number of types times rounds of the longest output, which is the size of the model.
MAX_SIZE = 200_000
#: DIDPPy computes with 32 bits; a quarter of that leaves room for sums of a cost and a bound.
MAX_NUMBER = 2**29


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Solve the programme by types with CABS, in a process of its own.

    Raises
    ------
    InputError
        If didppy is not installed.
    TooLargeError
        If the model has more than `MAX_SIZE` conditions, or costs may exceed `MAX_NUMBER`.
    SolverError
        If CABS fails or claims that there is no schedule.
    """
    if find_spec("didppy") is None:
        raise InputError("the solver didp needs didppy, which is not installed: pip install 'kvopt[didp]'")
    types = instance.types
    size = len(types) * int(types.output.max())
    if size > MAX_SIZE:
        raise TooLargeError(f"types times the longest output are {size:,}; didp takes at most {MAX_SIZE:,}")
    longest = instance.n * (int(types.arrival.max()) + sum(instance.output.tolist()))
    if longest > MAX_NUMBER:
        raise TooLargeError(f"a total latency may reach {longest:,}; didp takes at most {MAX_NUMBER:,}")
    warm_start(instance, monitor)
    assert monitor.incumbent is not None
    end_s = None if monitor.time_limit_s is None else time.time() + monitor.remaining_s

    def improved(claim: Claim) -> None:
        if claim.values is not None:
            monitor.offer(whole(claim.values))
        bound = whole_bound(claim.bound)
        if bound is not None:
            monitor.raise_bound(bound)

    arguments = (instance, monitor.incumbent, end_s, monitor.target_gap, monitor.workers)
    claim = worker.call(monitor, "didp", "kvopt.mip.didp:run", *arguments, improved=improved)
    return conclude(claim, whole, monitor, transitions=len(types) + 1, profile_rounds=int(types.output.max()))


def whole(values: npt.ArrayLike) -> IntArray:
    """Starts of the requests as integers."""
    return np.asarray(values, dtype=np.int64)


def build(types: RequestTypes, capacity: int) -> didppy.Model:
    """The dynamic programme in DIDPPy's terms."""
    import didppy as dp

    prompt, output, count, arrival = (
        column.tolist() for column in (types.prompt, types.output, types.count, types.arrival)
    )
    kinds, longest, last_arrival = range(len(types)), max(output), max(arrival)
    model = dp.Model()
    left = [model.add_int_var(target=c, name=f"left_{k}") for k, c in enumerate(count)]
    held = [model.add_int_resource_var(target=0, less_is_better=True, name=f"held_{u}") for u in range(longest)]
    least = model.add_int_resource_var(target=0, less_is_better=True, name="least")
    round_ = model.add_int_var(target=0, name="round") if last_arrival else None
    later = dp.IntExpr.state_cost()

    def arrived(k: int) -> list[Any]:
        return [] if round_ is None or arrival[k] == 0 else [round_ >= arrival[k]]

    for k in kinds:
        fits = [held[u] <= capacity - (prompt[k] + u + 1) for u in range(output[k])]
        more = [(held[u], held[u] + (prompt[k] + u + 1)) for u in range(output[k])]
        model.add_transition(
            dp.Transition(
                name=str(k),
                cost=output[k] + later,
                preconditions=[left[k] >= 1, least <= k, *arrived(k), *fits],
                effects=[(left[k], left[k] - 1), (least, k), *more],
            )
        )
    waiting = [arrived(k)[0].if_then_else(left[k], 0) if arrived(k) else left[k] + 0 for k in kinds]
    busy = held[0] >= 1
    moved = [(held[u], held[u + 1]) for u in range(longest - 1)]
    clock = [] if round_ is None else [(round_, dp.min(round_ + 1, last_arrival))]
    model.add_transition(
        dp.Transition(
            name=PASS,
            cost=total(waiting) + later,
            preconditions=[busy if round_ is None else busy | (round_ < last_arrival)],
            effects=[(least, 0), *moved, (held[longest - 1], 0), *clock],
        )
    )
    model.add_base_case([requests == 0 for requests in left])

    early = [] if round_ is None else [left[k] * dp.max(arrival[k] - round_, 0) for k in kinds if arrival[k]]
    for bound in bounds(types, capacity, left):
        model.add_dual_bound(bound - total(early) if early else bound)
    model.add_dual_bound(total([left[k] * output[k] for k in kinds]))
    return model


def bounds(types: RequestTypes, capacity: int, left: list[didppy.IntVar]) -> list[didppy.IntExpr]:
    """Two lower bounds on the sum of (completion - present round) of the requests left.

    They arrive later than the present round at worst: subtracting the rounds until then, as the caller does, leaves
    a bound on what a path still costs. In ascending order of volume, with ``W_i`` the volume of the first i:

    1. *Volume*: the first i requests to complete hold at least ``W_i`` tokens, at most M in a round, so the sum is at
       least ``sum_i W_i / M``.
    2. *Mean rounds* (Eastman, Even and Isaacs, Management Science 11, 1964, for machines): completion i is the mean
       round of its tokens plus a constant, ``d_i = sum_j (o - j)(s + j) / vol_i``. With M tokens a round at most, the
       mean rounds sum to least when requests are served fully one after the other, smallest volume first:
       ``sum_i (W_i - vol_i / 2) / M`` (round r does not end before time r, so time may be taken for it).

    Both times 2 M are polynomials in the counts. Volumes rounded down over 2 M rounded up, in units that keep the
    numbers below `MAX_NUMBER`, leave them valid, and as costs are integers the quotient is rounded up.
    """
    prompt, output, volume = types.prompt.tolist(), types.output.tolist(), types.volume.tolist()
    n, volumes = int(types.count.sum()), sum(v * c for v, c in zip(volume, types.count.tolist(), strict=True))
    unit = 1 + 2 * n * (volumes + capacity * max(output)) // MAX_NUMBER
    twice = -(-2 * capacity // unit)
    by_volume, by_mean = [], []
    larger: Any = 0
    for k in sorted(range(len(types)), key=volume.__getitem__, reverse=True):
        tail = sum((output[k] - j) * (prompt[k] + j) for j in range(1, output[k] + 1))
        size = volume[k] // unit
        by_volume.append(left[k] * (size * (left[k] + 1 + 2 * larger)))
        by_mean.append(left[k] * (size * (left[k] + 2 * larger) + twice * tail // volume[k]))
        larger = larger + left[k]
    return [(total(terms) + (twice - 1)) // twice for terms in (by_volume, by_mean)]


def total(terms: list[Any]) -> Any:
    """Sum of expressions, of which there is at least one."""
    first, *others = terms
    for term in others:
        first = first + term
    return first


def run(
    _interrupter: object, instance: Instance, value: int, end_s: float | None, gap: float, threads: int
) -> Iterator[Claim]:
    """Each improving schedule of CABS, then how it ended; runs in the process of `kvopt.mip.worker`.

    CABS does not let other threads of its process run, so it cannot be interrupted, only killed.

    Parameters
    ----------
    _interrupter : object
        Not used.
    instance : Instance
    value : int
        Only schedules of at most this total latency are looked for; there must be one.
    end_s : float or None
        When to end, as `time.time` tells: starting the process takes its time too.
    gap : float
        Relative to the bound.
    threads : int
    """
    import didppy as dp

    model = build(instance.types, instance.capacity)
    left_s = None if end_s is None else max(0.0, end_s - time.time())
    solver = dp.CABS(model, primal_bound=value + 1, time_limit=left_s, quiet=True, threads=threads)
    starts = None
    while True:
        solution, ended = solver.search_next()
        if solution.is_infeasible:
            raise refuse("CABS", "infeasible")
        if solution.cost is not None and solution.transitions:
            starts = starts_of(instance.types, [transition.name for transition in solution.transitions])
        figures = {"expanded": solution.expanded, "generated": solution.generated}
        near = solution.cost is not None and solution.best_bound is not None
        enough = near and solution.cost - solution.best_bound <= gap * max(solution.best_bound, 0)
        status = "optimal" if solution.is_optimal else "feasible" if starts is not None else "unknown"
        yield Claim(status, starts, solution.best_bound, figures)
        if ended or enough:
            return


def starts_of(types: RequestTypes, names: list[str]) -> npt.NDArray[np.float64]:
    """Start rounds of the requests, shape (n,), from the names of the transitions of a path.

    >>> instance = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    >>> starts_of(instance.types, ["0", "1", "pass", "0", "pass", "pass", "1"]).tolist()
    [0.0, 1.0, 0.0, 3.0]
    """
    kind, start, t = [], [], 0
    for name in names:
        if name == PASS:
            t += 1
        else:
            kind.append(int(name))
            start.append(t)
    return types.starts_of_requests(np.array(kind), np.array(start)).astype(np.float64)
