"""Versions of kvopt and of the software its results depend on, for result files and bug reports."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("kvopt", "numpy", "numba", "ortools", "pulp", "networkx", "didppy")
#: What else kvopt uses, if it is there.
OTHERS = ("matplotlib", "plotly", "msgspec", "typer", "rich", "joblib", "distributed", "pandas", "pyarrow")


@cache
def versions() -> dict[str, str]:
    """Package name -> installed version, and the Python and operating system.

    Returns
    -------
    dict
        Only what is installed, of the packages that a result depends on.

    Examples
    --------
    >>> {"kvopt", "networkx"} <= set(versions())
    True
    """
    return installed(PACKAGES) | {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def installation() -> dict[str, str]:
    """All packages that kvopt uses, ``missing`` where one is not installed, Python and operating system.

    Returns
    -------
    dict
    """
    return dict.fromkeys((*PACKAGES, *OTHERS), "missing") | installed(OTHERS) | versions()


def installed(packages: Sequence[str]) -> dict[str, str]:
    """Package name -> version of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
