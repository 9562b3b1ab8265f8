"""Whole figures: a panel for each schedule, or one picture that compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kvopt.model import Result, Schedule
from kvopt.plot.blocks import schedule, schedule_of, title
from kvopt.plot.canvas import Picture, rounds_axis
from kvopt.plot.ecdf import latencies
from kvopt.plot.progress import trajectory
from kvopt.plot.rows import waiting
from kvopt.plot.usage import memory

#: One panel for each source.
PANELS: dict[str, Callable[[Any, Axes | None], Axes]] = {
    "schedule": schedule,
    "waiting": waiting,
    "trajectory": trajectory,
}
#: All sources in one picture.
COMPARISONS: dict[str, Callable[[Mapping[str, Any]], Axes]] = {"memory": memory, "latencies": latencies}


def draw(kind: str, sources: Mapping[str, Schedule | Result]) -> Figure:
    """The figure of one or more schedules or results.

    Parameters
    ----------
    kind : str
        ``schedule``, ``waiting`` or ``trajectory`` (results only): panels under each other, with one scale of
        rounds; ``memory`` or ``latencies``: one picture for all.
    sources : mapping of str to Schedule or Result
        Name in titles and legend -> what to draw.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        For a source that lacks what the picture shows.
    """
    if kind in COMPARISONS:
        return COMPARISONS[kind](sources).figure.figure
    if len(sources) == 1:
        return PANELS[kind](next(iter(sources.values())), None).figure.figure
    figure = Picture(figsize=(9.0, 4.0 * len(sources)), layout="constrained")
    rows = figure.subplots(len(sources), 1).tolist()
    if kind != "trajectory":
        longest = max(schedule_of(source).makespan for source in sources.values())
        for ax in rows:
            rounds_axis(ax, longest)
    for (name, source), ax in zip(sources.items(), rows, strict=True):
        PANELS[kind](source, ax)
        if kind != "trajectory":
            ax.set_title(title(source, name), loc="left", fontsize="medium")
    return figure
