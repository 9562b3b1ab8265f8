"""What a policy is told about outputs: a predicted length, an interval, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kvopt.errors import InputError
from kvopt.model import IntArray


@dataclass(frozen=True)
class Predicted:
    """Predictions of every request.

    Attributes
    ----------
    point, low, high : int64 arrays of shape (n,), or None
        The predicted output, and bounds on it; None where nothing is said.
    """

    point: IntArray | None
    low: IntArray | None
    high: IntArray | None


class Predictions(Protocol):
    """A way of predicting; any object with this method will do."""

    def predict(self, output: IntArray, longest: IntArray, seed: int) -> Predicted:
        """Predictions for true outputs; ``longest = capacity - prompt`` bounds every output by definition."""
        ...


@dataclass(frozen=True)
class Exact:
    """Outputs are known at arrival."""

    def predict(self, output: IntArray, longest: IntArray, seed: int) -> Predicted:
        """The outputs themselves."""
        return Predicted(output, output, output)


@dataclass(frozen=True)
class Unknown:
    """Nothing is said about outputs; a policy still knows that prompt + output fits the capacity."""

    def predict(self, output: IntArray, longest: IntArray, seed: int) -> Predicted:
        """None of the three."""
        return Predicted(None, None, None)


@dataclass(frozen=True)
class Over:
    """``ceil(factor * output)``, cut at what the capacity allows; never below the output.

    Parameters
    ----------
    factor : float
        At least 1.
    """

    factor: float

    def __post_init__(self) -> None:
        if not 1 <= self.factor < float("inf"):
            raise InputError(f"over-estimating predictions need a factor of at least 1, got {self.factor}")

    def predict(self, output: IntArray, longest: IntArray, seed: int) -> Predicted:
        """The over-estimate as point and upper bound; the lower bound is 1."""
        with np.errstate(over="ignore"):
            point = np.minimum(np.ceil(self.factor * output), longest).astype(np.int64)
        return Predicted(point, np.ones_like(output), point)


@dataclass(frozen=True)
class Interval:
    """An interval [l, u] that holds the output, drawn at random around it.

    ``l = max(1, floor(o * (1 - x * a)))`` and ``u = ceil(o * (1 + x * b))``, cut at what the capacity allows,
    with a, b uniform on [0, 1]. Policies that ask for a point prediction are told u, so look-ahead stays safe.

    Parameters
    ----------
    width : float
        x, at least 0.
    """

    width: float

    def __post_init__(self) -> None:
        if not 0 <= self.width < float("inf"):
            raise InputError(f"interval predictions need a width of at least 0, got {self.width}")

    def predict(self, output: IntArray, longest: IntArray, seed: int) -> Predicted:
        """Both bounds; the point is the upper one."""
        random = np.random.Generator(np.random.PCG64([seed, 1]))
        below, above = random.random((2, len(output)))
        with np.errstate(over="ignore"):
            low = np.maximum(1, np.floor(output * (1 - self.width * below))).astype(np.int64)
            high = np.minimum(np.ceil(output * (1 + self.width * above)), longest).astype(np.int64)
        return Predicted(high, low, high)


@dataclass(frozen=True)
class Noisy:
    """``output * exp(sigma * Z)`` rounded, at least 1, cut at what the capacity allows; Z standard normal.

    Too short as often as too long: a look-ahead policy can overflow with it.

    Parameters
    ----------
    sigma : float
        Standard deviation of the logarithm, at least 0.
    """

    sigma: float

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < float("inf"):
            raise InputError(f"noisy predictions need a sigma of at least 0, got {self.sigma}")

    def predict(self, output: IntArray, longest: IntArray, seed: int) -> Predicted:
        """The point prediction alone; no bound is claimed."""
        noise = np.random.Generator(np.random.PCG64([seed, 2])).standard_normal(len(output))
        with np.errstate(over="ignore"):
            point = np.minimum(np.rint(output * np.exp(self.sigma * noise)), longest)
        return Predicted(np.maximum(1, point).astype(np.int64), None, None)


#: name -> class; those with a parameter are written ``name:value``.
PREDICTIONS: dict[str, type] = {
    "exact": Exact,
    "over": Over,
    "interval": Interval,
    "noisy": Noisy,
    "none": Unknown,
}


def find_predictions(text: str) -> Predictions:
    """Predictions from a text such as ``exact``, ``over:1.5``, ``interval:0.5``, ``noisy:0.3`` or ``none``.

    Parameters
    ----------
    text : str
        A name of `PREDICTIONS`, with its parameter after a colon if it has one.

    Returns
    -------
    Predictions

    Raises
    ------
    InputError
        If the text is none of these, or the parameter out of range.

    Examples
    --------
    >>> find_predictions("over:1.5")
    Over(factor=1.5)
    """
    name, colon, value = text.partition(":")
    known = ", ".join(f"{key}:X" if key in ("over", "interval", "noisy") else key for key in PREDICTIONS)
    if name not in PREDICTIONS or bool(colon) != (name in ("over", "interval", "noisy")):
        raise InputError(f"unknown predictions {text!r}; known: {known}")
    if not colon:
        return PREDICTIONS[name]()
    try:
        return PREDICTIONS[name](float(value))
    except InputError:
        raise
    except ValueError:
        raise InputError(f"predictions {text!r}: {value!r} is not a number") from None
