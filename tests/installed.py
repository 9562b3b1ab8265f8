"""Solvers that need a package which is not installed are skipped, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import pytest

#: Solver -> optional package it needs.
NEEDS = {"didp": "didppy"}


def where_installed(solvers: Iterable[str]) -> list[Any]:
    """The names as parameters of a test."""
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name in NEEDS and find_spec(NEEDS[name]) is None, reason=f"{NEEDS.get(name)} is not installed"
            ),
        )
        for name in solvers
    ]
