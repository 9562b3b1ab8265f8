"""kvopt crosscheck: contradictions are found, failures become rows."""

from __future__ import annotations

import msgspec
import pytest
from typer.testing import CliRunner

from kvopt import Instance, write
from kvopt.cli import app
from kvopt.crosscheck import attempt, contradictions
from kvopt.errors import SolverError
from kvopt.monitor import Monitor
from kvopt.solving import SOLVERS, Answer

INSTANCE = Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)])


def optimist(instance: Instance, monitor: Monitor) -> Answer:
    """A method that claims the optimum 13 for a schedule of that value."""
    monitor.offer([0, 0, 1, 4])
    return Answer(13)


def boaster(instance: Instance, monitor: Monitor) -> Answer:
    """A method with a bound and no schedule."""
    return Answer(14)


def crash(instance: Instance, monitor: Monitor) -> Answer:
    """A method with a bug."""
    raise ZeroDivisionError("of its own making")


def forger(instance: Instance, monitor: Monitor) -> Answer:
    """A method whose schedule does not fit."""
    monitor.offer([0, 0, 0, 0])
    return Answer(8)


@pytest.fixture(autouse=True)
def bad_solvers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the methods above known."""
    for solver in (optimist, boaster, crash, forger):
        monkeypatch.setitem(SOLVERS, solver.__name__, f"{__name__}:{solver.__name__}")


def run(tmp_path, *options: str):
    """The command on the counterexample to shortest-first."""
    write(INSTANCE, tmp_path / "i.json")
    return CliRunner().invoke(app, ["crosscheck", str(tmp_path / "i.json"), *options])


def test_all_methods_agree(tmp_path) -> None:
    """The default methods run, brute force among them, and none contradicts."""
    result = run(tmp_path, "--json")
    report = msgspec.json.decode(result.stdout)
    assert result.exit_code == 0
    assert [row["solver"] for row in report["rows"]] == ["dp", "cp-sat", "highs", "scip", "cbc", "brute-force"]
    assert {(row["total_latency"], row["lower_bound"], row["status"]) for row in report["rows"]} == {
        (12, 12, "optimal")
    }
    assert report["contradictions"] == []


@pytest.mark.parametrize("liar", ["optimist", "boaster"])
def test_contradiction_is_named_and_ends_with_1(tmp_path, liar: str) -> None:
    """A bound above another's schedule is wrong, whoever is to blame."""
    result = run(tmp_path, "--solvers", f"{liar},brute-force")
    assert result.exit_code == 1
    assert f"CONTRADICTION  {liar} claims" in result.stdout
    assert "yet the schedule of brute-force has 12" in result.stdout


def test_failing_methods_are_rows(tmp_path) -> None:
    """One method's crash or invalid schedule must not hide what the others found."""
    result = run(tmp_path, "--solvers", "crash,forger,brute-force", "--json")
    rows = msgspec.json.decode(result.stdout)["rows"]
    assert result.exit_code == 0
    assert [row["status"] for row in rows] == ["error", "error", "optimal"]
    assert "ZeroDivisionError: of its own making" in rows[0]["error"]
    assert "not feasible" in rows[1]["error"]
    assert rows[0]["total_latency"] is None


def test_no_schedule_at_all_ends_with_1(tmp_path) -> None:
    """Nothing found is not agreement."""
    result = run(tmp_path, "--solvers", "crash")
    assert result.exit_code == 1
    assert "no method found a schedule" in result.stdout


def test_unknown_method_is_bad_input(tmp_path) -> None:
    """Refused before anything runs."""
    result = run(tmp_path, "--solvers", "brute-force,glpk")
    assert "unknown solver 'glpk'" in str(result.exception)


def test_feasible_results_contradict_only_through_bounds() -> None:
    """A heuristic with a worse schedule and no bound agrees with everybody."""
    rows = [attempt(INSTANCE, name, Monitor(INSTANCE)) for name in ("brute-force", "mc-sf", "optimist")]
    assert len(contradictions(rows)) == 1
    assert contradictions(rows[:2]) == []
    assert isinstance(attempt(INSTANCE, "forger", Monitor(INSTANCE)).error, str)
    assert SolverError.__name__ in attempt(INSTANCE, "forger", Monitor(INSTANCE)).error


def test_names_are_shown_as_they_are(tmp_path) -> None:
    """No markup and no escapes in the name of a file's instance."""
    path = tmp_path / "a.json"
    write(Instance(capacity=5, prompt=[1, 1], output=[1, 3], name="a [/red] :smile: \x1b[31m"), path)
    for arguments in (["crosscheck", str(path), "--solvers", "mc-sf"], ["simulate", str(path), "--policy", "mc-sf"]):
        run = CliRunner().invoke(app, arguments)
        assert run.exit_code == 0
        assert "a [/red] :smile: \\x1b[31m" in run.stdout


def test_brute_force_refuses_long_horizons() -> None:
    """It keeps memory round by round."""
    instance = Instance(capacity=2_000_000, prompt=[0, 0], output=[1_000_000, 1_000_000])
    assert "at most 1,000,000 rounds" in str(attempt(instance, "brute-force", Monitor(instance)).error)
