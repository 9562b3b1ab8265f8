"""The stable loads of two types, with the lines that bound them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from kvopt.errors import InputError
from kvopt.fluid import Mix, limit_shares
from kvopt.hardware import IterationTime
from kvopt.plot.canvas import axes, line_styles

#: What reaches its limit on each line.
NAMES = {"compute": "compute (load 1)", "memory": "memory", "tokens": "tokens per iteration"}


def stability(
    mix: Mix,
    time: IterationTime,
    capacity: int | None = None,
    token_budget: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw which rates of two types can be served, and the rates of the mix as a point.

    Parameters
    ----------
    mix : Mix
        Of two types.
    time : IterationTime
    capacity, token_budget : int, optional
        Tokens of KV cache, tokens that an iteration may process; see `kvopt.fluid.limit_shares`.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If there are not two types, or one of them takes no time at all.
    """
    if len(mix) != 2:
        raise InputError(f"the picture of stable loads needs two types, got {len(mix)}")
    shares = limit_shares(mix, time, capacity=capacity, token_budget=token_budget)
    if not all((share > 0).all() for share in shares.values()):
        raise InputError("a type that takes no time can arrive at any rate; there is no border to draw")
    ax = axes(ax, 6.4, 4.8)
    borders = {limit: 1 / share for limit, share in shares.items()}
    right, top = (1.04 * max(*(border[j] for border in borders.values()), mix.rate[j]) for j in range(2))
    first = np.unique(np.concatenate([np.linspace(0, right, 201), [border[0] for border in borders.values()]]))
    lowest = np.min([np.maximum(0, border[1] * (1 - first / border[0])) for border in borders.values()], axis=0)
    ax.fill_between(first, lowest, color="#dddddd", linewidth=0, zorder=0, label="stable")
    for (limit, border), style in zip(borders.items(), line_styles(), strict=False):
        ax.plot([border[0], 0], [0, border[1]], linewidth=1.8, label=named(limit, capacity, token_budget), **style)
    load = max(float(mix.rate @ share) for share in shares.values())
    ax.plot(*mix.rate, "o", color="black", label=f"these rates: {100 * load:.3g} % of the limit", zorder=6)
    ax.set_xlim(0, right)
    ax.set_ylim(0, top)
    ax.set_xlabel(f"requests/s of type {mix.prompt[0]}/{mix.output[0]} (prompt/output)")
    ax.set_ylabel(f"requests/s of type {mix.prompt[1]}/{mix.output[1]}")
    ax.legend(loc="upper right", fontsize="small", framealpha=1.0)
    return ax


def named(limit: str, capacity: int | None, token_budget: int | None) -> str:
    """A line in the legend."""
    value = {"memory": capacity, "tokens": token_budget}.get(limit)
    return NAMES[limit] if value is None else f"{NAMES[limit]} ({value:,})"
