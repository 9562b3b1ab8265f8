"""How far MC-SF is from the optimum on the two synthetic models of arXiv 2502.07115: certified intervals.

The optimum lies between the certified bound and the best schedule of the exact search under a time limit, so MC-SF
over the optimum lies between MC-SF over the one and over the other.
Published, over 200 instances each: mean 1.005 and worst 1.074 (model 1, exact ties 114), mean 1.047 and worst 1.227
(model 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvopt import verify
from kvopt.errors import SolverError
from kvopt.experiments.experiment import Experiment, Row
from kvopt.generate import generate
from kvopt.model import Result
from kvopt.solving import solve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Instances of each model, and seconds for each.
INSTANCES, TIME_LIMIT_S = 10, 30.0
QUICK_INSTANCES, QUICK_TIME_LIMIT_S = 3, 1.0
MEMORY_LIMIT_GB = 2.0
#: Published ratios of MC-SF over the hindsight optimum: mean and worst.
PUBLISHED = {"model1": (1.005, 1.074), "model2": (1.047, 1.227)}


def cells(seed: int, quick: bool) -> list[Row]:
    """Seeds seed + 1, seed + 2, ... of both models; with seed 0 the instances of the library."""
    count, limit_s = (QUICK_INSTANCES, QUICK_TIME_LIMIT_S) if quick else (INSTANCES, TIME_LIMIT_S)
    return [
        {"model": model, "seed": seed + k, "time_limit_s": limit_s} for model in PUBLISHED for k in range(1, count + 1)
    ]


def measure(cell: Row) -> Row:
    """MC-SF, the best schedule and the certified bound of one instance.

    Not the same from run to run: the limit is in seconds, so a faster machine gives narrower intervals.

    Raises
    ------
    KeyboardInterrupt
        If the solver was interrupted: half a run is no row.
    SolverError
        If the verifier refuses the certificate.
    """
    instance = generate(cell["model"], seed=cell["seed"])
    shortest_first = solve(instance, "mc-sf").total_latency
    result = solve(instance, "dp", time_limit_s=cell["time_limit_s"], memory_limit_gb=MEMORY_LIMIT_GB, workers=1)
    if result.statistics.get("stopped_by") == "interrupted":
        raise KeyboardInterrupt
    best, bound = result.total_latency, certified_bound(result)
    assert best is not None
    assert shortest_first is not None
    return {
        "requests": instance.n,
        "capacity": instance.capacity,
        "mc_sf": shortest_first,
        "best": best,
        "bound": bound,
        "ratio_at_least": shortest_first / best,
        "ratio_at_most": shortest_first / bound,
        "gap": (best - bound) / bound,
    }


def certified_bound(result: Result) -> int:
    """The lower bound of a result, from its certificate.

    Raises
    ------
    SolverError
        If the verifier refuses it.
    """
    bound = verify.verify(result).lower_bound
    if bound is None:
        raise SolverError(f"no certified bound for {result.instance!r}")
    return bound


def draw(rows: Sequence[Row]) -> Figure:
    """The interval of each instance, by model, sorted by its lower end."""
    from kvopt.plot.canvas import Picture

    figure = Picture(figsize=(10.0, 4.4), layout="constrained")
    panels = figure.subplots(1, len(PUBLISHED), sharey=True).tolist()
    for ax, (model, published) in zip(panels, PUBLISHED.items(), strict=True):
        here = sorted((row for row in rows if row["model"] == model), key=lambda row: row["ratio_at_least"])
        intervals(ax, here)
        ax.axhline(published[0], color="#0072b2", linestyle=(0, (6, 1.5)), linewidth=1.4, label="mean as published")
        ax.axhline(published[1], color="#0072b2", linestyle=(0, (1.2, 1.2)), linewidth=1.4, label="worst as published")
        ax.set_title(f"{model}: {len(here)} instances", loc="left", fontsize="medium")
        ax.set_xlabel("instances, by MC-SF / best schedule")
        ax.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("MC-SF / optimum lies within")
    panels[0].legend(fontsize="small", frameon=False, loc="upper left")
    return figure


def intervals(ax: Axes, rows: Sequence[Row]) -> None:
    """A bar from the proved least to the proved greatest ratio of each row."""
    low, high = [row["ratio_at_least"] for row in rows], [row["ratio_at_most"] for row in rows]
    ax.vlines(range(1, len(rows) + 1), low, high, color="#e69f00", linewidth=5, label="certified interval")
    ax.plot(range(1, len(rows) + 1), low, "_", color="black", markersize=9, label="MC-SF / best schedule")
    ax.set_xticks([])


def findings(rows: Sequence[Row]) -> list[str]:
    """Means and worst, ties, certified gaps."""
    found = []
    for model, (published, published_worst) in PUBLISHED.items():
        here = [row for row in rows if row["model"] == model]
        if not here:
            continue
        low, high, gap = (
            sum(row[key] for row in here) / len(here) for key in ("ratio_at_least", "ratio_at_most", "gap")
        )
        worst, most = (max(row[key] for row in here) for key in ("ratio_at_least", "ratio_at_most"))
        beaten = sum(row["best"] < row["mc_sf"] for row in here)
        found.append(
            f"{model}: mean of MC-SF / optimum within {low:.3f} .. {high:.3f} (published {published}), worst within "
            f"{worst:.3f} .. {most:.3f} (published {published_worst}); MC-SF beaten on {beaten} of {len(here)}; "
            f"mean certified gap {100 * gap:.1f} % after {here[0]['time_limit_s']:g} s"
        )
    return found


EXPERIMENT = Experiment("MC-SF against certified optima on the published models", cells, measure, draw, findings)
