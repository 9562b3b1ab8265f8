"""Lower bounds on the total latency, each with a certificate."""

from kvopt.bounds.best import METHODS, lower_bound
from kvopt.bounds.bound import Bound

__all__ = ["METHODS", "Bound", "lower_bound"]
