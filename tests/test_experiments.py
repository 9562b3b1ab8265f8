"""Experiments: seeded and repeatable, a table and a picture each, findings computed from the rows."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kvopt.experiments as experiments
from kvopt.cli import main
from kvopt.errors import InputError
from kvopt.experiments import Experiment, Outcome, find_experiment, run
from kvopt.experiments.alpha_beta import slope
from kvopt.experiments.experiment import figures, mean
from kvopt.experiments.wait import BUDGET, PUBLISHED, WHOLE, cells, measure
from kvopt.experiments.workload import chat, of_types
from kvopt.fluid import Mix
from kvopt.hardware import IterationTime
from kvopt.online import Seconds, Traffic, simulate
from kvopt.plot.curves import curves
from kvopt.policies import find_policy

NAMES = ("prediction-error", "load-sweep", "alpha-beta", "energy", "wait")


def shortened(name: str, every: int, most: int = 500) -> Experiment:
    """Each so-many-th cell of the quick version, with at most so many requests."""
    whole = find_experiment(name)

    def few(seed: int, quick: bool) -> list[dict[str, Any]]:
        return [cell | {"requests": min(most, cell["requests"])} for cell in list(whole.cells(seed, True))[::every]]

    return replace(whole, cells=few)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_rows_and_a_picture(name: str) -> None:
    """Two runs agree to the last digit, another seed does not; the picture can be drawn from any part of the rows."""
    few = shortened(name, every=3)
    rows = run(few, seed=4).rows
    assert rows == run(few, seed=4).rows
    assert rows != run(few, seed=5).rows
    assert all(row["completed"] == row["requests"] for row in rows)
    few.draw(rows).canvas.draw()
    few.draw(rows[:1]).canvas.draw()


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_different_and_quick_is_less(name: str) -> None:
    """No run is done twice, and the seed reaches every cell."""
    whole = find_experiment(name)
    quick, full = list(whole.cells(3, True)), list(whole.cells(3, False))
    assert len(quick) < len(full)
    for every in (quick, full):
        assert len({json.dumps(cell, sort_keys=True) for cell in every}) == len(every)
    assert min(cell["seed"] for cell in full) == 3


def test_wait_advancing_and_chunked_prefill_match_the_published_row() -> None:
    """Within 5 % from 12 to 22 requests/s; the seeds of a 5,000-request mean differ by 1 to 8 % there."""
    for policy, budget, column, rates, seeds in (
        ("fcfs", BUDGET, 0, (12.0, 14.0, 16.0, 18.0, 20.0, 21.0, 22.0), 12),
        ("wait-advancing", WHOLE, 1, (12.0, 18.0, 22.0), 4),
    ):
        row = next(c for c in cells(0, False) if c["policy"] == policy and c["token_budget"] == budget)
        for rate in rates:
            found = [measure(row | {"rate": rate, "seed": seed})["mean_latency_s"] for seed in range(seeds)]
            assert np.mean(found) == pytest.approx(PUBLISHED[rate][column], rel=0.05), (policy, rate)


def test_wait_sustains_more_where_memory_limits_and_nothing_more_where_tokens_do() -> None:
    """Past overload with equal budget: 512/1000 gains over both first-come-first-served rules, 512/20 does not."""

    def sustained(case: str, policy: str) -> float:
        wanted = {"part": case, "policy": policy, "load": 1.3, "token_budget": BUDGET}
        return measure(next(c for c in cells(0, True) if wanted.items() <= c.items()))["sustained"]

    found = {policy: sustained("memory", policy) for policy in ("fcfs", "vllm-fcfs", "wait-advancing")}
    assert found["wait-advancing"] > 0.98
    assert found["fcfs"] < 0.95
    assert found["vllm-fcfs"] < 0.85
    assert sustained("tokens", "wait-advancing") == pytest.approx(sustained("tokens", "fcfs"), rel=0.01)


def test_findings_are_means_of_the_rows() -> None:
    """Two seeds of MC-SF at the published point, and slopes of a straight line."""
    rows = [
        {"rate": rate, "requests": n, "policy": "mc-sf", "seed": s, "mean_latency_s": n / 100 + s}
        for rate in (50.0, 10.0)
        for n in (1_000, 2_000, 10_000)
        for s in (0, 1)
    ]
    found = find_experiment("alpha-beta").findings(rows)
    assert (
        "mc-sf, 1,000 requests at 50/s: mean latency 10.50 s, seeds 10.00 to 11.00 (published 32.11, -67.3 %)" in found
    )
    assert slope(rows, "mc-sf", 10.0) is None  # one upper size is no line
    rows += [row | {"requests": 9_000, "mean_latency_s": 90 + row["seed"]} for row in rows if row["requests"] == 1_000]
    assert slope(rows, "mc-sf", 10.0) == pytest.approx(0.01)
    assert any("mc-sf 1/100" in text for text in find_experiment("alpha-beta").findings(rows))


def test_unfinished_runs_are_none_and_not_numbers() -> None:
    """A mean over the completed part of a run would flatter the policy."""
    rows = [{"a": 1.0, "p": 1}, {"a": None, "p": 1}, {"a": 2.0, "p": 2}, {"a": 4.0, "p": 2}]
    assert mean(rows, "a", p=1) is None
    assert mean(rows, "a", p=2) == 3.0
    assert mean(rows, "a", p=3) is None
    # Two requests of half the cache each that both overflow together: alpha = 0 resets them for ever.
    traffic = Traffic(10, [3, 3], [4, 4], [0.0, 0.0])
    row = figures(simulate(traffic, find_policy("alpha-greedy:alpha=0"), Seconds(IterationTime(1, 0, 0, 0))))
    assert (row["mean_latency_s"], row["stopped_by"] is None) == (None, False)


def test_interruption_keeps_the_rows_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in the fourth run: three rows in the table, a picture, exit code 130."""
    whole = find_experiment("alpha-beta")
    runs = []

    def stop_at_the_fourth(cell: dict[str, Any]) -> dict[str, Any]:
        runs.append(cell)
        if len(runs) == 4:
            raise KeyboardInterrupt
        return whole.measure(cell)

    monkeypatch.setattr(
        experiments, "find_experiment", lambda name: replace(shortened(name, 1), measure=stop_at_the_fourth)
    )
    code, out = kvopt(monkeypatch, capsys, "alpha-beta", "--out", str(tmp_path / "new" / "folder"), "--json")
    found = json.loads(out)
    assert code == 130
    assert (found["interrupted"], found["rows"], found["findings"]) == (True, 3, [])
    rows = list(csv.DictReader(io.StringIO(Path(found["csv"]).read_text())))
    assert [row["policy"] for row in rows] == [cell["policy"] for cell in runs[:3]]
    assert Path(found["picture"]).read_bytes().startswith(b"\x89PNG")


def kvopt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str]:
    """Exit code of ``kvopt experiment``, and what it printed."""
    monkeypatch.setattr("sys.argv", ["kvopt", "experiment", *line])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out or err


def test_command_writes_table_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a reader of the paper types first; the rows in the file are those that were measured."""
    code, out = kvopt(monkeypatch, capsys, "energy", "--quick", "--out", str(tmp_path), "--seed", "2")
    assert code == 0
    assert out.startswith("Energy per request (model): 12 runs\n")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "energy.csv").read_text())))
    measured = find_experiment("energy").measure(next(iter(find_experiment("energy").cells(2, True))))
    assert float(rows[0]["request_j_idle_60_w"]) == measured["request_j_idle_60_w"]
    assert (tmp_path / "energy.png").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["nothing"], "unknown experiment 'nothing'; known: prediction-error"),
        (["energy", "--quick", "--seed", "-1"], "seed must be at least 0"),
        (["energy", "--quick", "--out", "{file}"], "cannot be made a folder"),
    ],
)
def test_bad_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: list[str],
    message: str,
) -> None:
    """Exit code 2 and one message."""
    (tmp_path / "file").write_text("")
    code, said = kvopt(monkeypatch, capsys, *(part.format(file=tmp_path / "file") for part in line))
    assert code == 2
    assert message in said


def test_traffic_has_the_stated_rates_and_shares() -> None:
    """Poisson times by their mean, types by their share."""
    traffic = of_types(Mix.from_rows([(1, 2, 3.0), (3, 4, 1.0)]), 100, 20_000, seed=1)
    assert traffic.arrival_s[-1] / 20_000 == pytest.approx(1 / 4, rel=0.03)
    assert (traffic.prompt == 1).mean() == pytest.approx(0.75, abs=0.02)
    assert chat(5.0, 2_000, seed=1).arrival_s[-1] / 2_000 == pytest.approx(0.2, rel=0.1)


def test_curves_are_means_with_bands() -> None:
    """A line through the means, a gap where a repetition did not finish, styles by the order given."""
    rows = [
        {"x": 1, "y": 1.0, "p": "a"},
        {"x": 1, "y": 3.0, "p": "a"},
        {"x": 2, "y": None, "p": "a"},
        {"x": 2, "y": 5.0, "p": "a"},
        {"x": 1, "y": 4.0, "p": "b"},
    ]
    ax = curves(rows, "x", "y", "p", names=("c", "b", "a"))
    lines = {line.get_label(): line for line in ax.lines}
    assert np.array_equal(lines["a"].get_ydata(), [2.0, np.nan], equal_nan=True)
    assert lines["b"].get_ydata().tolist() == [4.0]
    assert lines["b"].get_color() != curves(rows, "x", "y", "p", names=("b",)).lines[0].get_color()
    with pytest.raises(InputError, match="no rows"):
        curves([], "x", "y", "p")


def test_table_of_rows_with_different_columns() -> None:
    """A measurement that only some rows have leaves empty cells, as does None."""
    assert Outcome([{"a": 1, "b": None}, {"a": 2, "c": 3}], False).csv() == b"a,b,c\n1,,\n2,,3\n"
