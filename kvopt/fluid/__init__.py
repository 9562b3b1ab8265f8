"""The fluid model of requests that keep arriving: equilibrium, stable loads, WAIT and Nested WAIT thresholds.

Requests of a few types arrive at constant rates; every quantity is its long-run mean, time runs in seconds. Not to
be confused with `kvopt.bounds.fluid`, the fluid schedule of a known backlog that lower bounds are built on.

Source: arXiv 2504.11320. There an iteration takes ``d0 + d1 * (tokens held)``; here any
`kvopt.hardware.IterationTime` will do (`resident_time` is theirs), the extension is derived in docs/fluid.md.
"""

from kvopt.fluid.condition import Condition
from kvopt.fluid.equilibrium import Equilibrium, UnstableLoadError, equilibrium
from kvopt.fluid.mix import Mix, resident_time
from kvopt.fluid.nested import NestedWaitThresholds, check_nested_wait, nested_thresholds
from kvopt.fluid.stability import Stability, limit_shares, stability
from kvopt.fluid.thresholds import WaitThresholds, check_wait, wait_periods, wait_thresholds

__all__ = [
    "Condition",
    "Equilibrium",
    "Mix",
    "NestedWaitThresholds",
    "Stability",
    "UnstableLoadError",
    "WaitThresholds",
    "check_nested_wait",
    "check_wait",
    "equilibrium",
    "limit_shares",
    "nested_thresholds",
    "resident_time",
    "stability",
    "wait_periods",
    "wait_thresholds",
]
