"""A lower bound together with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvopt.model import Certificate

#: One number that a thread sets to a value other than zero to end the work of another.
HaltFlag = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Bound:
    """No schedule has a total latency below `value`.

    Attributes
    ----------
    value : int
        Lower bound on the total latency in rounds; exactly what `certificate` proves.
    certificate : Certificate
        Evidence that `kvopt.verify` checks with integers alone (docs/certificates.md).
    """

    value: int
    certificate: Certificate
