"""Memory over time, one curve for each schedule."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes

from kvopt.errors import InputError
from kvopt.model import Result, Schedule
from kvopt.plot.bands import column_means, columns, tokens_label
from kvopt.plot.blocks import schedule_of
from kvopt.plot.canvas import axes, capacity_line, legend_below, line_styles, literal, rounds_axis, whole_numbers


def memory(schedules: Mapping[str, Schedule | Result], ax: Axes | None = None) -> Axes:
    """Draw the tokens held in each round under the capacity line, for several schedules.

    Schedules longer than the picture is wide are drawn as means over equal stretches of rounds.

    Parameters
    ----------
    schedules : mapping of str to Schedule or Result
        Name in the legend -> schedule; all of one capacity.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For no schedule at all, or capacities that differ.
    """
    plans = {name: schedule_of(source) for name, source in schedules.items()}
    capacities = {plan.instance.capacity for plan in plans.values()}
    if len(capacities) != 1:
        raise InputError(f"schedules of one capacity are needed, got {sorted(capacities) or 'none'}")
    ax = axes(ax)
    capacity = capacities.pop()
    for (name, plan), style in zip(plans.items(), line_styles(), strict=False):
        edges = columns(plan.makespan)
        ax.stairs(column_means(plan.memory, edges), edges, baseline=None, linewidth=1.6, label=literal(name), **style)
    longest = max(plan.makespan for plan in plans.values())
    rounds_axis(ax, longest)
    ax.set_ylim(0, capacity * 1.08)
    capacity_line(ax, capacity)
    whole_numbers(ax)
    ax.set_ylabel(tokens_label(columns(longest)))
    legend_below(ax)
    return ax
