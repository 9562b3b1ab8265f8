"""What a solver's run amounts to: a schedule, a lower bound, and evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from kvopt.model.instance import Instance
from kvopt.model.schedule import Schedule

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class Status(StrEnum):
    """What the solver claims; whether the claim is proved is for the verifier to say."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Certificate:
    """Evidence for a lower bound that `kvopt.verify` can check without trusting who made it.

    Attributes
    ----------
    kind : str
        ``volume``, ``flow``, ``prices``, ``growth``, ``room``, ``packing``, ``search``, ``sublimation`` or ``tree``;
        docs/certificates.md states each format and its proof.
    data : mapping
        The other keys of the certificate as they stand in a result file (integers, lists and strings).
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of a result file."""
        return {"kind": self.kind, **self.data}


@dataclass(frozen=True)
class Result:
    """A solver's answer after its schedule has been recomputed and verified.

    Attributes
    ----------
    instance : Instance
    solver : str
        Name of the method that produced it.
    status : Status
    schedule : Schedule or None
        The best schedule found; None when the status is ``unknown`` or ``infeasible``.
    lower_bound : int or None
        No schedule has a smaller total latency, so the solver claims.
    certificate : Certificate or None
        Evidence for `lower_bound`; None when there is none to check.
    limits, statistics, versions : mapping
        What the run was allowed, what it did (``runtime_s`` at least), and with which software.
    """

    instance: Instance
    solver: str
    status: Status
    schedule: Schedule | None = None
    lower_bound: int | None = None
    certificate: Certificate | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def total_latency(self) -> int | None:
        """Total latency of the schedule in rounds, or None."""
        return None if self.schedule is None else self.schedule.total_latency

    @property
    def gap(self) -> Fraction | None:
        """(total latency - lower bound) / lower bound, exact; None while either is missing."""
        if self.schedule is None or self.lower_bound is None:
            return None
        if self.lower_bound <= 0:
            return None
        return Fraction(self.schedule.total_latency - self.lower_bound, self.lower_bound)

    @property
    def runtime_s(self) -> float | None:
        """Wall-clock seconds of the run; None where the statistics, free in a file, hold no such number."""
        seconds = self.statistics.get("runtime_s")
        return seconds if isinstance(seconds, int | float) and 0 <= seconds < 1e12 else None

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the schedule, see `kvopt.plot.schedule`."""
        from kvopt.plot import schedule

        return schedule(self, ax)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each request, see `kvopt.io.dataframes.result_to_dataframe`; needs pandas."""
        from kvopt.io.dataframes import result_to_dataframe

        return result_to_dataframe(self)

    def _repr_html_(self) -> str:
        from kvopt.display import result_html

        return result_html(self)
