"""MC-SF against clearing heuristics on chat requests, as in the experiments of arXiv 2502.07115.

Llama-2-70B on two A100s (their iteration time, M = 16,492), LMSYS-like lengths, Poisson 50/s and 10/s, mean latency
over the number of requests. Published: MC-SF 32.11 s, its first-come-first-served benchmark 46.47 s (the number of
requests was not at hand; 1,000 at 50/s give both); latency grows by 1/6 against 1/2 (50/s) and 1/800 against
1/100 (10/s) of a unit that was not at hand. Lengths here match public summary figures, not the trace itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvopt.experiments.experiment import Experiment, Row, figures
from kvopt.experiments.workload import run_chat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The reported configurations.
CONFIGURATIONS = (
    "alpha-greedy:alpha=0.3",
    "alpha-greedy:alpha=0.25",
    "alpha-beta-clearing:alpha=0.2,beta=0.2",
    "alpha-beta-clearing:alpha=0.2,beta=0.1",
    "alpha-beta-clearing:alpha=0.1,beta=0.2",
    "alpha-beta-clearing:alpha=0.1,beta=0.1",
)
POLICIES = ("mc-sf", "fcfs", *CONFIGURATIONS)
RATES = (50.0, 10.0)
#: Published means of MC-SF and of first come, first served; measured here at so many requests and 50/s.
PUBLISHED = {"mc-sf": 32.11, "fcfs": 46.47}
PUBLISHED_REQUESTS = 1_000


def cells(seed: int, quick: bool) -> list[Row]:
    """Every policy at both rates for growing numbers of requests, several seeds."""
    sizes = (200, 600, 1_000) if quick else (200, 600, 1_000, 2_000, 4_000, 7_000, 10_000)
    return [
        {"rate": rate, "requests": n, "policy": policy, "seed": seed + k}
        for rate in RATES
        for n in sizes
        for k in range(1 if quick else 5)
        for policy in POLICIES
    ]


def measure(cell: Row) -> Row:
    """One run."""
    return figures(run_chat(cell))


def draw(rows: Sequence[Row]) -> Figure:
    """Mean latency over the number of requests, a panel for each rate."""
    from kvopt.plot.canvas import Picture
    from kvopt.plot.curves import curves

    figure = Picture(figsize=(10.0, 4.6), layout="constrained")
    for ax, rate in zip(figure.subplots(1, 2).tolist(), RATES, strict=True):
        here = [row for row in rows if row["rate"] == rate]
        if here:
            curves(here, "requests", "mean_latency_s", "policy", ax=ax)
        ax.set_title(f"Poisson {rate:g}/s", loc="left", fontsize="medium")
        ax.set_xlabel("requests")
        ax.set_ylabel("mean latency in s")
        ax.set_ylim(bottom=0)
        if rate == RATES[0]:
            at = [PUBLISHED_REQUESTS] * len(PUBLISHED)
            mark = {"linestyle": "", "marker": "x", "color": "black", "markersize": 9, "markeredgewidth": 2}
            ax.plot(at, list(PUBLISHED.values()), label="published means of fcfs and mc-sf", zorder=9, **mark)
            ax.legend(fontsize="x-small", loc="upper left")
    return figure


def slope(rows: Sequence[Row], policy: str, rate: float) -> float | None:
    """Seconds of mean latency per further request, least squares over the upper sizes; None if a run did not finish."""
    here = [row for row in rows if row["policy"] == policy and row["rate"] == rate]
    here = [row for row in here if 3 * row["requests"] >= max(other["requests"] for other in here)]
    if len({row["requests"] for row in here}) < 2 or any(row["mean_latency_s"] is None for row in here):
        return None
    x, y = (np.array([row[key] for row in here], dtype=float) for key in ("requests", "mean_latency_s"))
    return float(np.polyfit(x, y, 1)[0])


def findings(rows: Sequence[Row]) -> list[str]:
    """Means at the published point, slopes, and who never finished."""
    found = []
    for policy, published in PUBLISHED.items():
        at = {"policy": policy, "rate": 50.0, "requests": PUBLISHED_REQUESTS}
        values = [row["mean_latency_s"] for row in rows if at.items() <= row.items()]
        if values and None not in values:
            average = sum(values) / len(values)
            error = 100 * (average / published - 1)
            found.append(
                f"{policy}, {PUBLISHED_REQUESTS:,} requests at 50/s: mean latency {average:.2f} s, seeds "
                f"{min(values):.2f} to {max(values):.2f} (published {published}, {error:+.1f} %)"
            )
    for rate in RATES:
        known = [(policy, slope(rows, policy, rate)) for policy in POLICIES]
        shown = [f"{policy} 1/{1 / value:,.0f}" for policy, value in known if value]
        found.append(f"{rate:g}/s, seconds of mean latency per further request (upper sizes): {', '.join(shown)}")
    stuck = sorted({row["policy"] for row in rows if row["mean_latency_s"] is None})
    found += [f"{policy} does not end on some runs: it evicts the same requests for ever" for policy in stuck]
    return found


EXPERIMENT = Experiment("MC-SF against clearing heuristics on chat requests", cells, measure, draw, findings)
