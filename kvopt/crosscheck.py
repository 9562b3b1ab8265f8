"""Several exact methods on one instance: do their schedules and bounds agree?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from kvopt.exact.brute_force import MAX_N
from kvopt.model import Instance, Result
from kvopt.monitor import Monitor
from kvopt.solving import solve
from kvopt.verify import REFUSED, Verification, verify

#: The methods compared unless others are named; brute force joins them on small instances.
DEFAULT_SOLVERS = ("dp", "cp-sat", "highs", "scip", "cbc")


@dataclass(frozen=True)
class Row:
    """What one method had to say.

    Attributes
    ----------
    solver : str
    result : Result or None
        None if the method failed.
    verification : Verification or None
        Of the result, by the independent checker.
    error : str or None
        Why it failed, or what the checker refused.
    runtime_s : float
    """

    solver: str
    result: Result | None
    verification: Verification | None
    error: str | None
    runtime_s: float

    @property
    def value(self) -> int | None:
        """Total latency of the schedule."""
        return None if self.result is None else self.result.total_latency

    @property
    def bound(self) -> int | None:
        """Lower bound claimed."""
        return None if self.result is None else self.result.lower_bound

    @property
    def status(self) -> str:
        """Status of the result, or ``error``."""
        return "error" if self.result is None else str(self.result.status)


def default_solvers(instance: Instance) -> list[str]:
    """The methods to compare on an instance.

    >>> default_solvers(Instance(capacity=2, prompt=[1], output=[1]))[-1]
    'brute-force'
    """
    return [*DEFAULT_SOLVERS, *(["brute-force"] if instance.n <= MAX_N else [])]


def attempt(instance: Instance, solver: str, monitor: Monitor) -> Row:
    """Run one method and verify its result; whatever it raises becomes part of the row."""
    try:
        result = solve(instance, solver, monitor=monitor)
    except Exception as error:  # the other methods must get their turn
        return Row(solver, None, None, f"{type(error).__name__}: {error}", monitor.elapsed_s)
    verification = verify(result)
    refused = "; ".join(map(str, verification.violations)) if verification.verdict == REFUSED else None
    return Row(solver, result, verification, refused, monitor.elapsed_s)


def contradictions(rows: Sequence[Row]) -> list[str]:
    """Every pair of rows in which the bound of one is above the value of the other, and results the checker refused.

    Two different claimed optima are such a pair: the larger one is a bound above the smaller one's schedule.

    Examples
    --------
    >>> inst = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    >>> contradictions([attempt(inst, name, Monitor(inst)) for name in ("brute-force", "mc-sf")])
    []
    """
    found = [f"{row.solver} was refused by the checker: {row.error}" for row in rows if row.result and row.error]
    for high, low in permutations(rows, 2):
        if high.bound is not None and low.value is not None and high.bound > low.value:
            found.append(
                f"{high.solver} claims that no schedule is below {high.bound:,}, "
                f"yet the schedule of {low.solver} has {low.value:,}"
            )
    return found
