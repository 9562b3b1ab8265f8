"""Lower bounds on the total latency, each with a certificate."""

from kvopt.bounds.bound import Bound

__all__ = ["Bound"]
