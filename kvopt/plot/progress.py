"""How incumbent and bound of a run came together."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from kvopt.errors import InputError
from kvopt.model import Result
from kvopt.plot.canvas import axes, literal, whole_numbers
from kvopt.rounding import percent

#: Runs whose improvements spread over more than this ratio of times get a logarithmic axis.
LOG_RATIO = 30.0
#: Smallest time drawn on a logarithmic axis, the resolution of the record.
LEAST_S = 1e-4


def trajectory(result: Result, ax: Axes | None = None) -> Axes:
    """Draw the best total latency and the best lower bound of a run over time, the gap between them shaded.

    Parameters
    ----------
    result : Result
        With ``statistics["trajectory"]``, rows of (seconds, incumbent, bound).
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For a result without a recorded trajectory.
    """
    rows = [tuple(row) for row in result.statistics.get("trajectory", [])]
    if not rows:
        raise InputError(f"the result of {result.solver} records no trajectory")
    end_s = max(result.runtime_s or 0.0, rows[-1][0])
    rows.append((end_s, result.total_latency, result.lower_bound))
    ax = axes(ax)
    first_s = max(LEAST_S, rows[0][0])
    if end_s > LOG_RATIO * first_s:
        ax.set_xscale("log")
        rows = [(max(LEAST_S, seconds), incumbent, bound) for seconds, incumbent, bound in rows]
    upper = [(seconds, incumbent) for seconds, incumbent, _ in rows if incumbent is not None]
    lower = [(seconds, bound) for seconds, _, bound in rows if bound is not None]
    both = [row for row in rows if row[1] is not None and row[2] is not None]
    if both:
        seconds, tops, bottoms = zip(*both, strict=True)
        ax.fill_between(
            seconds, bottoms, tops, step="post", facecolor="0.9", edgecolor="0.75", hatch="///", linewidth=0
        )
    if upper:
        ax.step(
            *zip(*upper, strict=True), where="post", color="black", marker="o", markersize=3.5, label="best schedule"
        )
    if lower:
        style: dict[str, Any] = {"color": "#0072b2", "linestyle": "--", "marker": "s", "markersize": 3.5}
        ax.step(*zip(*lower, strict=True), where="post", label="lower bound", **style)
    whole_numbers(ax, "y")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("seconds")
    ax.set_ylabel("total latency in rounds")
    gap = "" if result.gap is None else f", gap {percent(result.gap)}"
    head = literal(f"{result.instance.name}, {result.solver}")
    ax.set_title(f"{head}: {result.status}{gap}", loc="left", fontsize="medium")
    ax.legend(fontsize="small")
    return ax
