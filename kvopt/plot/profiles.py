"""Solvers compared over many instances: performance profiles of times, profiles of gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from kvopt.errors import InputError
from kvopt.plot.canvas import axes, line_styles, literal

#: Gaps in percent up to which the axis of a gap profile is linear.
LINEAR_GAP = 0.1


def performance_profile(times_s: Mapping[str, Sequence[float | None]], ax: Axes | None = None) -> Axes:
    """Draw for each solver the part of the instances it solved within x times the best solver's time.

    Parameters
    ----------
    times_s : mapping of str to sequence of float or None
        Solver -> seconds on each instance, in the same order for all; None where it did not finish.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For an empty table, rows of different length, or a time that is not positive.

    References
    ----------
    Dolan and More, Benchmarking optimization software with performance profiles, Math. Programming 91 (2002).
    """
    table = numbers(times_s)
    if (table <= 0).any():
        raise InputError("times must be positive")
    best = table.min(axis=0)
    ratios = np.divide(table, best, out=np.full_like(table, math.inf), where=np.isfinite(best))
    ax = axes(ax, 7.0, 4.2)
    right = max(2.0, float(ratios[np.isfinite(ratios)].max(initial=1.0)) * 1.1)
    draw_shares(ax, list(times_s), ratios, right)
    ax.set_xscale("log")
    ax.set_xlim(1, right)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("time over the time of the fastest")
    return ax


def gap_profile(gaps: Mapping[str, Sequence[float | Fraction | None]], ax: Axes | None = None) -> Axes:
    """Draw for each solver the part of the instances left with a gap of at most x.

    Parameters
    ----------
    gaps : mapping of str to sequence of float, Fraction or None
        Solver -> relative gap on each instance (0.01 is one percent), in the same order for all; None where
        schedule or bound is missing.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For an empty table, rows of different length, or a negative gap.
    """
    table = 100 * numbers(gaps)
    if (table < 0).any():
        raise InputError("gaps must not be negative")
    ax = axes(ax, 7.0, 4.2)
    right = max(LINEAR_GAP, float(table[np.isfinite(table)].max(initial=0.0)) * 1.1)
    draw_shares(ax, list(gaps), table, right)
    ax.set_xscale("symlog", linthresh=LINEAR_GAP)
    ax.set_xlim(0, right)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    ax.set_xlabel("gap at the end of the run")
    return ax


def numbers(table: Mapping[str, Sequence[float | Fraction | None]]) -> np.ndarray:
    """The table as floats, one row for each solver, infinite where None; raises InputError unless rectangular."""
    sizes = {len(row) for row in table.values()}
    if len(sizes) != 1 or 0 in sizes:
        raise InputError("a profile needs one value or None for each solver and instance")
    values = np.array([[math.inf if value is None else float(value) for value in row] for row in table.values()])
    if np.isnan(values).any():
        raise InputError("a profile cannot hold nan; None stands for a missing value")
    return values


def draw_shares(ax: Axes, names: list[str], table: np.ndarray, right: float) -> None:
    """One step curve for each row: the part of its values that is at most x, up to `right`."""
    for name, row, style in zip(names, table, line_styles(), strict=False):
        reached = np.sort(row[np.isfinite(row)])
        share = np.arange(len(reached) + 1) / len(row)
        x = np.concatenate(([0.0], reached, [right]))
        ax.stairs(share, x, baseline=None, linewidth=1.8, label=literal(name), **style)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylabel("instances")
    ax.legend(loc="lower right", fontsize="small")
