"""``--solver dp``: the exact dynamic programme over labels, proved by its own certificate.

Passes with growing beams find the optimum early; a last pass without a beam, with the incumbent as its
threshold, proves it and records the certificate. docs/dynamic_programme.md states states, successors,
costs, dominance and every rule with its argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from kvopt.bounds import growth, packing, prices, volume
from kvopt.bounds.bound import Bound
from kvopt.exact.proof import search_certificate, sublimation_certificate
from kvopt.exact.relaxation import ALL_TYPES, HEAVY, HUGE, LIGHT, MEDIUM, MIDDLE, TINY, Effort, relax
from kvopt.exact.search import Pace, Pass, Search, profile_sizes
from kvopt.exact.sublimation import Closed, climb
from kvopt.large import polishing
from kvopt.large.annealing import Annealer
from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.policies import backlog
from kvopt.solving import Answer
from kvopt.verify import MOST_ARCS, MOST_OUTPUT

#: Another method that tries, for about as long as an attempt with that many children takes; None if it proved nothing.
Rival = Callable[[int | None], Answer | None]

#: With more types than `ALL_TYPES`, moves of annealing for each request before the first two thorough attempts: they
#: find better schedules than a beam in the same time.
MOVES = (5_000, 25_000)
#: And moves of polishing before the second, the third, and each one from the fourth on. Where a proof is hardly in
#: reach at once so many, or with a time limit a part of the time left.
POLISHING_MOVES, HOPELESS_MOVES, POLISHING_SHARE = (0, 25_000, 125_000, 625_000), 1_250_000, 0.1

#: Prices for few types as near the best as a millisecond or two bring them (`kvopt.bounds.ascent.ascend`).
TOLERANCE = 0.001

#: With more types than this, and an attempt that did not get through that part of the layers, the quick or the first
#: thorough one, a proof is hardly in reach, and all time goes to a packing bound: nominal seconds for it at most.
HOPELESS_TYPES, HOPELESS_LAYERS, PACKING_LIMIT_S = 24, (0.25, 0.5), 200.0
#: Parts of the time left that a packing may take, before more attempts and without hope in them.
PACKING_SHARE, HOPELESS_SHARE = 0.4, 0.9
#: A proof that was given up begins again with a packing that closes so much of the gap, and otherwise goes on.
BETTER = 0.1


@dataclass(frozen=True)
class Attempt:
    """One try at a proof.

    Attributes
    ----------
    effort : Effort or None
        Size of the relaxation; None to go on with the one at hand.
    beam : int or None
        Width of the beam before the proof; None for none.
    budget : int or None
        Children after which the proof is given up; None for the last attempt.
    arcs : int
        Arcs after which sublimation is given up.
    packing_s : float
        Nominal seconds for a packing bound before it, 0 for none.
    pace : Pace or None
        Below which the proof is given up earlier.
    """

    effort: Effort | None
    beam: int | None
    budget: int | None
    arcs: int
    packing_s: float = 0.0
    pace: Pace | None = None


#: With the prices of the fluid schedule, which cost nothing; of more than a few requests one must be quick to come up
#: to prices near the best.
QUICK = Attempt(TINY, 20, 20_000, 30_000)
PACED = replace(QUICK, pace=Pace(0.2, 1.1))
FEW_REQUESTS = 15
#: A proof of so few requests takes no longer than a beam.
AT_ONCE, FEWEST_REQUESTS = replace(QUICK, beam=None), 8
#: Then few types with prices near the best: a search first, because nothing tells beforehand whether it or the graph of
#: all types ends earlier, and larger graphs.
QUICK_FEW = (
    Attempt(None, 30, 30_000, 1_000_000, pace=Pace(0.2, 0.6)),
    Attempt(LIGHT, 100, 50_000, 1_000_000),
    Attempt(MIDDLE, 300, 50_000, 1_000_000),
)
#: The size of the graph does not depend on the number of requests, so with many of them it comes first.
QUICK_MANY = (replace(QUICK_FEW[0], effort=LIGHT), QUICK_FEW[2])
MANY_REQUESTS = 30
#: One or two types have larger graphs that are still made faster than a search ends without them.
QUICK_TWO = (Attempt(MEDIUM, 300, 50_000, 1_000_000),)
#: Quick attempts that search even without a graph, the one before these included.
SEARCHES = 2
#: With prices near the best, and with types in classes where they are too many to keep apart. A packing takes about as
#: long as the attempt before it, and goes on where the one before ended.
THOROUGH = (
    Attempt(LIGHT, 300, 400_000, 3_000_000),
    Attempt(MEDIUM, 1_000, 800_000, 10_000_000),
    Attempt(HEAVY, 10_000, 4_000_000, MOST_ARCS),
    Attempt(HEAVY, 10_000, 4_000_000, MOST_ARCS, packing_s=7),
    Attempt(HEAVY, 10_000, 20_000_000, MOST_ARCS, packing_s=25),
    Attempt(HEAVY, 10_000, None, MOST_ARCS, packing_s=150),
)
#: The same for few types, for which the graph of all of them may yet be affordable: searches without it must be quick.
THOROUGH_FEW = (
    Attempt(MIDDLE, 100, 400_000, 3_000_000, pace=Pace(0.2, 0.6)),
    replace(THOROUGH[1], pace=Pace(0.2, 0.6)),
    Attempt(HEAVY, 1_000, 1_600_000, MOST_ARCS),
    Attempt(HUGE, 10_000, None, MOST_ARCS),
)


def solve(instance: Instance, monitor: Monitor, rival: Rival | None = None) -> Answer:
    """Prove the optimum, or return the best schedule and a certified bound when a limit stops the search.

    Before each attempt a `rival` has a turn, and what it proves is the answer.
    """
    profile_sizes(instance)  # refuses before anything takes long
    for policy in (backlog.solve_mc_sf, backlog.solve_svf):
        policy(instance, monitor)
    search = Search(instance, prices.fluid(instance), monitor)
    price_bound = raise_bound(search)
    closed: Closed | None = None
    packed: packing.Found | None = None
    few = len(instance.types) <= ALL_TYPES
    for number, attempt in enumerate(quick_attempts(instance)):
        if rival is not None and (answer := rival(attempt.budget)) is not None:
            return answer
        tighten(search, attempt.effort, all_types=True)
        if number == 1 and search.relaxation is None:
            search = sharpened(search, TOLERANCE)
            price_bound = search.ceiling(search.root_bound)
        if number < SEARCHES or search.all_types_relaxed:
            closed = sublimated(search, attempt, closed)
            proof = attempted(search, attempt, closed)
        if proof.complete or monitor.stopped:
            break
    else:
        attempts, packed_s = THOROUGH_FEW if few else THOROUGH, 0.0
        first = 1 if hopeless(instance, proof, 0) else 0
        for number, attempt in enumerate(attempts[first:], first):
            if number == 1 or (number == 0 and not few):
                search = sharpened(search, TOLERANCE if number == 0 else 0.0)
                price_bound = search.ceiling(search.root_bound)
            wanted_s, share = attempt.packing_s, PACKING_SHARE
            without_hope = number == 1 and hopeless(instance, proof, 1)
            if without_hope:
                wanted_s, share = PACKING_LIMIT_S, HOPELESS_SHARE
            improve(search, number, thorough=without_hope)
            if wanted_s > packed_s:
                packed_s = wanted_s
                packed = pack(search, packed, wanted_s, share)
            if monitor.gap_reached:
                break
            if rival is not None and (answer := rival(attempt.budget)) is not None:
                return answer
            if number == first or attempt.effort is not attempts[number - 1].effort:
                tighten(search, attempt.effort)
            closed = sublimated(search, attempt, closed)
            proof = attempted(search, attempt, closed, proof)
            if proof.complete or monitor.stopped:
                break
    proof.open = None  # the certificate needs memory, and no label
    root_bound = search.ceiling(search.root_bound)
    if not proof.complete and proof.bound <= root_bound:
        # Labels that prove no more than the root would only burden the certificate.
        proof = replace(proof, bound=root_bound, layers=0, traces=[])
        if price_bound == root_bound:
            search.relaxation = None
    relaxation = search.relaxation
    statistics = {
        "price_bound": price_bound,
        "root_bound": root_bound,
        "profiles": 0 if relaxation is None else relaxation.graph.profiles,
        "classes": 0 if relaxation is None else len(relaxation.multipliers),
        "labels": proof.kept,
        "generated": proof.generated,
        "layers": proof.layers,
    }
    if closed is not None and closed.threshold >= max(proof.bound, incumbent(monitor)):
        return Answer(closed.threshold, sublimation_certificate(closed), statistics)
    if not proof.complete:
        cheap = [volume.bound(instance), growth.improved(instance, search.prices)]
        if closed is not None:
            cheap.append(Bound(closed.threshold, sublimation_certificate(closed)))
        if packed is not None and packed.value >= proof.bound:
            cheap.append(packed.bound)
        best = max(cheap, key=lambda bound: bound.value)
        if best.value > proof.bound or (proof.layers == 0 and best.value == proof.bound):
            monitor.raise_bound(best.value)
            return Answer(best.value, best.certificate, statistics)
    monitor.raise_bound(proof.bound)
    # The checker does not take longer profiles than that.
    certificate = search_certificate(proof, search) if search.width <= MOST_OUTPUT else None
    return Answer(proof.bound, certificate, statistics)


def quick_attempts(instance: Instance) -> tuple[Attempt, ...]:
    """The quick attempts that suit the numbers of types and requests."""
    types, n = len(instance.types), instance.n
    first = PACED if n > FEW_REQUESTS and types <= ALL_TYPES else QUICK
    if n <= FEWEST_REQUESTS:
        first = AT_ONCE
    if types > ALL_TYPES:
        return (first,)
    if types <= 2:
        return (first, *QUICK_TWO)
    return (first, *(QUICK_FEW if n <= MANY_REQUESTS else QUICK_MANY))


def sublimated(search: Search, attempt: Attempt, closed: Closed | None) -> Closed | None:
    """The highest limit settled by sublimation so far."""
    monitor, instance = search.monitor, search.instance
    if not search.all_types_relaxed or instance.has_arrivals or monitor.stopped or monitor.gap_reached:
        return closed
    found = climb(search, attempt.arcs)
    return max((closed, found), key=lambda each: 0 if each is None else each.threshold)


def attempted(search: Search, attempt: Attempt, closed: Closed | None, given_up: Pass | None = None) -> Pass:
    """Outcome of a pass that is a proof when it is complete; none is made where there is a proof.

    A pass that was given up, and can, goes on instead.
    """
    threshold = incumbent(search.monitor)
    if max(search.ceiling(search.root_bound), 0 if closed is None else closed.threshold) >= threshold:
        return Pass(threshold, complete=True, bound=threshold)
    if given_up is not None:
        if search.can_go_on(given_up):
            threshold, budget, pace = given_up.threshold, attempt.budget, attempt.pace
            return search.run(threshold, record=True, budget=budget, pace=pace, given_up=given_up)
        given_up.open = None  # its labels take memory
    if attempt.beam is not None:
        # A beam that drops nothing is a proof already; what one that did left open bounds nothing.
        done = search.run(threshold, attempt.beam, record=True)
        if not done.cut:
            return done
        threshold = incumbent(search.monitor)
    return search.run(threshold, record=True, budget=attempt.budget, pace=attempt.pace)


def sharpened(search: Search, tolerance: float = 0.0) -> Search:
    """The same search with prices near the best, the nearer the smaller the tolerance."""
    sharper = Search(search.instance, prices.memory_prices(search.instance, tolerance=tolerance), search.monitor)
    raise_bound(sharper)
    if sharper.scale == search.scale:
        sharper.relaxation = search.relaxation
    return sharper


def hopeless(instance: Instance, proof: Pass, attempts: int) -> bool:
    """Whether a proof given up after so many thorough attempts shows that others will hardly do better."""
    return len(instance.types) > HOPELESS_TYPES and proof.layers < HOPELESS_LAYERS[attempts] * instance.n


def pack(search: Search, packed: packing.Found | None, nominal_s: float, share: float) -> packing.Found | None:
    """A packing around the best schedule, no worse than `packed`; where it is `BETTER`, the search gets it.

    It takes so many nominal seconds at most, and about that part of the time left.
    """
    monitor, used = search.monitor, search.packing
    if monitor.stopped or search.scale % packing.DENOMINATOR != 0:
        return packed
    found = packing.search(
        search.instance,
        monitor.best_starts,
        time_limit_s=min(nominal_s, share * monitor.remaining_s),
        workers=monitor.workers,
        stopped=lambda: monitor.stopped,
        before=packed,
    )
    if found is not None:
        monitor.raise_bound(found.value)
        if used is None or found.value - used.value > BETTER * (incumbent(monitor) - used.value):
            search.packing = found
    return found


def improve(search: Search, number: int, *, thorough: bool = False) -> None:
    """Better schedules of many types, before the thorough attempt of that number: annealing, then polishing."""
    instance, monitor = search.instance, search.monitor
    if len(instance.types) <= ALL_TYPES or monitor.stopped:
        return
    assert monitor.best_starts is not None
    annealer, seed = Annealer(instance, search.prices, monitor), monitor.seed + number
    if number < len(MOVES):
        annealer.run(monitor.best_starts, float(MOVES[number] * instance.n), seed)
    moves = HOPELESS_MOVES if thorough else POLISHING_MOVES[min(number, len(POLISHING_MOVES) - 1)]
    if moves > 0 and instance.n <= polishing.MOST_REQUESTS and not monitor.stopped:
        deadline_s = monitor.elapsed_s + POLISHING_SHARE * monitor.remaining_s if thorough else float("inf")
        polishing.run(annealer, monitor.best_starts, seed, deadline_s, moves)


def tighten(search: Search, effort: Effort | None, *, all_types: bool = False) -> None:
    """Give the search a relaxation of that effort where it does not lower the bound."""
    monitor = search.monitor
    if effort is None or monitor.stopped or monitor.gap_reached or search.all_types_relaxed:
        return
    given = (search.instance, search.scale, search.least_priced_cost, incumbent(monitor), effort, monitor)
    # Graphs of all types up to that size have been tried before classes are asked for.
    found = relax(*given, all_types=True) if all_types or effort.arcs > MIDDLE.arcs else None
    if found is None and not all_types and effort is not HUGE:
        found = relax(*given)
    if found is None or monitor.stopped:
        return
    before, bound_before = search.relaxation, search.root_bound
    search.relaxation = found
    raise_bound(search)
    if search.root_bound < bound_before:
        search.relaxation = before


def raise_bound(search: Search) -> int:
    """Tell the monitor the bound at the root, and return it."""
    bound = search.ceiling(search.root_bound)
    search.monitor.raise_bound(bound)
    return bound


def incumbent(monitor: Monitor) -> int:
    """Total latency of the best schedule; the policies have offered one before anything else runs."""
    assert monitor.incumbent is not None
    return monitor.incumbent
