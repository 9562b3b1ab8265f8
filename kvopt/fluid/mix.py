"""Types of requests with their arrival rates, and the work that a request of each type brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvopt.errors import InputError
from kvopt.hardware import IterationTime
from kvopt.model import MAX_VALUE, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Mix:
    """Types of requests that arrive at constant rates, floats; `kvopt.regret.mix.Mix` has exact shares and a capacity.

    A request takes ``output + 1`` iterations: stage 0 processes the prompt, stage s = 1..output generates a token;
    in stage s it holds ``prompt + s`` tokens.

    Parameters
    ----------
    prompt, output : array_like of int, shape (K,)
        Tokens, prompt >= 0, output >= 1.
    rate : array_like of float, shape (K,)
        Requests per second, within 0..2^31 - 1, not all 0.

    Raises
    ------
    InputError
        For a value out of range, columns of different length, or no type at all.

    Examples
    --------
    >>> mix = Mix.from_rows([(512, 20, 12.0), (512, 50, 6.0)])
    >>> len(mix), mix.token_iterations.tolist(), mix.total_rate
    (2, [10962, 27387], 18.0)
    """

    prompt: IntArray
    output: IntArray
    rate: FloatArray

    def __post_init__(self) -> None:
        for name, least in (("prompt", 0), ("output", 1)):
            column = np.asarray(getattr(self, name))
            if column.ndim != 1 or column.dtype.kind not in "iu":
                raise InputError(f"{name}: expected a flat list of integers, got {getattr(self, name)!r}")
            self._refuse(name, column, (column < least) | (column > MAX_VALUE), f"is not within {least}..{MAX_VALUE}")
            object.__setattr__(self, name, column.astype(np.int64))
        try:
            rate = np.array(self.rate, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"rate: expected numbers, got {self.rate!r}") from None
        object.__setattr__(self, "rate", rate)
        if not len(self.prompt) == len(self.output) == len(rate):
            raise InputError(f"{len(self.prompt)} prompts, {len(self.output)} outputs and {len(rate)} rates")
        self._refuse("rate", rate, ~((rate >= 0) & (rate <= MAX_VALUE)), f"is not a number within 0..{MAX_VALUE}")
        if not rate.sum() > 0:
            raise InputError("a mix needs at least one type with a rate above 0")

    @staticmethod
    def _refuse(name: str, column: npt.NDArray, bad: npt.NDArray, rule: str) -> None:
        if bad.any():
            j = int(np.flatnonzero(bad)[0])
            raise InputError(f"type {j}: {name} {column[j]} {rule}")

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[int, int, float]]) -> Mix:
        """A mix from rows (prompt, output, rate per second)."""
        if not rows:
            raise InputError("a mix needs at least one type")
        prompt, output, rate = zip(*rows, strict=True)
        return cls(np.array(prompt), np.array(output), np.array(rate))

    def __len__(self) -> int:
        return len(self.rate)

    @property
    def total_rate(self) -> float:
        """Requests per second of all types together."""
        return float(self.rate.sum())

    @property
    def token_iterations(self) -> IntArray:
        """Tokens held, summed over the iterations of one request: ``(output + 1)(prompt + output / 2)``, shape (K,)."""
        return (self.output + 1) * (2 * self.prompt + self.output) // 2

    @property
    def tokens(self) -> IntArray:
        """Tokens that one request makes iterations process, prompt and decodes: ``prompt + output``, shape (K,)."""
        return self.prompt + self.output

    def work_s(self, time: IterationTime) -> FloatArray:
        """Seconds that one request of each type adds to the iterations it takes part in, shape (K,).

        ``prefill * prompt + decode * output + kv * output * (prompt + (output + 1) / 2)``.
        """
        held = self.output * (2 * self.prompt + self.output + 1) / 2
        with np.errstate(over="ignore"):  # an absurd coefficient is an infinite load, no warning
            return (time.prefill_ms * self.prompt + time.decode_ms * self.output + time.kv_ms * held) / 1000


def resident_time(d0_ms: float, token_ms: float) -> IterationTime:
    """Iteration time ``d0 + d1 * (tokens held)`` of arXiv 2504.11320.

    Every token held counts the same, those of a prompt being processed too: prefill and KV coefficients are both d1.

    Parameters
    ----------
    d0_ms, token_ms : float
        Milliseconds of an empty iteration and per token held, both >= 0.

    Returns
    -------
    IterationTime

    Examples
    --------
    >>> Mix.from_rows([(1, 1, 4.0)]).work_s(resident_time(400, 50)).tolist()  # 50 ms * (1 + 2) tokens
    [0.15]
    """
    return IterationTime(d0_ms, token_ms, 0.0, token_ms, source="d0 + d1 * tokens held, arXiv 2504.11320")
