"""``--solver auto``: the exact dynamic programme where it can be expected to finish, memory prices elsewhere."""

from __future__ import annotations

from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.solve import Answer, load_solver

#: Above these the dynamic programme is not tried first.
DP_MAX_REQUESTS, DP_MAX_OUTPUT = 400, 256


def solve(instance: Instance, monitor: Monitor) -> Answer:
    """Choose the method by size and run it."""
    small = instance.n <= DP_MAX_REQUESTS and int(instance.output.max()) <= DP_MAX_OUTPUT
    return load_solver("dp" if small else "prices")(instance, monitor)
