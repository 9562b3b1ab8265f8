"""When each request waits and when it runs: a row for each."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from kvopt.model import IntArray, Result, Schedule, exact_sum
from kvopt.plot.blocks import schedule_of, title
from kvopt.plot.canvas import axes, literal, rounds_axis, whole_numbers

#: Up to this many rows carry the label of their request.
LABELS_MAX = 40


def waiting(schedule: Schedule | Result, ax: Axes | None = None) -> Axes:
    """Draw for each request the rounds it waits (light) and the rounds it runs (dark), in order of completion.

    The two areas together are the total latency.

    Parameters
    ----------
    schedule : Schedule or Result
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For a result without a schedule.
    """
    plan = schedule_of(schedule)
    instance = plan.instance
    labelled = instance.n <= LABELS_MAX
    ax = axes(ax, 9.0, max(3.0, 0.17 * instance.n) if labelled else 4.0)
    order = np.lexsort((plan.starts, plan.completions))
    edge = 0.8 if labelled else 0.0
    arrival, start, completion = (column[order] for column in (instance.arrival, plan.starts, plan.completions))
    for left, right, colour, verb in ((arrival, start, "#f0e0b0", "waits"), (start, completion, "#0072b2", "runs")):
        label = f"{verb} ({exact_sum(right - left):,} rounds)"
        corners = bars(left, right) if labelled else [strip(left, right)]
        faces = PolyCollection(corners, facecolors=colour, edgecolors="black", linewidths=edge, label=label)
        ax.add_collection(faces, autolim=False)
    rounds_axis(ax, plan.makespan)
    ax.set_ylim(instance.n, 0)
    whole_numbers(ax)
    if labelled:
        labels = [literal(instance.label(i)) for i in order.tolist()]
        ax.set_yticks(np.arange(instance.n) + 0.5, labels, fontsize="small" if instance.n <= 20 else "x-small")
    ax.set_ylabel("request" if labelled else "requests in order of completion")
    ax.set_title(title(schedule), loc="left", fontsize="medium")
    ax.legend(loc="upper right", fontsize="small")
    return ax


def bars(left: IntArray, right: IntArray) -> list[np.ndarray]:
    """Corners of one bar a row, n arrays of shape (4, 2)."""
    row = np.arange(len(left))
    corners = [(left, row), (right, row), (right, row + 1), (left, row + 1)]
    return list(np.stack([np.column_stack(corner) for corner in corners], axis=1))


def strip(left: IntArray, right: IntArray) -> np.ndarray:
    """All bars as one polygon, shape (4 n, 2): as many requests as there may be."""
    rows = np.repeat(np.arange(len(left) + 1), 2)[1:-1]
    down = np.column_stack((np.repeat(left, 2), rows))
    up = np.column_stack((np.repeat(right, 2), rows))
    return np.concatenate((down, up[::-1]))
