"""Latency of policies from low load to overload, on chat requests.

Llama-2-70B on two A100s (iteration time used with arXiv 2502.07115, M = 16,492), LMSYS-like lengths, Poisson
arrivals at multiples of the fluid limit of memory (`kvopt.fluid.stability`). No token budget: whole prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvopt.experiments.experiment import Experiment, Row, figures, mean
from kvopt.experiments.workload import chat_limit, run_chat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICIES = ("fcfs", "mc-sf", "svf", "sorted-f", "vllm-fcfs")


def cells(seed: int, quick: bool) -> list[Row]:
    """Every policy at each load, the same requests for all."""
    loads = (0.4, 0.8, 1.2) if quick else (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3)
    limit = chat_limit()
    return [
        {"load": load, "rate": load * limit, "requests": 3_000 if quick else 6_000, "policy": policy, "seed": seed + k}
        for load in loads
        for k in range(1 if quick else 3)
        for policy in POLICIES
    ]


def measure(cell: Row) -> Row:
    """One run."""
    return figures(run_chat(cell))


def draw(rows: Sequence[Row]) -> Figure:
    """Mean latency and time to the first token over the load, both logarithmic."""
    from kvopt.plot.canvas import Picture
    from kvopt.plot.curves import curves

    figure = Picture(figsize=(10.0, 4.4), layout="constrained")
    panels = (("mean_latency_s", "mean latency in s"), ("mean_first_token_s", "mean time to the first token in s"))
    for ax, (key, label) in zip(figure.subplots(1, 2, sharex=True).tolist(), panels, strict=True):
        curves(rows, "load", key, "policy", ax=ax)
        ax.axvline(1.0, color="#999999", linewidth=0.8)
        ax.set_yscale("log")
        ax.set_xlabel("arrival rate over the fluid limit of memory")
        ax.set_ylabel(label)
        ax.legend(fontsize="small", loc="upper left")
    return figure


def findings(rows: Sequence[Row]) -> list[str]:
    """Mean latencies at the highest load below the limit and beyond, and what each policy sustains."""
    loads = sorted({row["load"] for row in rows})
    shown = [max(load for load in loads if load < 1), loads[-1]]
    found = [f"fluid limit {rows[0]['rate'] / rows[0]['load']:.3f} requests/s"]
    for load in shown:
        means = [(policy, mean(rows, "mean_latency_s", policy=policy, load=load)) for policy in POLICIES]
        found.append(
            f"load {load:g}: mean latency " + ", ".join(f"{policy} {value:.1f} s" for policy, value in means if value)
        )
    sustained = [(policy, mean(rows, "sustained_per_s", policy=policy, load=loads[-1])) for policy in POLICIES]
    found.append(
        f"completed per second at load {loads[-1]:g}: "
        + ", ".join(f"{policy} {value:.2f}" for policy, value in sustained if value)
    )
    return found


EXPERIMENT = Experiment("Latency from low load to overload", cells, measure, draw, findings)
