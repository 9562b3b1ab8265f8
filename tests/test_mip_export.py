"""Exported files, read by others, are the same problem."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from ortools.linear_solver.python import model_builder
from strategies import instances
from typer.testing import CliRunner

from kvopt import Instance, solve, write
from kvopt.cli import app
from kvopt.errors import UnknownNameError
from kvopt.mip.libraries import pulp
from kvopt.mip.pulp_cbc import FORMULATIONS, export


def optimum_of(data: bytes, format: str, folder: Path) -> float:
    """Read a file with the reader of CBC or of OR-Tools, which had no part in writing it, and solve it."""
    if format == "mps":
        model = model_builder.Model()
        assert model.import_from_mps_string(data.decode())
        solver = model_builder.Solver("scip")
        assert solver.solve(model) == model_builder.SolveStatus.OPTIMAL
        return solver.objective_value
    path = folder / "model.lp"
    path.write_bytes(data)
    command = [pulp.PULP_CBC_CMD.pulp_cbc_path, path, "-ratio", "0", "-solve"]
    log = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    return float(re.search(r"Result - Optimal solution found\s+Objective value:\s+(\S+)", log)[1])


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("format", ["lp", "mps"])
@settings(max_examples=8)
@given(instance=instances(max_n=5))
def test_exported_file_has_the_optimum_of_the_instance(
    format: str, formulation: str, instance: Instance, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whoever solves the file elsewhere must get the same number."""
    value = optimum_of(export(instance, format, formulation), format, tmp_path_factory.mktemp("lp"))
    assert value == pytest.approx(solve(instance, "brute-force").total_latency, abs=1e-6)


def test_export_command_writes_the_file_and_names_it(tmp_path) -> None:
    """The command writes what the library makes, and tells scripts where."""
    instance = Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])
    source, target = tmp_path / "i.json", tmp_path / "o.mps"
    write(instance, source)
    run = CliRunner().invoke(app, ["export", str(source), "--format", "mps", "-o", str(target), "--json"])
    assert run.exit_code == 0
    assert msgspec.json.decode(run.stdout)["bytes"] == len(target.read_bytes())
    assert optimum_of(target.read_bytes(), "mps", tmp_path) == pytest.approx(12)


@pytest.mark.parametrize(("format", "formulation"), [("xml", "aggregated"), ("lp", "typed")])
def test_unknown_names_are_refused(format: str, formulation: str) -> None:
    """With the names that exist."""
    with pytest.raises(UnknownNameError, match="known"):
        export(Instance(capacity=2, prompt=[1], output=[1]), format, formulation)
