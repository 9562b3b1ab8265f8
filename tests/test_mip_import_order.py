"""OR-Tools before PuLP, and no second HiGHS: each order in a Python process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOLVE = """
from kvopt import Instance, solve
print(solve(Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3]), "cbc").lower_bound)
"""


def python(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, with more folders to import from."""
    path = os.pathsep.join([*map(str, paths), str(Path(__file__).parents[1])])
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def highspy(tmp_path: Path) -> Path:
    """A folder with a package of that name that gives whatever it is asked for, as PuLP does at import."""
    package = tmp_path / "highspy"
    package.mkdir()
    fake = "from unittest.mock import MagicMock\n\ndef __getattr__(name):\n    return MagicMock()\n"
    (package / "__init__.py").write_text(fake)
    return tmp_path


@pytest.mark.parametrize("first", ["pulp", "highspy"])
def test_wrong_order_with_highspy_is_refused(first: str, highspy: Path) -> None:
    """Whichever HiGHS is loaded second crashes or answers wrongly: better no answer."""
    run = python(f"import {first}" + SOLVE, highspy)
    assert run.returncode == 1
    assert f"SolverError: {first} was imported before OR-Tools and highspy is installed" in run.stderr


@pytest.mark.parametrize("before", ["", "import ortools.sat.python.cp_model, pulp, highspy"])
def test_right_order_with_highspy_works(before: str, highspy: Path) -> None:
    """OR-Tools first is safe, whether kvopt or its caller saw to it."""
    run = python(before + SOLVE, highspy)
    assert (run.stdout, run.returncode) == ("12\n", 0)


def test_any_order_without_highspy_works() -> None:
    """PuLP alone brings no HiGHS."""
    if subprocess.run([sys.executable, "-c", "import highspy"], capture_output=True).returncode == 0:
        pytest.skip("highspy is installed here")
    run = python("import pulp" + SOLVE)
    assert (run.stdout, run.returncode) == ("12\n", 0)


def test_kvopt_loads_no_solver_before_one_is_used() -> None:
    """`kvopt --help` and reading files must stay quick."""
    run = python(
        "import sys, kvopt, kvopt.solving, kvopt.cli; print([m for m in ('ortools', 'pulp') if m in sys.modules])"
    )
    assert run.stdout == "[]\n"
