"""Versions of kvopt and of the software its results depend on, for result files and bug reports."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("kvopt", "numpy", "numba", "ortools", "pulp", "networkx")


@cache
def versions() -> dict[str, str]:
    """Package name -> installed version, and the Python and operating system.

    >>> sorted(versions())[:2]
    ['kvopt', 'networkx']
    """
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
