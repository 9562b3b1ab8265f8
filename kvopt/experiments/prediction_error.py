"""What errors in predicted outputs cost, on chat requests near the limit.

Llama-2-70B on two A100s (iteration time used with arXiv 2502.07115, M = 16,492), LMSYS-like lengths, Poisson at 95 % of
the fluid limit of memory. Three kinds of error: noise (log-normal, too short as often as too long), factors (all
too long), intervals; policies that ask for no prediction are drawn for comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kvopt.experiments.experiment import Experiment, Row, figures, mean
from kvopt.experiments.workload import chat_limit, run_chat
from kvopt.online import Interval, Noisy, Over

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kvopt.online.predictions import Predictions

LOAD = 0.95
KINDS: dict[str, Callable[[float], Predictions]] = {"noise": Noisy, "factor": Over, "interval": Interval}
AXES = {
    "noise": "standard deviation of ln(predicted / true)",
    "factor": "predicted / true",
    "interval": "relative width x of the interval",
}
POLICIES = {
    "noise": ("mc-sf", "svf", "fcfs", "vllm-fcfs"),
    "factor": ("mc-sf", "svf", "fcfs", "vllm-fcfs"),
    "interval": ("a-max", "a-min", "vllm-fcfs"),
}
#: In the order of line styles.
NAMES = ("fcfs", "mc-sf", "svf", "vllm-fcfs", "a-max", "a-min")
SIZES = {
    "noise": (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5),
    "factor": (1.0, 1.25, 1.5, 2.0, 3.0, 4.0),
    "interval": (0.0, 0.25, 0.5, 1.0, 2.0, 3.0),
}


def cells(seed: int, quick: bool) -> list[Row]:
    """Every policy for each kind and size of error, the same requests for all."""
    rate = LOAD * chat_limit()
    return [
        {
            "error": kind,
            "size": size,
            "policy": policy,
            "rate": rate,
            "requests": 3_000 if quick else 12_000,
            "seed": seed + k,
        }
        for kind in KINDS
        for size in (SIZES[kind][::3] if quick else SIZES[kind])
        for k in range(1 if quick else 5)
        for policy in POLICIES[kind]
    ]


def measure(cell: Row) -> Row:
    """One run."""
    return figures(run_chat(cell, KINDS[cell["error"]](cell["size"])))


def draw(rows: Sequence[Row]) -> Figure:
    """Mean latency over the size of the error, a panel for each kind."""
    from kvopt.plot.canvas import Picture
    from kvopt.plot.curves import curves

    figure = Picture(figsize=(12.0, 4.2), layout="constrained")
    for ax, kind in zip(figure.subplots(1, 3, sharey=True).tolist(), KINDS, strict=True):
        here = [row for row in rows if row["error"] == kind]
        if here:
            curves(here, "size", "mean_latency_s", "policy", NAMES, ax)
            ax.legend(fontsize="small", loc="upper left")
        ax.set_title(kind, loc="left", fontsize="medium")
        ax.set_xlabel(AXES[kind])
        ax.set_yscale("log")
    figure.axes[0].set_ylabel("mean latency in s")
    return figure


def findings(rows: Sequence[Row]) -> list[str]:
    """Mean latency without error and with the largest of each kind."""
    found = []
    for kind in KINDS:
        sizes = sorted({row["size"] for row in rows if row["error"] == kind})
        for policy in POLICIES[kind]:
            least, most = (mean(rows, "mean_latency_s", error=kind, policy=policy, size=sizes[k]) for k in (0, -1))
            evicted = mean(rows, "evictions", error=kind, policy=policy, size=sizes[-1])
            if least is not None and most is not None and (policy != "vllm-fcfs" or kind == "noise"):
                found.append(
                    f"{kind} {sizes[0]:g} to {sizes[-1]:g}: {policy} {least:.1f} s to {most:.1f} s, "
                    f"{evicted:,.0f} evictions at the end"
                )
    return found


EXPERIMENT = Experiment("What errors in predicted outputs cost", cells, measure, draw, findings)
