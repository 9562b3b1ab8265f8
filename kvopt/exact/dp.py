"""``--solver dp``: the exact dynamic programme over labels, proved by its own certificate.

Passes with growing beams find the optimum early; a last pass without a beam, with the incumbent as its
threshold, proves it and records the certificate. docs/dynamic_programme.md states states, successors,
costs, dominance and every rule with its argument.
"""

from __future__ import annotations

from kvopt.bounds.prices import memory_prices
from kvopt.exact.proof import search_certificate
from kvopt.exact.relaxation import relax
from kvopt.exact.search import Search
from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.policies import backlog
from kvopt.solve import Answer

#: Widths of the passes that look for good schedules before the proof.
BEAMS = (100, 1_000, 10_000)


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Prove the optimum, or return the best schedule and a certified bound when a limit stops the search."""
    for policy in (backlog.solve_mc_sf, backlog.solve_svf):
        policy(instance, monitor)
    assert monitor.incumbent is not None
    prices = memory_prices(instance)
    search = Search(instance, prices, monitor)
    price_bound = search.ceiling(search.root_bound)
    monitor.raise_bound(price_bound)
    search.run(monitor.incumbent, BEAMS[0])
    search.relaxation = relax(instance, search.scale, search.least_priced_cost, monitor.incumbent, monitor)
    root_bound = search.ceiling(search.root_bound)
    monitor.raise_bound(root_bound)
    for beam in BEAMS[1:]:
        if monitor.gap_reached or monitor.stopped or not search.run(monitor.incumbent, beam).cut:
            break
    threshold = monitor.incumbent
    proof = search.run(threshold, record=True)
    monitor.raise_bound(proof.bound)
    return Answer(
        lower_bound=proof.bound,
        certificate=search_certificate(proof, threshold, search),
        statistics={
            "root_bound": root_bound,
            "labels": proof.kept,
            "generated": proof.generated,
            "layers": proof.layers,
        },
    )
