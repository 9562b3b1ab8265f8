"""Axes, lines and files that all pictures share."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kvopt.errors import InputError
from kvopt.io.files import write_bytes

#: File name endings that `save` knows.
SUFFIXES = (".png", ".svg", ".pdf")
#: Pixels per inch of PNG pictures in files and in notebooks.
PRINT_DPI, SCREEN_DPI = 150, 100

#: Lines that differ in colour, lightness and dashes (colours of Okabe and Ito, safe for colour-blind readers).
LINES: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linestyle": "-"},
    {"color": "#0072b2", "linestyle": (0, (6, 1.5))},
    {"color": "#e69f00", "linestyle": "-"},
    {"color": "#009e73", "linestyle": (0, (1.2, 1.2))},
    {"color": "#cc79a7", "linestyle": (0, (6, 1.5, 1.2, 1.5))},
    {"color": "#999999", "linestyle": (0, (3, 1))},
)
#: Markers that tell lines apart where they lie upon each other; more than there are line styles, so that no two of
#: many lines look alike.
MARKERS = "os^Dv<>P"


class Picture(Figure):
    """A figure that belongs to no window; a notebook shows it when a cell ends in it."""

    def _repr_png_(self) -> bytes:
        return picture_bytes(self, ".png", SCREEN_DPI)


class PictureAxes(Axes):
    """Axes of such a figure; a notebook shows the figure when a cell ends in its axes."""

    def _repr_png_(self) -> bytes:
        return picture_bytes(self.figure.figure, ".png", SCREEN_DPI)


def axes(ax: Axes | None, width: float = 9.0, height: float = 4.0) -> Axes:
    """The given axes, or those of a new figure of this size in inches, stripped of what carries no data."""
    if ax is None:
        figure = Picture(figsize=(width, height), layout="constrained")
        ax = figure.add_subplot(axes_class=PictureAxes)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def whole_numbers(ax: Axes, which: str = "xy") -> None:
    """Ticks at integers only, with thousands separators."""
    for axis in (getattr(ax, f"{letter}axis") for letter in which):
        axis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def rounds_axis(ax: Axes, makespan: int) -> None:
    """Rounds to the right, up to the last completion unless the caller of the picture has set other limits."""
    if ax.get_autoscalex_on():
        ax.set_xlim(0, makespan * 1.008)
    ax.set_xlabel("round")


def capacity_line(ax: Axes, capacity: int) -> None:
    """The line no schedule may cross."""
    ax.axhline(capacity, color="black", linewidth=1.8, zorder=5)
    ax.annotate(
        f"capacity {capacity:,}",
        (1, capacity),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize="small",
    )


def legend_below(ax: Axes, handles: Sequence[Artist] = (), columns: int = 4) -> None:
    """A legend under the picture, where it hides nothing: these handles, then whatever carries a label."""
    every = [*handles, *ax.get_legend_handles_labels()[0]]
    ax.legend(
        handles=every, ncols=columns, loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False, fontsize="small"
    )


def literal(name: object) -> str:
    """A name from a file as text of a picture, in which dollar signs would otherwise enclose formulas.

    >>> literal("$5 and $6")
    '\\\\$5 and \\\\$6'
    """
    return str(name).replace("$", r"\$")


def line_styles() -> Iterator[dict[str, Any]]:
    """Endless styles for the curves of one picture."""
    return cycle(LINES)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of `path`; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib Figure
    path : str or Path
        Ending in ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    InputError
        For another ending, or when the file cannot be written.
    """
    write_bytes(path, picture_bytes(figure, picture_suffix(path)))


def picture_suffix(path: str | Path) -> str:
    """The ending of a picture's file name; raises InputError unless it is one of `SUFFIXES`.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str
        With the dot, in lower case.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: a picture ends in {', '.join(SUFFIXES)}, not in {suffix or 'nothing'!r}")
    return suffix


def picture_bytes(figure: Figure, suffix: str, dpi: int = PRINT_DPI) -> bytes:
    """The figure in the format of a file name ending, without dates."""
    undated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "kvopt"}):
        figure.savefig(buffer, format=suffix[1:], dpi=dpi, metadata=undated)
    return buffer.getvalue()
