"""Many requests in one picture: memory held by each class, and columns of rounds where rounds are too many."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from kvopt.errors import InputError
from kvopt.model import FloatArray, Instance, IntArray, Schedule
from kvopt.plot.classes import HATCHES, Classes

#: Up to this many rounds each has a column of its own.
SINGLE_ROUNDS_MAX = 600
#: Columns of a longer schedule; many more turn the line of the total into a black bar.
COLUMNS = 200
#: Longest schedule whose memory is summed up round by round (0.4 GB an array).
ROUNDS_MAX = 50_000_000


def draw_bands(ax: Axes, plan: Schedule, groups: Classes) -> None:
    """Stack the mean memory of each class over each column; a line for the total, a dotted one for its peaks."""
    edges = columns(plan.makespan)
    floor = np.zeros(len(edges) - 1)
    for k in range(len(groups)):
        top = floor + column_means(class_memory(plan, groups.of_request == k), edges)
        ax.fill_between(
            edges,
            closed(floor),
            closed(top),
            step="post",
            facecolor=groups.colour(k),
            edgecolor=groups.hatch_colour(k),
            hatch=HATCHES[k],
            linewidth=0,
            zorder=1,
        )
        floor = top
    ax.stairs(floor, edges, color="black", linewidth=0.8, baseline=None, zorder=3)
    ax.set_ylabel(tokens_label(edges))
    if len(edges) <= plan.makespan:
        most = np.maximum.reduceat(plan.memory, edges[:-1])
        dots: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (1, 1.5))}
        ax.stairs(most, edges, baseline=None, zorder=3, label="most held in a round of the column", **dots)


def class_memory(plan: Schedule, members: npt.NDArray[np.bool_]) -> IntArray:
    """Tokens held by some of the requests in each round, shape (makespan,)."""
    whole = plan.instance
    part = Instance(capacity=whole.capacity, prompt=whole.prompt[members], output=whole.output[members])
    held = Schedule(part, plan.starts[members]).memory
    return np.pad(held, (0, plan.makespan - len(held)))


def columns(makespan: int) -> IntArray:
    """Edges of the columns: whole rounds, widths that differ by at most one; InputError beyond `ROUNDS_MAX`."""
    if makespan > ROUNDS_MAX:
        raise InputError(f"a schedule of {makespan:,} rounds is too long to draw; {ROUNDS_MAX:,} are the most")
    count = makespan if makespan <= SINGLE_ROUNDS_MAX else COLUMNS
    return np.array([k * makespan // count for k in range(count + 1)])


def column_means(per_round: IntArray, edges: IntArray) -> FloatArray:
    """Mean of a figure over the rounds of each column."""
    return np.add.reduceat(per_round, edges[:-1]) / np.diff(edges)


def tokens_label(edges: IntArray) -> str:
    """Name of the vertical axis: tokens held, and over how many rounds they are averaged."""
    widths = np.diff(edges)
    least, most = int(widths.min()), int(widths.max())
    if most == 1:
        return "tokens held"
    return f"tokens held (mean of {'' if least == most else 'about '}{most:,} rounds)"


def closed(heights: FloatArray) -> FloatArray:
    """Heights with the last repeated, as filled steps want it."""
    return np.append(heights, heights[-1])
