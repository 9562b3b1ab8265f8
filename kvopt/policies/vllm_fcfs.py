"""``vllm-fcfs``: what serving systems do in practice."""

from __future__ import annotations

from fractions import Fraction

from kvopt.errors import InputError
from kvopt.online.policy import ThresholdPolicy

#: No demand on the memory that is free before an admission.
NONE = -(2**62)


class VllmFcfs(ThresholdPolicy):
    """Admit in the order of arrivals while the prompt fits above a watermark; on overflow preempt the last admitted.

    A preempted request is recomputed.

    Source: the scheduler of vLLM (Kwon et al., SOSP 2023) with recomputation, as commonly configured.

    Parameters
    ----------
    watermark : float
        Part of the capacity that must be free after an admission, at least 0 and below 1.

    Raises
    ------
    InputError
        If the watermark is out of range.
    """

    name = "vllm-fcfs"

    def __init__(self, watermark: float = 0.01) -> None:
        if not 0 <= watermark < 1:
            raise InputError(f"vllm-fcfs: the watermark must be at least 0 and below 1, got {watermark}")
        self.watermark = Fraction(str(watermark))

    def least_free(self, capacity: int) -> tuple[int, int]:
        """Only the watermark after the admission."""
        return NONE, int(self.watermark * capacity)
