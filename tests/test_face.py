"""The names a user sees after ``import kvopt``."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "from kvopt import solve",
        "import kvopt.solve; from kvopt import solve",
        "import kvopt.exact.brute_force; import kvopt; solve = kvopt.solve",
    ],
)
def test_solve_is_a_function(code: str) -> None:
    """The module kvopt.solve has the name of its function and must not take its place, whatever is imported first."""
    program = f"{code}; from kvopt import Instance; print(solve(Instance(5, [1], [2]), 'brute-force').total_latency)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (shown.stdout, shown.stderr) == ("2\n", "")
