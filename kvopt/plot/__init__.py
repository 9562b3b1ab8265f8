"""Pictures of schedules and results, with matplotlib; each takes `ax` last and returns it, none shows anything.

Without `ax` a figure of its own is made, apart from pyplot: nothing to close, no display needed, and the axes show
themselves as the last line of a notebook cell. Every picture stays readable when printed in grey.
"""

from kvopt.plot.blocks import schedule
from kvopt.plot.canvas import SUFFIXES, picture_suffix, save
from kvopt.plot.ecdf import latencies
from kvopt.plot.figure import draw
from kvopt.plot.profiles import gap_profile, performance_profile
from kvopt.plot.progress import trajectory
from kvopt.plot.rows import waiting
from kvopt.plot.stability import stability
from kvopt.plot.usage import memory

__all__ = [
    "SUFFIXES",
    "draw",
    "gap_profile",
    "latencies",
    "memory",
    "performance_profile",
    "picture_suffix",
    "save",
    "schedule",
    "stability",
    "trajectory",
    "waiting",
]
