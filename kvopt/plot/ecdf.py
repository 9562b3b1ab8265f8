"""Distribution of latencies, one curve for each schedule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from kvopt.errors import InputError
from kvopt.model import FloatArray, IntArray, Result, Schedule
from kvopt.plot.blocks import schedule_of
from kvopt.plot.canvas import axes, line_styles, literal, whole_numbers

#: Most steps of a curve.
STEPS_MAX = 2_000


def latencies(schedules: Mapping[str, Schedule | Result], ax: Axes | None = None) -> Axes:
    """Draw which part of the requests has a latency of at most x rounds.

    The area to the left of a curve is the average latency, given in the legend.

    Parameters
    ----------
    schedules : mapping of str to Schedule or Result
        Name in the legend -> schedule.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For no schedule at all.
    """
    plans = {name: schedule_of(source) for name, source in schedules.items()}
    if not plans:
        raise InputError("no schedule to draw")
    ax = axes(ax)
    longest = max(int(plan.latencies.max()) for plan in plans.values())
    for (name, plan), style in zip(plans.items(), line_styles(), strict=False):
        share, edges = shares(plan.latencies, longest)
        label = f"{literal(name)} (average {float(plan.average_latency):,.2f})"
        ax.stairs(share, edges, baseline=None, linewidth=1.8, label=label, **style)
    ax.set_xlim(0, longest * 1.008)
    ax.set_ylim(0, 1.02)
    whole_numbers(ax, "x")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("latency in rounds")
    ax.set_ylabel("requests completed within it")
    ax.legend(loc="lower right", fontsize="small")
    return ax


def shares(values: IntArray, longest: int) -> tuple[FloatArray, FloatArray]:
    """Heights and edges of the distribution curve from 0 to beyond `longest`, which is at least every value.

    With very many different values the heights are means over `STEPS_MAX` equal stretches: the area stays.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= STEPS_MAX:
        return np.append(0.0, np.cumsum(counts) / len(values)), np.append(0.0, [*distinct, 2.0 * longest])
    edges = np.linspace(0, longest, STEPS_MAX + 1)
    below = np.searchsorted(distinct, edges, side="right")
    number, total = (np.append(0, np.cumsum(part))[below] for part in (counts, counts * distinct))
    area = (number * edges - total) / len(values)  # of the curve up to each edge
    return np.append(np.diff(area) / np.diff(edges), 1.0), np.append(edges, 2.0 * longest)
