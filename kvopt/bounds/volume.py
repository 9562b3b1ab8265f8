"""The volume bound: no completion is earlier than memory could have been served for, or than its own output."""

from __future__ import annotations

from kvopt.bounds.bound import Bound
from kvopt.model import Certificate, Instance
from kvopt.verify import Problem, check_volume


def bound(instance: Instance) -> Bound:
    """Rank-wise maximum of the sorted earliest completions and the shortest-remaining-volume completions.

    The certificate holds no data, so the checker's own computation is the bound. O(n log n).

    Examples
    --------
    >>> bound(Instance(capacity=190, prompt=[0] * 1000, output=[19] * 1000)).value
    500671
    """
    return Bound(check_volume(Problem.of(instance), {}), Certificate("volume"))
