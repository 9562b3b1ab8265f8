"""Measured curves: a line through the means of repeated runs, with a band from the least to the greatest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kvopt.errors import InputError
from kvopt.plot.canvas import LINES, MARKERS, axes, line_styles, literal


def curves(
    rows: Sequence[Mapping[str, Any]],
    x: str,
    y: str,
    by: str,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw `y` over `x`, a line for each value of `by` in order of appearance.

    Rows with the same `x` and `by` are repetitions (seeds): the line runs through their mean, the band from the least
    to the greatest. Where `y` is None in some repetition (a run that did not finish) the line has a gap.

    Parameters
    ----------
    rows : sequence of mappings
    x, y, by : str
        Keys of the rows.
    names : sequence of str, optional
        Values of `by` in the order of styles, so that panels with different lines agree; default those in `rows`.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For no rows.
    """
    if not rows:
        raise InputError("no rows to draw")
    ax = axes(ax, 7.0, 4.2)
    every = list(names) if names is not None else list(dict.fromkeys(row[by] for row in rows))
    for place, (name, style) in enumerate(zip(every, line_styles(), strict=False)):
        found: dict[float, list[float]] = {}
        for row in rows:
            if row[by] == name:
                found.setdefault(row[x], []).append(np.nan if row[y] is None else row[y])
        if not found:
            continue
        at = sorted(found)
        table = [np.asarray(found[value], dtype=float) for value in at]
        means = [float(values.mean()) for values in table]
        line = {"marker": MARKERS[place % len(MARKERS)], "markersize": 4, "linewidth": 1.6, **style}
        if place >= len(LINES):  # the styles begin anew
            line |= {"markerfacecolor": "white", "linewidth": 0.9}
        ax.plot(at, means, label=literal(name), **line)
        ax.fill_between(
            at, [v.min() for v in table], [v.max() for v in table], color=style["color"], alpha=0.15, linewidth=0
        )
    return ax
