"""Regret over the horizon, and waiting over the size of the worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from kvopt.errors import InputError
from kvopt.plot.canvas import MARKERS, axes, legend_below, line_styles

if TYPE_CHECKING:
    from kvopt.regret.study import RegretRow


def regret_curves(rows: Sequence[RegretRow], ax: Axes | None = None, *, per_request: bool = False) -> Axes:
    """Draw the mean regret of each policy over the horizon, with 95 % intervals, on logarithmic axes.

    A policy whose total regret were bounded would run flat; a straight line of slope 1 (dotted, for comparison) is
    regret that grows like the horizon.

    Parameters
    ----------
    rows : sequence of RegretRow
        Of one capacity (`kvopt.regret.study.RegretStudy.rows`).
    ax : matplotlib Axes, optional
    per_request : bool
        Regret over the number of requests; there regret linear in the horizon is a flat line.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        Without a positive value.
    """
    ax = axes(ax, 7.0, 4.5)

    def value(row: RegretRow) -> tuple[float, float, float]:
        mean, width = (row.per_request, row.per_request_ci) if per_request else (row.regret, row.regret_ci)
        return row.horizon, mean, width

    least, last = draw_lines(rows, value, ax)
    if not per_request:
        ax.plot([least[0], last], [least[1], least[1] * last / least[0]], color="0.6", linestyle=":", label="slope 1")
    ax.set_xlabel("rounds with arrivals")
    ax.set_ylabel("regret per request in rounds" if per_request else "regret in rounds")
    legend_below(ax)
    return ax


def scaling_curves(rows: Sequence[RegretRow], ax: Axes | None = None) -> Axes:
    """Draw the mean total waiting of each policy over the capacity, capacity and rates growing together.

    Parameters
    ----------
    rows : sequence of RegretRow
        Of several capacities; the longest horizon of each is drawn.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        Without a positive value.
    """
    ax = axes(ax, 7.0, 4.5)
    longest = max((row.horizon for row in rows), default=0)
    chosen = [row for row in rows if row.horizon == longest]
    draw_lines(chosen, lambda row: (row.capacity, row.waiting, row.waiting_ci), ax)
    ax.set_xlabel("capacity in tokens (arrival rates in proportion)")
    ax.set_ylabel(f"total waiting in rounds, {longest:,} rounds of arrivals")
    legend_below(ax)
    return ax


def draw_lines(
    rows: Sequence[RegretRow], value: Callable[[RegretRow], tuple[float, float, float]], ax: Axes
) -> tuple[tuple[float, float], float]:
    """One line for each policy; returns the lowest first point and the last abscissa."""
    firsts, last = [], 0.0
    ax.set_xscale("log")
    ax.set_yscale("log", nonpositive="clip")
    policies = dict.fromkeys(row.policy for row in rows)
    for policy, style, marker in zip(policies, line_styles(), cycle(MARKERS), strict=False):
        points = [value(row) for row in rows if row.policy == policy]
        points = [point for point in points if point[1] > 0]
        if not points:
            continue
        x, mean, width = (list(column) for column in zip(*points, strict=True))
        low = [min(w, 0.99 * m) for m, w in zip(mean, width, strict=True)]
        high = [w if w < float("inf") else 0.0 for w in width]
        ax.errorbar(x, mean, yerr=[low, high], capsize=2.5, marker=marker, markersize=5.5, label=policy, **style)
        firsts.append((x[0], mean[0]))
        last = max(last, x[-1])
    if not firsts:
        raise InputError("no positive value to draw")
    places = sorted({value(row)[0] for row in rows})
    ax.set_xticks(places)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    return min(firsts, key=lambda point: point[1]), last
