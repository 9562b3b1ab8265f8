"""Ablation of the exact engine: the proof alone, the optimum given as its threshold, with one part left out at a time.

A row is an instance and a variant. Counted are the children that the rules let through, the labels kept after
dominance, and the processor seconds of the bounds and of the pass. A variant that makes more than `MOST`
children is ended.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

import numpy as np

from kvopt.bounds.prices import MemoryPrices, memory_prices
from kvopt.exact.relaxation import MEDIUM, relax
from kvopt.exact.search import Rules, Search
from kvopt.experiments.experiment import Experiment, Row
from kvopt.generate import generate
from kvopt.model import Instance, Result
from kvopt.monitor import Monitor
from kvopt.solving import solve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Smaller figures count as these: proofs without labels, passes within the clock's noise.
LEAST = {"labels": 1, "search_s": 0.002}
#: Children after which a variant is ended.
MOST = 3_000_000


@dataclass(frozen=True)
class Variant:
    """What a pass uses."""

    prices: bool = True
    relaxation: bool = True
    rules: Rules = field(default_factory=Rules)


VARIANTS: dict[str, Variant] = {
    "all": Variant(),
    "no relaxation": Variant(relaxation=False),
    "no memory prices": Variant(prices=False),
    "no bounds": Variant(prices=False, relaxation=False),
    "no gap rule": Variant(rules=Rules(gap=False)),
    "no shift rule": Variant(rules=Rules(shift=False)),
    "no time shift in dominance": Variant(rules=Rules(time_shift=False)),
}


def cells(seed: int, quick: bool) -> list[Row]:
    """Every variant on instances with few types and with all requests different."""
    sizes = [("types", 2, 20), ("different", 8, 8)]
    if not quick:
        sizes += [
            ("types", 3, 20),
            ("types", 3, 40),
            ("different", 10, 10),
            ("types", 4, 20),
            ("different", 12, 12),
            ("different", 14, 14),
        ]
    return [
        {"family": family, "types": types, "requests": requests, "seed": seed + k, "variant": variant}
        for family, types, requests in sizes
        for k in range(1 if quick else 3)
        for variant in VARIANTS
    ]


@cache
def solved(family: str, types: int, requests: int, seed: int) -> Result:
    """The instance with its optimum."""
    parameters: dict[str, Any] = {"requests": requests} | ({"types": types} if family == "types" else {})
    return solve(generate(family, seed=seed, **parameters), "dp")


def measure(cell: Row) -> Row:
    """One pass that proves that nothing is below the optimum."""
    result = solved(cell["family"], cell["types"], cell["requests"], cell["seed"])
    instance, optimum = result.instance, result.total_latency
    assert optimum is not None
    variant = VARIANTS[cell["variant"]]
    monitor = Monitor(instance)
    begun = time.process_time()
    search = search_of(instance, variant, optimum, monitor)
    bounded = time.process_time()
    done = search.run(optimum, budget=MOST)
    return {
        "optimum": optimum,
        "root_bound": search.ceiling(search.root_bound),
        "proved": done.complete,
        "children": done.generated,
        "labels": done.kept,
        "bounds_s": round(bounded - begun, 4),
        "search_s": round(time.process_time() - bounded, 4),
    }


def search_of(instance: Instance, variant: Variant, optimum: int, monitor: Monitor) -> Search:
    """The search of a variant."""
    prices = memory_prices(instance) if variant.prices else MemoryPrices(np.zeros(0, dtype=np.int64), 2**20)
    search = Search(instance, prices, monitor, variant.rules)
    if variant.relaxation:
        given = (instance, search.scale, search.least_priced_cost, optimum, MEDIUM, monitor)
        search.relaxation = relax(*given, all_types=True) or relax(*given)
    return search


def factors(rows: Sequence[Row], key: str) -> dict[str, list[float]]:
    """For each variant, its figure over that of "all" on each instance that both proved."""
    whole = {same(row): row for row in rows if row["variant"] == "all" and row["proved"]}
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS if variant != "all"}
    for row in rows:
        base = whole.get(same(row))
        if row["variant"] != "all" and row["proved"] and base is not None:
            found[row["variant"]].append(max(row[key], LEAST[key]) / max(base[key], LEAST[key]))
    return found


def same(row: Row) -> tuple[str, int, int, int]:
    """What tells instances apart."""
    return row["family"], row["types"], row["requests"], row["seed"]


def draw(rows: Sequence[Row]) -> Figure:
    """Labels of each variant over those of the full method, a dot for each instance."""
    from kvopt.plot.canvas import Picture

    figure = Picture(figsize=(8.0, 3.6), layout="constrained")
    ax = figure.subplots()
    found = factors(rows, "labels")
    for place, values in enumerate(found.values()):
        ax.plot(values, [place] * len(values), "o", color="0.2", alpha=0.6)
        if values:
            ax.plot([geometric_mean(values)], [place], "|", color="black", markersize=22, markeredgewidth=2)
    ax.set_yticks(range(len(found)), list(found))
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlabel("labels kept, over those of the full method (bar: geometric mean)")
    return figure


def findings(rows: Sequence[Row]) -> list[str]:
    """What each part brings."""
    labels, seconds = factors(rows, "labels"), factors(rows, "search_s")
    instances = len({same(row) for row in rows})
    said = []
    for variant, values in labels.items():
        if values:
            said.append(
                f"{variant}: {len(values)} of {instances} proved within {MOST:,} children; "
                f"{geometric_mean(values):.1f} times the labels, "
                f"{geometric_mean(seconds[variant]):.1f} times the seconds of the pass"
            )
        else:
            said.append(f"{variant}: none of {instances} proved within {MOST:,} children")
    return said


EXPERIMENT = Experiment(
    title="What each part of the exact engine brings",
    cells=cells,
    measure=measure,
    draw=draw,
    findings=findings,
)
