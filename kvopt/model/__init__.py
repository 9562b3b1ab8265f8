"""Instances, schedules, results, certificates: frozen, integers; imports nothing else of kvopt but its errors."""

from kvopt.model.instance import (
    MAX_REQUESTS,
    MAX_VALUE,
    FloatArray,
    Instance,
    IntArray,
    RequestTypes,
    exact_sum,
    volume,
)
from kvopt.model.result import Certificate, Result, Status
from kvopt.model.schedule import Schedule

__all__ = [
    "MAX_REQUESTS",
    "MAX_VALUE",
    "Certificate",
    "FloatArray",
    "Instance",
    "IntArray",
    "RequestTypes",
    "Result",
    "Schedule",
    "Status",
    "exact_sum",
    "volume",
]
