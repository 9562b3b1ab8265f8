"""What a user meets in the shell besides the commands: completion of names, versions for a bug report."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from kvopt.cli import app
from kvopt.versions import installation


def completed(line: str) -> list[str]:
    """What bash would offer for a command line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_KVOPT_COMPLETE": "complete_bash"}
    code = "import sys; sys.argv[0] = 'kvopt'; from kvopt.cli import main; main()"
    shown = subprocess.run([sys.executable, "-c", code], env={**os.environ, **words}, capture_output=True, text=True)
    assert shown.stderr == ""
    return shown.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("kvopt rep", ["report"]),
        ("kvopt solve --mem", ["--memory-limit"]),
        ("kvopt solve --solver hi", ["highs", "highs-indexed"]),
        ("kvopt bench types --solvers dp,mc", ["dp,mc-sf"]),
        ("kvopt generate mod", ["model1", "model2"]),
        ("kvopt import moon", ["mooncake"]),
    ],
)
def test_names_are_completed(line: str, offered: list[str]) -> None:
    """Commands, options, and the names of the registries, also within a list."""
    assert completed(line) == offered


def test_versions_for_a_bug_report() -> None:
    """All that an answer depends on, and what is not installed; the JSON object holds the same."""
    told = json.loads(CliRunner().invoke(app, ["versions", "--json"]).stdout)
    assert {"kvopt", "ortools", "plotly", "python", "platform", "cpu", "cores"} <= set(told)
    text = CliRunner().invoke(app, ["versions"]).stdout
    assert [line.split(None, 1) for line in text.splitlines()] == [[name, value] for name, value in told.items()]


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not there is the likeliest reason of a report."""
    monkeypatch.setattr("kvopt.versions.OTHERS", ("no-such-package",))
    assert installation()["no-such-package"] == "missing"
