"""Energy per request by load and policy: a model, not a measurement.

As the load sweep (Llama-2-70B on two A100s, chat requests), with the power model of `kvopt.hardware.energy`: the power
limit of two A100-SXM (800 W) at full utilisation, 60 W and 100 W idle on each as two guesses, since no maker
publishes it. Utilisation is the share of an iteration that is not fixed overhead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvopt.experiments.experiment import Experiment, Row, figures, mean
from kvopt.experiments.workload import chat_limit, run_chat
from kvopt.hardware import GPUS, PowerModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICIES = ("fcfs", "mc-sf", "svf", "vllm-fcfs")
GPU_COUNT = 2
IDLE_W = (60, 100)


def cells(seed: int, quick: bool) -> list[Row]:
    """Every policy at each load, the same requests for all."""
    loads = (0.2, 0.6, 1.2) if quick else (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
    limit = chat_limit()
    return [
        {"load": load, "rate": load * limit, "requests": 3_000 if quick else 12_000, "policy": policy, "seed": seed + k}
        for load in loads
        for k in range(1 if quick else 3)
        for policy in POLICIES
    ]


def measure(cell: Row) -> Row:
    """One run, with joules per request for each idle power."""
    result = run_chat(cell)
    row = figures(result)
    limit_w = GPUS["A100-80GB"].power_w
    assert limit_w is not None
    for idle_w in IDLE_W:
        energy = result.energy_j(PowerModel(GPU_COUNT * idle_w, GPU_COUNT * limit_w))
        row[f"request_j_idle_{idle_w}_w"] = energy / result.done
    row["busy_share"] = result.busy / result.duration
    return row


def draw(rows: Sequence[Row]) -> Figure:
    """Joules per request over the load, a panel for each idle power."""
    from kvopt.plot.canvas import Picture
    from kvopt.plot.curves import curves

    figure = Picture(figsize=(10.0, 4.2), layout="constrained")
    for ax, idle_w in zip(figure.subplots(1, 2, sharey=True).tolist(), IDLE_W, strict=True):
        curves(rows, "load", f"request_j_idle_{idle_w}_w", "policy", ax=ax)
        ax.set_title(f"{idle_w} W idle on each GPU", loc="left", fontsize="medium")
        ax.set_xlabel("arrival rate over the fluid limit of memory")
        ax.legend(fontsize="small")
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[0].set_ylabel("joules per request (model)")
    return figure


def findings(rows: Sequence[Row]) -> list[str]:
    """Joules per request at the ends of the range of loads."""
    found = []
    loads = sorted({row["load"] for row in rows})
    for idle_w in IDLE_W:
        for load in (loads[0], loads[-1]):
            key = f"request_j_idle_{idle_w}_w"
            means = [(policy, mean(rows, key, policy=policy, load=load)) for policy in POLICIES]
            found.append(
                f"{idle_w} W idle, load {load:g}: joules per request "
                + ", ".join(f"{policy} {value:,.0f}" for policy, value in means if value)
            )
    return found


EXPERIMENT = Experiment("Energy per request (model)", cells, measure, draw, findings)
