"""The picture of a schedule: every request a staircase under the capacity line."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from kvopt.errors import InputError
from kvopt.model import IntArray, Result, Schedule, exact_sum
from kvopt.plot.bands import draw_bands
from kvopt.plot.canvas import axes, capacity_line, legend_below, literal, rounds_axis, whole_numbers
from kvopt.plot.classes import HATCHES, Classes, classes
from kvopt.plot.stack import stacked, stacking_order, torn

#: More requests, or rounds of all their runs, are drawn as bands of classes, not one by one.
BLOCKS_MAX, STEPS_MAX = 400, 1_000_000
#: Up to this many requests, blocks carry the label of their request where it fits: once, twice if torn.
LABELS_MAX, LABELS_PER_BLOCK, LABEL_POINTS = 40, 2, 8.5
#: Up to this many rounds and tokens, single rounds and tokens are ruled off.
RULED_MAX = 24
IDLE = "#f0f0f0"


def schedule(schedule: Schedule | Result, ax: Axes | None = None) -> Axes:
    """Draw a schedule as staircase blocks under the capacity line.

    In its j-th round a request is prompt + j tokens high. Requests are stacked without gaps, so the upper contour is
    the memory held and everything grey above it is idle. Above `BLOCKS_MAX` requests the classes of the legend are
    drawn as bands, as means over equal stretches of rounds where the schedule is long: areas stay token-rounds.

    Parameters
    ----------
    schedule : Schedule or Result
    ax : matplotlib Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For a result without a schedule, or a schedule longer than `bands.ROUNDS_MAX`.
    """
    plan = schedule_of(schedule)
    ax = axes(ax, 9.0, 4.4)
    groups = classes(plan.instance)
    capacity = plan.instance.capacity
    rounds_axis(ax, plan.makespan)
    ax.set_ylim(0, capacity * 1.08)
    ax.set_ylabel("tokens held")
    ax.fill_between([0, plan.makespan], capacity, color=IDLE, linewidth=0, zorder=0)
    if plan.instance.n <= BLOCKS_MAX and exact_sum(plan.instance.output) <= STEPS_MAX:
        draw_blocks(ax, plan, groups)
    else:
        draw_bands(ax, plan, groups)
    capacity_line(ax, capacity)
    whole_numbers(ax)
    ax.set_title(title(schedule), loc="left", fontsize="medium")
    keys = [
        Patch(facecolor=groups.colour(k), hatch=HATCHES[k], edgecolor=groups.hatch_colour(k), label=label)
        for k, label in enumerate(groups.labels)
    ]
    keys.append(Patch(facecolor=IDLE, edgecolor="0.6", label=f"idle ({idle_share(plan):.1%})"))
    legend_below(ax, keys, columns=3 if max(map(len, groups.labels)) <= 36 else 2)
    return ax


def schedule_of(source: Schedule | Result) -> Schedule:
    """The schedule itself; raises InputError for a result that has none."""
    found = source.schedule if isinstance(source, Result) else source
    if found is None:
        raise InputError("this result holds no schedule to draw")
    return found


def title(source: Schedule | Result, name: str | None = None) -> str:
    """What is drawn and what it costs, in a line; `name` stands for instance and solver."""
    plan = schedule_of(source)
    if isinstance(source, Result):
        head = f"{name or f'{plan.instance.name}, {source.solver}'} ({source.status})"
    else:
        head = name or plan.instance.name
    return f"{literal(head)}: total latency {plan.total_latency:,}"


def idle_share(plan: Schedule) -> float:
    """Part of the capacity left unused until the last completion."""
    return 1 - exact_sum(plan.instance.volume) / (plan.instance.capacity * plan.makespan)


def draw_blocks(ax: Axes, plan: Schedule, groups: Classes) -> None:
    """One polygon for each request."""
    instance = plan.instance
    lower, upper = stacked(plan, stacking_order(plan))
    outlines = [outline(int(p), low, up) for p, low, up in zip(plan.starts, lower, upper, strict=True)]
    turn = turns(plan, groups)
    for k in range(len(groups)):
        members = np.flatnonzero(groups.of_request == k).tolist()
        faces = PolyCollection(
            [outlines[i] for i in members],
            facecolors=[groups.colour(k, int(turn[i])) for i in members],
            edgecolors=[groups.hatch_colour(k)],
            hatch=HATCHES[k],
            linewidths=0,
            zorder=1,
        )
        ax.add_collection(faces, autolim=False)
    if plan.makespan <= RULED_MAX:
        ax.vlines(range(1, plan.makespan), 0, instance.capacity, color="white", linewidth=0.6, alpha=0.7, zorder=2)
    if instance.capacity <= RULED_MAX:
        ax.hlines(range(1, instance.capacity), 0, plan.makespan, color="white", linewidth=0.6, alpha=0.7, zorder=2)
    # Outlines apart from the faces: hatches take the colour of their edge.
    width = 1.2 if instance.n <= 12 else 0.8 if instance.n <= LABELS_MAX else 0.3
    edges = PolyCollection(outlines, facecolors="none", edgecolors="0.1", linewidths=width, joinstyle="miter", zorder=3)
    ax.add_collection(edges, autolim=False)
    if instance.n <= LABELS_MAX:
        for i in range(instance.n):
            label_block(ax, instance.label(i), int(plan.starts[i]), lower[i], upper[i])


def outline(start: int, lower: IntArray, upper: IntArray) -> np.ndarray:
    """Corners of a staircase: along its upper edge and back along its lower one, shape (4 * output, 2)."""
    rounds = np.repeat(np.arange(start, start + len(lower) + 1), 2)[1:-1]
    there = np.column_stack((rounds, np.repeat(upper, 2)))
    back = np.column_stack((rounds, np.repeat(lower, 2)))
    return np.concatenate((there, back[::-1]))


def turns(plan: Schedule, groups: Classes) -> IntArray:
    """Place of each request among those of its class, by start."""
    turn = np.empty(plan.instance.n, dtype=np.int64)
    for k in range(len(groups)):
        members = np.flatnonzero(groups.of_request == k)
        turn[members[np.argsort(plan.starts[members], kind="stable")]] = np.arange(len(members))
    return turn


def label_block(ax: Axes, text: str, start: int, lower: IntArray, upper: IntArray) -> None:
    """Write `text` into the roomiest pieces of a staircase, where it fits."""
    tears = np.flatnonzero(torn(lower, upper)) + 1
    pieces = zip([0, *tears.tolist()], np.split(lower, tears), np.split(upper, tears), strict=True)
    places = sorted((roomiest(ax, len(text), start + first, low, up) for first, low, up in pieces), reverse=True)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    for fit, x, y in places[:LABELS_PER_BLOCK]:
        if fit >= 1:
            ax.text(x, y, literal(text), ha="center", va="center", fontsize=LABEL_POINTS, zorder=4, bbox=box)


def roomiest(ax: Axes, letters: int, start: int, lower: IntArray, upper: IntArray) -> tuple[float, float, float]:
    """The rectangle inside a staircase with most room for a word: room over need, and its middle."""
    (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)]) * 72 / ax.figure.figure.dpi
    column, token = (x1 - x0) / (letters * 0.7 * LABEL_POINTS), (y1 - y0) / LABEL_POINTS
    best = (0.0, 0.0, 0.0)
    stride = max(1, len(lower) // 30)
    for a in range(0, len(lower), stride):
        bottom, top = lower[a], upper[a]
        for b in range(a, len(lower), stride):
            bottom, top = max(bottom, lower[b]), min(top, upper[b])
            if top <= bottom:
                break
            fit = min((b + 1 - a) * column, (top - bottom) * token)
            best = max(best, (fit, start + (a + b + 1) / 2, (bottom + top) / 2))
    return best
