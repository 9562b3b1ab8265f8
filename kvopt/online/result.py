"""What a simulation measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kvopt.errors import InputError
from kvopt.hardware.energy import PowerModel
from kvopt.model import FloatArray, Instance, IntArray, Schedule
from kvopt.online.traffic import Traffic

if TYPE_CHECKING:
    import pandas as pd

#: Percentiles in summaries.
PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, eq=False, repr=False)
class SimulationResult:
    """One run of a policy; times are rounds or seconds, NaN where a request did not get so far.

    Attributes
    ----------
    source : Instance or Traffic
        The requests.
    policy : str
    clock : {"rounds", "seconds"}
    arrival, start, first_token, completion : float64 arrays of shape (n,)
        `start` is the start of the run that completed (evictions reset it); `first_token` is when the first
        token was ready, evicted later or not.
    evictions : int64 array of shape (n,)
    stopped_by : str or None
        Why the run ended before all requests were complete: ``interrupted``, or why the policy cannot finish.
    consecutive : bool
        No request was evicted or stood still, so that the starts are a schedule.
    iterations, overflows : int
        Batches run, and how often one had to be made to fit by evictions.
    prefill_tokens, generated_tokens : int
        Work done, repeated work included.
    peak_memory : int
        Most tokens held in an iteration.
    mean_memory : float
        Average over time of the tokens held, from the first arrival to the end.
    busy, idle, overhead : float
        Time in iterations, time between them since the first arrival, and the fixed part of the busy time.
    seed : int
    settings : mapping
        Predictions, iteration time and limits, for reports.
    """

    source: Instance | Traffic
    policy: str
    clock: Literal["rounds", "seconds"]
    arrival: FloatArray
    start: FloatArray
    first_token: FloatArray
    completion: FloatArray
    evictions: IntArray
    stopped_by: str | None
    consecutive: bool
    iterations: int
    overflows: int
    prefill_tokens: int
    generated_tokens: int
    peak_memory: int
    mean_memory: float
    busy: float
    idle: float
    overhead: float
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        mean = statistics(self.latency)
        latency = "" if mean is None else f", mean latency {mean['mean']:.6g} {self.clock}"
        state = "" if self.stopped_by is None else f", {self.stopped_by}"
        return f"<{self.policy} on {self.source.name!r}: {self.done:,} of {self.n:,} requests{latency}{state}>"

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.arrival)

    @property
    def done(self) -> int:
        """Number of completed requests."""
        return int(np.isfinite(self.completion).sum())

    @property
    def finished(self) -> bool:
        """Whether all requests were completed."""
        return self.done == self.n

    @property
    def latency(self) -> FloatArray:
        """Completion less arrival, shape (n,)."""
        return self.completion - self.arrival

    @property
    def time_to_first_token(self) -> FloatArray:
        """First token less arrival, shape (n,)."""
        return self.first_token - self.arrival

    @property
    def time_per_output_token(self) -> FloatArray:
        """(completion - first token) / (output - 1), shape (n,); NaN for outputs of one token."""
        output = self.source.output
        return np.where(output > 1, (self.completion - self.first_token) / np.maximum(output - 1, 1), np.nan)

    @property
    def total_latency(self) -> int:
        """Total latency in rounds.

        Raises
        ------
        InputError
            On the seconds clock, or if some request was not completed.
        """
        if self.clock != "rounds" or not self.finished:
            raise InputError("a total latency in rounds needs a finished run on the clock of rounds")
        return int(self.latency.astype(np.int64).sum())

    @property
    def schedule(self) -> Schedule:
        """The starts as a schedule.

        Raises
        ------
        InputError
            If there is none: another clock, an unfinished run, an eviction, or a request that stood still.
        """
        if not isinstance(self.source, Instance) or not self.finished or not self.consecutive:
            raise InputError("no schedule: it takes a finished run on the clock of rounds without evictions and pauses")
        return Schedule(self.source, self.start.astype(np.int64))

    @property
    def duration(self) -> float:
        """Time from the first arrival to the end."""
        return self.busy + self.idle

    @property
    def throughput(self) -> float:
        """Output tokens of completed requests per round or second."""
        return float(self.source.output[np.isfinite(self.completion)].sum() / self.duration) if self.duration else 0.0

    def energy_j(self, power: PowerModel) -> float:
        """Joules by the model of `kvopt.hardware.energy`, idle time at idle power (seconds clock).

        Raises
        ------
        InputError
            On the clock of rounds, which have no length.
        """
        if self.clock != "seconds":
            raise InputError("rounds have no length in seconds, so there is no energy to speak of")
        used = 1 - self.overhead / self.busy if self.busy else 0.0
        return power.energy_j([self.busy, self.idle], [min(max(used, 0.0), 1.0), 0.0])

    def summary(self, power: PowerModel | None = None) -> dict[str, Any]:
        """The figures of the run as a JSON-ready object; with `power` also the energy.

        ``latency``, ``time_to_first_token`` and ``time_per_output_token`` hold mean and percentiles over the requests
        that have them, None if there is none.
        """
        figures: dict[str, Any] = {
            "policy": self.policy,
            "clock": self.clock,
            "requests": self.n,
            "completed": self.done,
            "stopped_by": self.stopped_by,
            "latency": statistics(self.latency),
            "time_to_first_token": statistics(self.time_to_first_token),
            "time_per_output_token": statistics(self.time_per_output_token),
            "throughput_tokens": self.throughput,
            "throughput_requests": self.done / self.duration if self.duration else 0.0,
            "duration": self.duration,
            "busy": self.busy,
            "iterations": self.iterations,
            "mean_memory": self.mean_memory,
            "peak_memory": self.peak_memory,
            "capacity": self.source.capacity,
            "overflows": self.overflows,
            "evictions": int(self.evictions.sum()),
            "prefill_tokens": self.prefill_tokens,
            "generated_tokens": self.generated_tokens,
            "seed": self.seed,
            "settings": dict(self.settings),
        }
        if self.clock == "rounds" and self.finished:
            figures["total_latency"] = self.total_latency
        if power is not None:
            energy = self.energy_j(power)
            figures["energy_j"] = energy
            figures["energy_per_request_j"] = energy / self.done if self.done else None
        return figures

    def columns(self) -> dict[str, list[Any]]:
        """Prompt, output, arrival, start, first token, completion and evictions as lists (None for missing)."""
        found: dict[str, list[Any]] = {"prompt": self.source.prompt.tolist(), "output": self.source.output.tolist()}
        for name in ("arrival", "start", "first_token", "completion"):
            kind = int if self.clock == "rounds" else float
            found[name] = [kind(value) if value == value else None for value in getattr(self, name).tolist()]
        return {**found, "evictions": self.evictions.tolist()}

    def as_dict(self, power: PowerModel | None = None) -> dict[str, Any]:
        """The summary as a JSON-ready object, with `columns` under ``per_request``."""
        return {**self.summary(power), "per_request": self.columns()}

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each request in the order of the source; needs pandas."""
        import pandas as pd

        return pd.DataFrame(
            {
                "prompt": self.source.prompt,
                "output": self.source.output,
                "arrival": self.arrival,
                "start": self.start,
                "first_token": self.first_token,
                "completion": self.completion,
                "latency": self.latency,
                "time_to_first_token": self.time_to_first_token,
                "time_per_output_token": self.time_per_output_token,
                "evictions": self.evictions,
            }
        )


def statistics(values: FloatArray) -> dict[str, float] | None:
    """Mean and percentiles of the finite values, None if there is none.

    >>> statistics(np.array([1.0, 2.0, 3.0, np.nan]))["mean"]
    2.0
    """
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return None
    points = np.percentile(known, PERCENTILES)
    return {"mean": float(known.mean()), **{f"p{p}": float(v) for p, v in zip(PERCENTILES, points, strict=True)}}
