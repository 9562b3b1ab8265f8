"""Distribution of latencies, one curve for each schedule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from kvopt.errors import InputError
from kvopt.model import Result, Schedule
from kvopt.plot.blocks import schedule_of
from kvopt.plot.canvas import axes, line_styles, whole_numbers


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
        values, counts = np.unique(plan.latencies, return_counts=True)
        share = np.cumsum(counts) / plan.instance.n
        label = f"{name} (average {float(plan.average_latency):,.2f})"
        # From (0, 0), and on beyond the right end of the picture once all are done.
        steps = ([0, *share], [0, *values, 2 * longest])
        ax.stairs(*steps, baseline=None, linewidth=1.8, label=label, **style)
    ax.set_xlim(0, longest * 1.008)
    ax.set_ylim(0, 1.02)
    whole_numbers(ax, "x")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("latency in rounds")
    ax.set_ylabel("requests completed within it")
    ax.legend(loc="lower right", fontsize="small")
    return ax
