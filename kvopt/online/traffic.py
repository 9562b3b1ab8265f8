"""Requests that arrive in seconds: an instance whose arrivals are times and not rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kvopt.errors import InputError
from kvopt.model import MAX_VALUE, FloatArray, Instance, IntArray


@dataclass(frozen=True, eq=False)
class Traffic:
    """Requests with arrival times for the seconds clock.

    Parameters
    ----------
    capacity : int
        KV cache capacity M in tokens.
    prompt, output : array_like of int, shape (n,)
        Tokens, as in `kvopt.Instance`.
    arrival_s : array_like of float, shape (n,)
        Seconds, within 0..2^31 - 1, in any order.
    name : str
    meta : mapping
        Free provenance data.

    Raises
    ------
    InputError
        For whatever an `Instance` refuses, and for times that are out of range or NaN.

    Examples
    --------
    >>> Traffic(100, [10, 20], [5, 5], [0.0, 0.25]).n
    2
    """

    capacity: int
    prompt: IntArray
    output: IntArray
    arrival_s: FloatArray
    name: str = "traffic"
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked = Instance(self.capacity, self.prompt, self.output)
        times = np.array(self.arrival_s, dtype=np.float64)
        if times.shape != (checked.n,):
            raise InputError(f"arrival_s has shape {times.shape} for {checked.n} requests")
        bad = np.flatnonzero(~((times >= 0) & (times <= MAX_VALUE)))
        if len(bad):
            raise InputError(f"request {bad[0]}: arrival {times[bad[0]]} s is not a time within 0..{MAX_VALUE}")
        times.setflags(write=False)
        for name, value in (("prompt", checked.prompt), ("output", checked.output), ("arrival_s", times)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_instance(cls, instance: Instance, seconds_per_round: float) -> Traffic:
        """The requests of an instance, its arrival rounds turned into seconds.

        Raises
        ------
        InputError
            If `seconds_per_round` is not above 0 and finite.
        """
        if not 0 < seconds_per_round < float("inf"):
            raise InputError(f"seconds per round must be above 0, got {seconds_per_round}")
        times = instance.arrival.astype(np.float64) * seconds_per_round
        return cls(instance.capacity, instance.prompt, instance.output, times, instance.name, instance.meta)

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.output)
