"""``kvopt simulate``: what it prints and writes, and its exit codes."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from kvopt import Instance, write
from kvopt.cli import app
from kvopt.cli.console import watched
from kvopt.errors import InputError
from kvopt.io.profile import read_profile

SECONDS = ["--clock", "seconds", "--iteration-time", "llama-2-7b-a100-chunk-512"]
TYPES = ["--type", "512,20,12", "--capacity", "20000", "--requests", "50"]


def run(*arguments: str):
    """The command with these arguments."""
    return CliRunner().invoke(app, ["simulate", *arguments])


@pytest.fixture
def instance(tmp_path):
    """A small instance file."""
    path = tmp_path / "small.json"
    write(Instance(10, [2, 2, 8], [4, 4, 1], [0, 0, 3], name="small"), path)
    return str(path)


def test_several_policies_make_one_object(instance, tmp_path):
    """--json prints one object with a run for each policy; -o adds the requests."""
    path = tmp_path / "runs.json"
    done = run(instance, "--policy", "fcfs", "--policy", "vllm-fcfs:watermark=0.2", "--json", "-o", str(path))
    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    assert (shown["format"], shown["version"], shown["name"]) == ("kvopt/simulation", 1, "small")
    assert [one["policy"] for one in shown["runs"]] == ["fcfs", "vllm-fcfs:watermark=0.2"]
    assert shown["runs"][0]["total_latency"] == 14
    written = json.loads(path.read_text())
    assert written["runs"][0]["per_request"]["completion"] == [4, 6, 7]
    assert {key: value for key, value in written["runs"][0].items() if key != "per_request"} == shown["runs"][0]


def test_table_and_csv(instance, tmp_path):
    """Without --json a line for each policy, and a table of requests for spreadsheets."""
    path = tmp_path / "runs.csv"
    done = run(instance, "--policy", "fcfs", "--policy", "svf", "-o", str(path))
    assert done.exit_code == 0
    assert "fcfs" in done.stdout
    assert "svf" in done.stdout
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 6
    assert rows[2] | {"policy": "fcfs", "request": "2", "prompt": "8", "completion": "7"} == rows[2]


def test_streams_traces_and_energy(tmp_path):
    """Poisson types, a trace with times of its own, and lengths drawn from an instance; joules where asked for."""
    drawn = run(*TYPES, *SECONDS, "--policy", "vllm-fcfs", "--json", "--busy-w", "400", "--idle-w", "60")
    figures = json.loads(drawn.stdout)["runs"][0]
    assert figures["completed"] == 50
    assert 60 * figures["duration"] < figures["energy_j"] < 400 * figures["duration"]
    assert figures["settings"]["token_budget"] == 512
    trace = tmp_path / "trace.csv"
    trace.write_text("p,o,t\n5,2,0.5\n7,3,0.75\n")
    columns = ["--source", "csv", "--prompt-column", "p", "--output-column", "o", "--arrival-column", "t"]
    done = run(str(trace), *columns, "--capacity", "50", *SECONDS, "--policy", "fcfs", "-o", str(tmp_path / "t.json"))
    assert done.exit_code == 0
    arrivals = json.loads((tmp_path / "t.json").read_text())["runs"][0]["per_request"]["arrival"]
    assert arrivals == [0, 0.25]
    again = run(
        str(trace), *columns, "--capacity", "50", "--rate", "0.5", "--rounds", "40", "--policy", "svf", "--json"
    )
    assert json.loads(again.stdout)["runs"][0]["clock"] == "rounds"


def test_overload_is_announced():
    """An unstable stream says so, with the percentage, on standard error; JSON stays alone on standard output."""
    done = run("--type", "512,20,30", *TYPES[2:], *SECONDS, "--policy", "fcfs", "--json")
    # 532 tokens a request, so 0.962 requests a full iteration of 40.8 ms: 23.6 of 30 requests a second
    assert "unstable: the stream asks for 127.2 % of tokens" in done.stderr
    assert json.loads(done.stdout)
    quiet = run("--type", "512,20,30", *TYPES[2:], *SECONDS, "--policy", "fcfs", "--json", "--quiet")
    assert quiet.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --policy NAME"),
        (["--policy", "fcfs"], "give FILE, or --type"),
        (["FILE", "--policy", "nope"], "unknown policy 'nope'"),
        (["FILE", "--policy", "fcfs", "--clock", "days"], "expected rounds or seconds, got 'days'"),
        (["FILE", "--policy", "fcfs", "--clock", "seconds"], "needs --iteration-time"),
        (["FILE", "--policy", "fcfs", *SECONDS], "needs --seconds-per-round"),
        (["FILE", "--policy", "fcfs", *SECONDS[:3], "gpu9"], "unknown iteration-time model 'gpu9'"),
        (["FILE", "--policy", "fcfs", "--token-budget", "5"], "--token-budget goes with --clock seconds"),
        (["FILE", "--policy", "fcfs", "--requests", "9"], "--requests goes with a stream drawn in seconds"),
        (["FILE", "--policy", "fcfs", "--seconds-per-round", "1"], "--seconds-per-round goes with an instance file"),
        (["FILE", "--policy", "fcfs", "--limit", "1"], "--limit goes with --source"),
        (["FILE", "--policy", "fcfs", *SECONDS, "--max-running", "0"], "running requests must be at least 1"),
        (["FILE", "--policy", "fcfs", "--prediction", "odd"], "unknown predictions 'odd'"),
        (["FILE", "--policy", "mc-sf", "--prediction", "none"], "needs predicted outputs"),
        (["FILE", "--policy", "fcfs", "--busy-w", "5"], "needs both"),
        (["FILE", "--policy", "fcfs", "--busy-w", "5", "--idle-w", "1"], "rounds have no length"),
        (["FILE", "--policy", "fcfs", "--capacity", "5"], "a capacity of its own"),
        (["FILE", "--policy", "fcfs", "--source", "csv"], "--source needs --capacity"),
        (["FILE", "--policy", "fcfs", "--rate", "-1"], "rate must be above 0"),
        (["FILE", "--policy", "fcfs", "--seed", "-1"], "seed must be an integer within 0..9223372036854775807, got -1"),
        (["FILE", "--policy", "fcfs", "--type", "1,1,1"], "leave out FILE"),
        (["--policy", "fcfs", "--type", "1,1,1", "--capacity", "9", "--rounds", "0"], "within 1..10000000, got 0"),
        (["--policy", "fcfs", "--type", "1,1,1"], "--type needs --capacity"),
        (["--policy", "fcfs", "--type", "1,1,nan", "--capacity", "9"], "rate nan"),
        (["--policy", "fcfs", "--type", "1,1,-2", "--capacity", "9"], "rate -2"),
        (["--policy", "fcfs", "--type", "9,1,2", "--capacity", "9"], "exceeds the capacity 9"),
    ],
)
def test_bad_input_is_named(arguments, message, instance):
    """Each mistake ends in an InputError (exit code 2) that says what to do."""
    done = run(*(instance if argument == "FILE" else argument for argument in arguments))
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_unfinished_runs_exit_with_one(tmp_path):
    """A policy that goes round in circles is a no, not a crash: exit code 1 and the reason."""
    path = tmp_path / "circle.json"
    write(Instance(10, [0, 0], [9, 9]), path)
    done = run(str(path), "--policy", "alpha-greedy:alpha=0")
    assert done.exit_code == 1
    assert "0 of 2 requests completed: the policy goes round in circles" in done.stderr


def test_an_interrupted_run_keeps_what_it_has(tmp_path, monkeypatch):
    """Ctrl-C in the middle of the first of two policies: exit code 130; its run is written, marked as partial."""
    path = tmp_path / "part.json"
    reports = []

    def interrupt(line, fields):
        reports.append(fields)
        raise KeyboardInterrupt

    monkeypatch.setattr("kvopt.cli.console.ProgressLine.__call__", interrupt)
    stream = ["--type", "20,300,40", "--capacity", "4000", "--requests", "20000"]
    done = run(*stream, *SECONDS, "--policy", "gsa", "--policy", "fcfs", "--json", "-o", str(path))
    assert done.exit_code == 130
    assert len(reports) == 1
    assert {"elapsed_s", "completed", "requests"} == reports[0].keys()
    (only,) = json.loads(path.read_text())["runs"]
    assert only["stopped_by"] == "interrupted"
    assert only["completed"] < only["requests"] == 20_000
    assert json.loads(done.stdout)["runs"][0]["completed"] == only["completed"]


@pytest.mark.parametrize("arguments", [["simulate", "FILE"], ["adversary", "burst", "--capacity", "16"]])
def test_output_to_a_pipe_stands_alone(instance, arguments):
    """With -o - standard output is the file: the figures for people must not be mixed into it."""
    call = [instance if a == "FILE" else a for a in arguments]
    done = CliRunner().invoke(app, [*call, "--policy", "fcfs", "-o", "-"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["format"].startswith("kvopt/")
    assert "fcfs" in done.stderr


def test_profiles_are_fitted(tmp_path):
    """Measured iterations in a CSV file give the coefficients they were made with; bad cells are named."""
    path = tmp_path / "gpu.csv"
    rows = [(p, d, k) for p in (0, 100, 500) for d in (1, 20) for k in (0, 5000)]
    lines = [f"{p},{d},{k},{10 + 0.05 * p + 0.06 * d + 0.0003 * k}" for p, d, k in rows]
    path.write_text("prefill_tokens,decode_requests,kv_tokens,time_ms\n" + "\n".join(lines) + "\n")
    fitted = read_profile(path)
    found = (fitted.d0_ms, fitted.prefill_ms, fitted.decode_ms, fitted.kv_ms)
    assert found == pytest.approx((10, 0.05, 0.06, 0.0003))
    assert "gpu.csv" in fitted.source
    done = run("--type", "5,5,1", "--capacity", "99", "--policy", "fcfs", *SECONDS[:3], str(path), "--json")
    assert json.loads(done.stdout)["runs"][0]["settings"]["iteration_time"]["prefill_ms"] == pytest.approx(0.05)
    path.write_text(path.read_text().replace("500,20", "500,many", 1))
    with pytest.raises(InputError, match=r"gpu.csv: line 12: decode_requests: expected a number .* got 'many'"):
        read_profile(path)
    path.write_text("prefill_tokens,time_ms\n1,2\n")
    with pytest.raises(InputError, match="'decode_requests' is missing"):
        read_profile(path)
    path.write_text("prefill_tokens,decode_requests,kv_tokens,time_ms\n1,2,3,4\n")
    with pytest.raises(InputError, match="at least 4 samples"):
        read_profile(path)


def test_compilation_is_announced_once(capsys):
    """The first run ever compiles for some seconds; one line says so, and none with --quiet."""
    for quiet in (False, True):
        monitor, _ = watched(quiet)
        for _ in range(2):
            monitor.pause("compiling")
            monitor.resume()
    assert capsys.readouterr().err == "compiling\n"
