"""Energy of serving: an open model, not a measurement.

No energy figure of the scheduling papers is public. Each iteration of T seconds is charged
``(P_idle + (P_busy - P_idle) * utilisation) * T`` joules: P_busy is the board's power limit, P_idle a parameter
of your own (no maker publishes it), utilisation the share of the iteration that is not fixed overhead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvopt.errors import InputError


@dataclass(frozen=True)
class PowerModel:
    """Power of all GPUs of a worker, linear in utilisation.

    Parameters
    ----------
    idle_w, busy_w : float
        Watts at utilisation 0 and 1, ``0 <= idle_w <= busy_w``; a Llama-2-7B worker on one A100-SXM has
        ``busy_w = 400``.

    Examples
    --------
    >>> PowerModel(idle_w=60, busy_w=400).energy_j(2.0, 0.5)
    460.0
    """

    idle_w: float
    busy_w: float

    def __post_init__(self) -> None:
        if not 0 <= self.idle_w <= self.busy_w < float("inf"):
            raise InputError(f"need 0 <= idle power <= busy power, got {self.idle_w} W and {self.busy_w} W")

    def energy_j(self, time_s: npt.ArrayLike, utilisation: npt.ArrayLike) -> float:
        """Joules of iterations.

        Parameters
        ----------
        time_s : array_like
            Seconds of each iteration, >= 0.
        utilisation : array_like
            Utilisation of each, 0..1 (`kvopt.hardware.IterationTime.utilisation`), or one value for all.

        Raises
        ------
        InputError
            If a value is out of range or not a number.
        """
        seconds, used = np.asarray(time_s, dtype=float), np.asarray(utilisation, dtype=float)
        if not (np.all(seconds >= 0) and np.all((used >= 0) & (used <= 1))):
            raise InputError("iteration times must be at least 0 and utilisations within 0..1")
        return float(np.sum((self.idle_w + (self.busy_w - self.idle_w) * used) * seconds))
