"""The interactive picture: staircase blocks of few requests, bands of classes for many."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from kvopt.model import IntArray, Schedule, exact_sum
from kvopt.plot.bands import class_memory, column_means, tokens_label
from kvopt.plot.blocks import BLOCKS_MAX, outline, turns
from kvopt.plot.classes import HATCHES, Classes, Colour, classes
from kvopt.plot.stack import stacked, stacking_order

#: Rounds of all runs together up to which requests are drawn one by one: about 1 MB of the page.
STEPS_MAX = 100_000
#: Most columns of bands, enough to zoom in, and most rounds that are summed up for them.
COLUMNS, ROUNDS_MAX = 1_500, 5_000_000
#: Up to this many requests, blocks that have room carry the label of their request.
LABELS_MAX = 40
#: Room a label needs: part of the picture's width for each letter, part of its height.
LETTER_WIDTH, LABEL_HEIGHT = 0.01, 0.04
IDLE = "#f0f0f0"


def picture(plan: Schedule) -> go.Figure | None:
    """The schedule under the capacity line, with hover and zoom.

    Parameters
    ----------
    plan : Schedule

    Returns
    -------
    plotly Figure or None
        None for a schedule of more than `ROUNDS_MAX` rounds that is too large for blocks.
    """
    instance = plan.instance
    figure = go.Figure()
    if instance.n <= BLOCKS_MAX and exact_sum(instance.output) <= STEPS_MAX:
        add_blocks(figure, plan, classes(instance))
        held = "tokens held"
    elif plan.makespan <= ROUNDS_MAX:
        edges = column_edges(plan.makespan)
        add_bands(figure, plan, classes(instance), edges)
        held = tokens_label(edges)
    else:
        return None
    capacity = instance.capacity
    figure.add_hline(capacity, line={"color": "black", "width": 2})
    figure.add_annotation(
        x=1, xref="paper", xanchor="right", y=capacity, yanchor="bottom", text=f"capacity {capacity:,}", showarrow=False
    )
    figure.add_shape(
        type="rect", x0=0, x1=plan.makespan, y0=0, y1=capacity, fillcolor=IDLE, line={"width": 0}, layer="below"
    )
    figure.update_layout(
        template="none",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 10, "r": 10, "t": 34, "b": 10},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        hoverlabel={"align": "left", "bgcolor": "white", "namelength": -1},
        dragmode="zoom",
    )
    figure.update_xaxes(
        title="round", range=[0, plan.makespan * 1.008], automargin=True, tickformat=",", zeroline=False
    )
    figure.update_yaxes(title=held, range=[0, capacity * 1.08], automargin=True, tickformat=",", zeroline=False)
    return figure


def add_blocks(figure: go.Figure, plan: Schedule, groups: Classes) -> None:
    """One filled outline for each request; its hover text tells its figures."""
    instance = plan.instance
    lower, upper = stacked(plan, stacking_order(plan))
    turn = turns(plan, groups)
    shown: set[int] = set()
    for i in np.lexsort((turn, groups.of_request)).tolist():
        k = int(groups.of_request[i])
        corners = outline(int(plan.starts[i]), lower[i], upper[i])
        corners = np.concatenate((corners, corners[:1]))
        figure.add_scatter(
            x=corners[:, 0],
            y=corners[:, 1],
            mode="lines",
            fill="toself",
            line={"color": "#1a1a1a", "width": 1.2 if instance.n <= LABELS_MAX else 0.5},
            **filling(groups, k, int(turn[i])),
            hoveron="fills",
            hoverinfo="text",
            text=described(plan, i),
            name=groups.labels[k],
            legendgroup=str(k),
            showlegend=k not in shown,
        )
        shown.add(k)
    if instance.n <= LABELS_MAX:
        add_labels(figure, plan, lower, upper)


def add_labels(figure: go.Figure, plan: Schedule, lower: list[IntArray], upper: list[IntArray]) -> None:
    """The label of each request in the middle of its run, where the block has room for it."""
    capacity, makespan = plan.instance.capacity, plan.makespan
    for i, (low, up) in enumerate(zip(lower, upper, strict=True)):
        middle = len(low) // 2
        text = plan.instance.label(i)
        wide = len(low) > LETTER_WIDTH * len(text) * makespan
        if wide and up[middle] - low[middle] > LABEL_HEIGHT * capacity:
            figure.add_annotation(
                x=int(plan.starts[i]) + middle + 0.5 * (len(low) % 2),
                y=float(low[middle] + up[middle]) / 2,
                text=escape(text),
                bgcolor="rgba(255, 255, 255, 0.75)",
                showarrow=False,
            )


def add_bands(figure: go.Figure, plan: Schedule, groups: Classes, edges: IntArray) -> None:
    """Mean memory of each class over each column of rounds on top of each other, and the most held in a round."""
    for k, label in enumerate(groups.labels):
        means = column_means(class_memory(plan, groups.of_request == k), edges)
        figure.add_scatter(
            x=edges[:-1],
            y=np.round(means, 1),
            mode="lines",
            line={"shape": "hv", "width": 0.5, "color": css(groups.hatch_colour(k))},
            stackgroup="held",
            **filling(groups, k),
            name=label,
            hovertemplate="%{y:,.0f}",
        )
    if len(edges) <= plan.makespan:
        figure.add_scatter(
            x=edges[:-1],
            y=np.maximum.reduceat(plan.memory, edges[:-1]),
            mode="lines",
            line={"shape": "hv", "width": 1, "color": "black", "dash": "dot"},
            name="most held in a round of the column",
            hovertemplate="%{y:,.0f}",
            visible="legendonly",
        )
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(hoverformat=",")


def column_edges(makespan: int) -> IntArray:
    """Edges of at most `COLUMNS` columns of whole rounds, widths that differ by at most one."""
    count = min(makespan, COLUMNS)
    return np.array([k * makespan // count for k in range(count + 1)])


def filling(groups: Classes, k: int, turn: int = 0) -> dict[str, Any]:
    """Colour and hatch of a class, told apart in grey too."""
    colour = css(groups.colour(k, turn))
    pattern = {"shape": HATCHES[k][:1], "fgcolor": css(groups.hatch_colour(k)), "bgcolor": colour, "size": 7}
    return {"fillcolor": colour, "fillpattern": pattern} if HATCHES[k] else {"fillcolor": colour}


def css(colour: Colour) -> str:
    """A colour as the page writes it.

    >>> css((1.0, 0.5, 0.0))
    '#ff8000'
    """
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)


def described(plan: Schedule, i: int) -> str:
    """The hover text of request i; what the file calls it cannot become markup."""
    instance = plan.instance
    start, end, arrival = int(plan.starts[i]), int(plan.completions[i]), int(instance.arrival[i])
    return (
        f"<b>request {escape(instance.label(i))}</b><br>prompt {instance.prompt[i]:,}, output {instance.output[i]:,}, "
        f"peak {instance.peak[i]:,} tokens<br>arrives in round {arrival:,}, waits {start - arrival:,}"
        f"<br>starts in round {start:,}, completes in {end:,}<br>latency {end - arrival:,} rounds"
    )
