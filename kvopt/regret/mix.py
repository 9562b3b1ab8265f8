"""A mix: finitely many request types, each with its share of the arrivals, on one worker."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kvopt.arguments import fraction, whole_number
from kvopt.errors import InputError
from kvopt.model import MAX_VALUE, Instance, IntArray, volume


@dataclass(frozen=True)
class Mix:
    """Request types and their shares of the arrivals, exact; `kvopt.fluid.Mix` has rates in floats and no capacity.

    Parameters
    ----------
    capacity : int
        KV cache capacity M in tokens.
    prompt, output : sequence of int, length K
        Lengths of each type; ``prompt + output <= capacity``.
    share : sequence of Fraction (int, float or str are converted), length K
        Relative frequency of each type, positive; scaled to sum 1. A float counts as the decimal it prints as.

    Raises
    ------
    InputError
        For a value out of range, a NaN, a type listed twice or one that can never run.

    Examples
    --------
    >>> mix = Mix(8, [1, 1], [2, 6], [0.7, 0.3])
    >>> mix.share, mix.volume, mix.volume_capacity
    ((Fraction(7, 10), Fraction(3, 10)), (5, 27), Fraction(20, 29))
    """

    capacity: int
    prompt: tuple[int, ...]
    output: tuple[int, ...]
    share: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "prompt", tuple(self.prompt))
        set_(self, "output", tuple(self.output))
        set_(self, "capacity", whole_number("capacity", self.capacity, 1, MAX_VALUE))
        if not self.output:
            raise InputError("a mix needs at least one type")
        if not len(self.prompt) == len(self.output) == len(self.share):
            raise InputError(f"{len(self.prompt)} prompts, {len(self.output)} outputs and {len(self.share)} shares")
        for name, least in (("prompt", 0), ("output", 1)):
            column = enumerate(getattr(self, name))
            set_(self, name, tuple(whole_number(f"type {k}: {name}", value, least, MAX_VALUE) for k, value in column))
        seen: set[tuple[int, int]] = set()
        for k, (s, o) in enumerate(zip(self.prompt, self.output, strict=True)):
            if s + o > self.capacity:
                raise InputError(f"type {k}: peak {s + o} exceeds the capacity {self.capacity}; it can never run")
            if (s, o) in seen:
                raise InputError(f"type {k}: prompt {s} and output {o} are listed twice; add the shares")
            seen.add((s, o))
        weights = [positive_fraction(f, f"type {k}: share") for k, f in enumerate(self.share)]
        total = sum(weights, Fraction(0))
        set_(self, "share", tuple(f / total for f in weights))

    @classmethod
    def of_instance(cls, instance: Instance, capacity: int | None = None) -> Mix:
        """The lengths of an instance with the shares they have there: arrivals resampled from a trace.

        >>> Mix.of_instance(Instance(5, [1, 1, 1], [1, 3, 3])).share
        (Fraction(1, 3), Fraction(2, 3))
        """
        pairs, counts = np.unique(np.column_stack((instance.prompt, instance.output)), axis=0, return_counts=True)
        prompt, output = (tuple(column) for column in pairs.T.tolist())
        held = instance.capacity if capacity is None else capacity
        return cls(held, prompt, output, tuple(Fraction(count) for count in counts.tolist()))

    def __len__(self) -> int:
        return len(self.output)

    @property
    def volume(self) -> tuple[int, ...]:
        """Token-rounds of one request of each type, ``s*o + o*(o+1)/2``."""
        return tuple(volume(s, o) for s, o in zip(self.prompt, self.output, strict=True))

    @property
    def mean_volume(self) -> Fraction:
        """Token-rounds of a request on average."""
        return sum((f * v for f, v in zip(self.share, self.volume, strict=True)), Fraction(0))

    @property
    def mean_peak(self) -> Fraction:
        """Tokens a request holds in its last round, on average."""
        return sum((f * (s + o) for f, s, o in zip(self.share, self.prompt, self.output, strict=True)), Fraction(0))

    @property
    def volume_capacity(self) -> Fraction:
        """Requests per round that fill the capacity completely, ``M / mean volume``: no policy sustains more."""
        return self.capacity / self.mean_volume

    @property
    def columns(self) -> tuple[IntArray, IntArray]:
        """Prompts and outputs as int64 arrays of shape (K,)."""
        return np.array(self.prompt, np.int64), np.array(self.output, np.int64)

    def scaled(self, factor: int) -> Mix:
        """The same types on `factor` times the capacity."""
        return Mix(self.capacity * factor, self.prompt, self.output, self.share)


def positive_fraction(value: object, what: str) -> Fraction:
    """A positive number as the fraction it prints as; InputError naming `what` for anything else.

    >>> positive_fraction(0.1, "rate")
    Fraction(1, 10)
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real | str):
        raise InputError(f"{what} must be a positive number, got {value!r}")
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        raise InputError(f"{what} must be a positive number, got {value}")
    try:
        exact = value if isinstance(value, Fraction) else fraction(str(value))
    except ValueError:
        raise InputError(f"{what} must be a positive number, got {value!r}") from None
    if exact <= 0:
        raise InputError(f"{what} must be a positive number, got {value}")
    return exact
