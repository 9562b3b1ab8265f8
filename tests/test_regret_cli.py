"""``kvopt regret`` as people and scripts call it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import pytest

from kvopt.cli import main

BASE = ["regret", "--capacity", "8", "--type", "1,2,0.7", "--type", "1,6,0.3"]


def call(capsys, monkeypatch, *arguments):
    """Exit code, standard output and standard error of one call."""
    monkeypatch.setattr(sys, "argv", ["kvopt", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    return ended.value.code or 0, shown.out, shown.err


def test_json_csv_and_picture(capsys, monkeypatch, tmp_path):
    """One run writes all three, and they say the same."""
    files = ["--csv", str(tmp_path / "r.csv"), "--figure", str(tmp_path / "r.png")]
    short = ["--load", "0.5", "--horizons", "20,40", "--paths", "5", "--policies", "fcfs,finite-opt", "--json", "-q"]
    code, out, err = call(capsys, monkeypatch, *BASE, *short, *files)
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["capacities"][0]["effective_capacity"] == {"lower": "15/28", "upper": "15/28"}
    assert answer["studies"][0]["rate"] == "15/56"
    rows = answer["studies"][0]["rows"]
    assert [(row["policy"], row["horizon"], row["paths"]) for row in rows] == [
        ("fcfs", 20, 5),
        ("fcfs", 40, 5),
        ("finite-opt", 20, 5),
        ("finite-opt", 40, 5),
    ]
    with open(tmp_path / "r.csv", newline="") as file:
        assert [float(row["regret"]) for row in csv.DictReader(file)] == [row["regret"] for row in rows]
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_table_to_a_pipe_stands_alone(capsys, monkeypatch):
    """With --csv - standard output is the table; --json has no room beside it."""
    short = ["--load", "0.5", "--horizons", "20", "--paths", "2", "--policies", "fcfs", "--csv", "-"]
    code, out, err = call(capsys, monkeypatch, *BASE, *short)
    assert code == 0
    assert [row["policy"] for row in csv.DictReader(out.splitlines())] == ["fcfs"]
    assert "per request" in err
    code, out, err = call(capsys, monkeypatch, *BASE, *short, "--json")
    assert (code, out) == (2, "")
    assert "choose one" in err


def test_a_picture_of_nothing_costs_no_table(capsys, monkeypatch, tmp_path):
    """No regret on a few short paths cannot be drawn on a logarithmic scale; the figures are shown all the same."""
    short = ["--load", "0.01", "--horizons", "2", "--paths", "2", "--policies", "fcfs", "--json"]
    code, out, err = call(capsys, monkeypatch, *BASE, *short, "--figure", str(tmp_path / "r.png"))
    assert code == 2
    assert json.loads(out)["studies"][0]["rows"][0]["regret"] == 0
    assert "no positive value to draw" in err


@pytest.mark.parametrize("number", ["1e400", "1e9999999", "1e-400"])
def test_numbers_out_of_reach(capsys, monkeypatch, number):
    """Loads, rates and shares beyond any float are refused at once, with the option's name."""
    for options in (["--load", number], ["--rate", number], ["--load", "0.5", "--type", f"1,3,{number}"]):
        code, out, err = call(capsys, monkeypatch, *BASE, *options, "--overload")
        assert (code, out) == (2, "")
        assert options[-2] in err
        assert number in err


def test_scaling_table(capsys, monkeypatch, tmp_path):
    """Several capacities in one run: rates in proportion, one row for each."""
    options = ["--load", "0.7", "--of", "volume", "--scale", "1,4", "--horizons", "30", "--paths", "4"]
    more = ["--policies", "mc-sf", "--baseline", "none", "--process", "poisson", "--figure", str(tmp_path / "s.svg")]
    code, out, err = call(capsys, monkeypatch, *BASE, *options, *more)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["8", "mc-sf"], ["32", "mc-sf"]]
    assert "effective 15/28" in err
    assert "70.00 % of volume" in err
    assert (tmp_path / "s.svg").exists()


def test_types_of_a_trace(capsys, monkeypatch, tmp_path):
    """Arrivals resampled from an instance file, at its capacity or another one."""
    file = tmp_path / "trace.json"
    file.write_text(
        '{"format": "kvopt/instance", "version": 1, "capacity": 8, '
        '"requests": [{"prompt": 1, "output": 2, "count": 7}, {"prompt": 1, "output": 6, "count": 3}]}'
    )
    short = ["--load", "0.5", "--horizons", "20", "--paths", "2", "--policies", "mc-sf", "--json", "-q"]
    code, out, _ = call(capsys, monkeypatch, "regret", "--trace", str(file), *short)
    assert code == 0
    assert json.loads(out)["capacities"][0]["effective_capacity"]["lower"] == "15/28"
    code, out, _ = call(capsys, monkeypatch, "regret", "--trace", str(file), "--capacity", "12", *short)
    assert json.loads(out)["capacities"][0]["effective_capacity"]["lower"] == "50/53"
    code, _, err = call(capsys, monkeypatch, *BASE, "--trace", str(file), *short)
    assert (code, "give either --type" in err) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--load", "1.1"], "unstable load: 0.589286 requests a round exceed the effective capacity 0.535714"),
        (["--load", "1.1"], "by 10 %"),
        (["--load", "nan"], "--load: expected a number"),
        (["--rate", "-0.5"], "the rate must be positive, got -0.5"),
        (["--rate", "nan"], "--rate: expected a number"),
        ([], "give either --load or --rate"),
        (["--load", "0.5", "--type", "1,2"], "expected PROMPT,OUTPUT,SHARE"),
        (["--load", "0.5", "--type", "1,3,-2"], "share must be a positive number"),
        (["--load", "0.5", "--type", "4,5,1"], "peak 9 exceeds the capacity 8"),
        (["--load", "0.5", "--policies", "lifo"], "unknown policy 'lifo'"),
        (["--load", "0.5", "--of", "paper"], "unknown capacity 'paper'"),
        (["--load", "0.5", "--scale", "0"], "factors start at 1"),
        (["--load", "0.5", "--scale", "16"], "too many running configurations"),
        (["--load", "0.5", "--figure", "r.gif"], ".png, .svg, .pdf"),
        (["--load", "0.5", "--csv", "/nowhere/r.csv"], "/nowhere"),
    ],
)
def test_bad_input(capsys, monkeypatch, options, message):
    """Exit code 2 and one readable message that names the value."""
    code, out, err = call(capsys, monkeypatch, *BASE, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_overload_can_be_asked_for(capsys, monkeypatch):
    """An unstable load runs when that is what is wanted, and is still named."""
    options = ["--load", "1.1", "--overload", "--horizons", "20", "--paths", "2", "--policies", "fcfs"]
    code, _, err = call(capsys, monkeypatch, *BASE, *options)
    assert code == 0
    assert "overload by 10 %" in err


def test_interrupt_keeps_finished_paths(tmp_path):
    """SIGINT in a long run: exit code 130 and a table of the paths finished by then."""
    table = tmp_path / "r.csv"
    options = ["--load", "0.9", "--horizons", "2000", "--paths", "1000000", "--policies", "mc-sf", "--csv", str(table)]
    program = "from kvopt.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *BASE, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:  # a line of progress comes every few seconds
            if "paths" in line:
                break
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted after" in err
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[0]["paths"]) >= 1
    assert "mc-sf" in out
