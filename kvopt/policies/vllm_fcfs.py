"""``vllm-fcfs``: what serving systems do in practice."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from kvopt.errors import InputError
from kvopt.online import kernels
from kvopt.online.policy import Policy, Rule
from kvopt.online.view import Named, View


class VllmFcfs(Policy):
    """Admit in the order of arrivals while the prompt fits above a watermark; preempt the last admitted on overflow.

    Nothing is known or assumed of outputs. A preempted request is recomputed; in that iteration nothing is
    admitted. An empty worker takes the first request in any case.

    Source: the scheduler of vLLM (Kwon et al., SOSP 2023) with recomputation, as commonly configured.

    Parameters
    ----------
    watermark : float
        Part of the capacity that must be free after an admission, within 0..1.

    Raises
    ------
    InputError
        If the watermark is out of range.
    """

    name = "vllm-fcfs"

    def __init__(self, watermark: float = 0.01) -> None:
        if not 0 <= watermark < 1:
            raise InputError(f"vllm-fcfs: the watermark must be within 0..1, got {watermark}")
        self.watermark = Fraction(str(watermark))

    def decide(self, view: View) -> Iterable[Named]:
        """Admit while the rest stays above the watermark."""
        if view.overflowed and view.running:
            return []
        token = 0 if view.separate_prefill else 1
        least, room, slots = int(self.watermark * view.capacity), view.room, view.slots
        chosen: list[Named] = []
        for request in view.waiting:
            room -= request.prompt + token
            if len(chosen) == slots or (room < least and (chosen or view.running)):
                break
            chosen.append(request)
        return chosen

    def rule(self, capacity: int) -> Rule:
        """Admission by threshold."""
        return Rule("arrival", admission=kernels.THRESHOLD, least_free=(-(2**62), int(self.watermark * capacity)))
