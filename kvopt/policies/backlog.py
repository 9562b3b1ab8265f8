"""List policies on a known instance: ``fcfs``, ``mc-sf`` and ``svf`` with look-ahead admission.

Each round, the arrived waiting requests are taken in the policy's order and started as long as the *future*
memory profile of all running requests stays within the capacity; the first that does not fit ends the
admission of this round. Running requests are never stopped.

Sources: ``mc-sf`` and ``fcfs`` (there MC-Benchmark): Jaillet et al., arXiv 2502.07115; ``svf``:
smallest volume first, arXiv 2606.22327.
"""

from __future__ import annotations
