"""Whole figures from results: a panel for each, or one picture that compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kvopt.model import Result
from kvopt.plot.blocks import schedule
from kvopt.plot.ecdf import latencies
from kvopt.plot.progress import trajectory
from kvopt.plot.rows import waiting
from kvopt.plot.usage import memory

#: One panel for each result.
PANELS: dict[str, Callable[[Result, Axes | None], Axes]] = {
    "schedule": schedule,
    "waiting": waiting,
    "trajectory": trajectory,
}
#: All results in one picture.
COMPARISONS: dict[str, Callable[[Mapping[str, Result]], Axes]] = {"memory": memory, "latencies": latencies}


def draw(kind: str, results: Mapping[str, Result]) -> Figure:
    """The figure of one or more results.

    Parameters
    ----------
    kind : str
        ``schedule``, ``waiting``, ``trajectory``, ``memory`` or ``latencies``.
    results : mapping of str to Result
        In a comparison a result goes by its solver, or by its key here where solvers repeat.

    Returns
    -------
    matplotlib Figure
    """
    if kind in COMPARISONS:
        return COMPARISONS[kind](by_solver(results)).figure.figure
    if len(results) == 1:
        return PANELS[kind](next(iter(results.values())), None).figure.figure
    figure = Figure(figsize=(9.0, 4.4 * len(results)), layout="constrained")
    rows = figure.subplots(len(results), 1).tolist()
    for result, ax in zip(results.values(), rows, strict=True):
        PANELS[kind](result, ax)
    if kind != "trajectory":
        # One scale of rounds for all: the longest schedule sets it.
        right = max(ax.get_xlim()[1] for ax in rows)
        for ax in rows:
            ax.set_xlim(0, right)
    return figure


def by_solver(results: Mapping[str, Result]) -> Mapping[str, Result]:
    """The results keyed by their solver, unless two have the same."""
    solvers = [result.solver for result in results.values()]
    return results if len(set(solvers)) < len(solvers) else dict(zip(solvers, results.values(), strict=True))
