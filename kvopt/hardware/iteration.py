"""Time of one iteration, linear in what the batch does.

``T = d0 + prefill * (prompt tokens processed) + decode * (requests decoding) + kv * (KV tokens read)``
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kvopt.errors import InputError, UnknownNameError


@dataclass(frozen=True)
class IterationTime:
    """Coefficients in milliseconds, all >= 0, `d0_ms` or another above 0.

    Attributes
    ----------
    d0_ms : float
        Fixed part of every iteration.
    prefill_ms : float
        Per prompt token processed in the iteration.
    decode_ms : float
        Per request that generates one token.
    kv_ms : float
        Per token of KV cache that the decoding requests hold.
    token_budget : int or None
        Tokens (decodes first, one each, then prompt chunks) that the model was calibrated for; None for no limit.
    source : str
        Where the figures come from and how good they are.

    Examples
    --------
    >>> round(find_iteration_time("llama-2-7b-a100").time_ms(493, 19, 9_880), 1)
    44.6
    """

    d0_ms: float
    prefill_ms: float
    decode_ms: float
    kv_ms: float
    token_budget: int | None = None
    source: str = "own figures"

    def __post_init__(self) -> None:
        values = (self.d0_ms, self.prefill_ms, self.decode_ms, self.kv_ms)
        if not all(0 <= value < float("inf") for value in values) or not any(values):
            raise InputError(f"iteration time: coefficients must be finite, at least 0 and not all 0, got {values}")
        if self.token_budget is not None and self.token_budget < 1:
            raise InputError(f"iteration time: the token budget must be at least 1, got {self.token_budget}")

    def time_ms(self, prefill_tokens: Any, decode_requests: Any, kv_tokens: Any) -> Any:
        """Milliseconds of an iteration; numbers or arrays of equal shape."""
        return self.d0_ms + self.prefill_ms * prefill_tokens + self.decode_ms * decode_requests + self.kv_ms * kv_tokens

    def utilisation(self, time_ms: Any) -> Any:
        """Share of an iteration that is work and not fixed overhead, ``(T - d0) / T``; for the energy model."""
        return 1 - self.d0_ms / time_ms

    @classmethod
    def fit(
        cls,
        prefill_tokens: npt.ArrayLike,
        decode_requests: npt.ArrayLike,
        kv_tokens: npt.ArrayLike,
        time_ms: npt.ArrayLike,
        token_budget: int | None = None,
    ) -> IterationTime:
        """Least-squares fit to measured iterations, each sample weighted by 1/time (relative errors).

        Coefficients that come out negative are set to 0 and the others fitted again.

        Parameters
        ----------
        prefill_tokens, decode_requests, kv_tokens, time_ms : array_like, shape (m,)
            One entry for each iteration; times above 0.
        token_budget : int, optional
            Kept in the result.

        Raises
        ------
        InputError
            If there are fewer samples than coefficients, or a time is not positive.
        """
        times = np.asarray(time_ms, dtype=float)
        columns = [np.asarray(c, dtype=float) for c in (prefill_tokens, decode_requests, kv_tokens)]
        if len(times) < 4 or any(c.shape != times.shape for c in columns) or not np.all(times > 0):
            raise InputError("a fit needs at least 4 samples, columns of one length and times above 0")
        table = np.column_stack([np.ones_like(times), *columns]) / times[:, None]
        active = np.ones(4, dtype=bool)
        solution = np.zeros(4)
        while active.any():
            solution[:] = 0
            solution[active] = np.linalg.lstsq(table[:, active], np.ones_like(times), rcond=None)[0]
            if (solution >= 0).all():
                break
            active &= solution > 0
        error = float(np.mean(np.abs(table @ solution - 1)))
        source = f"least-squares fit to {len(times)} samples, mean absolute error {100 * error:.1f} %"
        d0, prefill, decode, kv = (float(value) for value in solution)
        return cls(d0, prefill, decode, kv, token_budget=token_budget, source=source)


FITTED = "least-squares fit to public kernel profiles (A100-80GB, fp16), valid to about 128 decoding requests; "

#: name -> iteration time.
ITERATION_TIMES: dict[str, IterationTime] = {
    "llama-2-7b-a100": IterationTime(
        9.712, 0.06279, 0.06389, 2.759e-4, source=FITTED + "mean error 3.8 % on 15 published samples"
    ),
    "llama-2-7b-a100-chunk-512": IterationTime(
        9.712,
        0.0550,
        0.06389,
        2.759e-4,
        token_budget=512,
        source="as llama-2-7b-a100, but the prefill coefficient is fitted to one published row of mean latencies "
        "(arXiv 2504.11320, single type 512/20, chunked prefill, budget 512)",
    ),
    "llama-2-70b-2xa100": IterationTime(
        56.77, 0.3215, 0.1532, 1.232e-4, source=FITTED + "the KV coefficient is uncertain by 20 % (attention by proxy)"
    ),
    "llama-3-8b-a100": IterationTime(11.00, 0.06811, 0.03052, 8.79e-5, source=FITTED + "mean error 4.2 %"),
    "llama-2-70b-2502.07115": IterationTime(
        44.6,
        0.378,
        0.52,
        0.0027,
        source="(0.0027 * mean context + 0.52) * batch + 44.6 + 0.378 * prompt tokens, used with arXiv 2502.07115 "
        "and a capacity of 16,492; mean context * batch is the number of KV tokens",
    ),
}


def find_iteration_time(name: str) -> IterationTime:
    """A preset by name.

    Parameters
    ----------
    name : str
        A key of `ITERATION_TIMES`.

    Returns
    -------
    IterationTime

    Raises
    ------
    UnknownNameError
        If there is none of that name; the message lists the names.
    """
    if name not in ITERATION_TIMES:
        raise UnknownNameError("iteration-time model", name, list(ITERATION_TIMES))
    return ITERATION_TIMES[name]
