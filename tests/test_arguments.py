"""Wrong arguments: an InputError that names the argument in Python and the option on the command line."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

import kvopt as kv
from kvopt.bounds import lower_bound
from kvopt.cli.console import exact
from kvopt.errors import InputError
from kvopt.model import Schedule
from kvopt.monitor import Monitor
from kvopt.online import simulate

FOUR = kv.Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3], name="four")
RESULT = kv.solve(FOUR, "brute-force")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kv.Instance("5", [1], [1]), "capacity must be an integer"),
        (lambda: kv.Instance(5, 1, [1]), "prompt: expected a flat list of integers, got 1"),
        (lambda: kv.Instance(5, [1], None), "output: expected a flat list of integers, got None"),
        (lambda: kv.Instance(5, [1], "1"), "output: expected a flat list of integers"),
        (lambda: kv.Instance(5, [1], [[1], [1, 2]]), "output: expected a flat list of integers"),
        (lambda: kv.Instance(5, [1], [True]), "output: expected a flat list of integers"),
        (lambda: kv.Instance(5, [1], [2**63]), "output"),
        (lambda: kv.Instance(5, [1], [2**70]), "output"),
        (lambda: kv.Instance(5, [1], [1], arrival=3), "arrival: expected a flat list"),
        (lambda: kv.Instance(5, [1], [1], name=3), "name must be a str, got 3"),
        (lambda: kv.Instance(5, [1], [1], ids=7), "ids"),
        (lambda: kv.Instance(5, [1], [1], ids=[7]), "ids"),
        (lambda: kv.Instance(5, [1, 1], [1, 1], ids="ab"), "ids"),
        (lambda: kv.Instance(5, [1], [1], meta=[1]), "meta must be a Mapping"),
        (lambda: kv.Instance.from_rows(5, 7), "rows"),
        (lambda: kv.Instance.from_rows(5, [7]), "rows"),
        (lambda: kv.Instance.from_rows(5, []), "at least one request"),
        (lambda: kv.Instance.from_rows(5, [(1,)]), "rows"),
        (lambda: kv.Instance.from_rows(5, [(1, 1, 1, 0, 0)]), "rows"),
        (lambda: kv.Instance.from_rows(5, [(1, 1.5)]), "rows"),
        (lambda: kv.Instance.from_rows(5, [(1, 1, -1)]), "rows"),
        (lambda: Schedule(5, [1]), "instance must be an Instance, got 5"),
        (lambda: Schedule(FOUR, 5), "starts: expected a flat list"),
        (lambda: kv.read(3), "path must be a str or Path, got 3"),
        (lambda: kv.read(None), "path must be a str or Path, got None"),
        (lambda: kv.read("a\0b"), "cannot be read"),
        (lambda: kv.read_result(3, FOUR), "path must be a str or Path, got 3"),
        (lambda: kv.read_result("x.json", 3), "instance must be an Instance, got 3"),
        (lambda: kv.write(3, "x.json"), "instance must be an Instance, got 3"),
        (lambda: kv.write(FOUR, 3), "path must be a str or Path, got 3"),
        (lambda: kv.write(FOUR, "a\0b"), "cannot be written"),
        (lambda: kv.write_result(FOUR, "x.json"), "result must be a Result, got <Instance"),
        (lambda: kv.write_result(RESULT, None), "path must be a str or Path, got None"),
        (lambda: kv.solve(5), "instance must be an Instance, got 5"),
        (lambda: kv.solve("four.json"), "instance must be an Instance, got 'four.json'"),
        (lambda: kv.solve(FOUR, 5), "solver"),
        (lambda: kv.solve(FOUR, ["dp"]), "solver"),
        (lambda: kv.solve(FOUR, monitor=5), "monitor must be a Monitor, got 5"),
        (lambda: lower_bound(5), "instance must be an Instance, got 5"),
        (lambda: lower_bound(FOUR, 5), "bound"),
        (lambda: lower_bound(FOUR, time_limit_s="x"), "time_limit_s must be a number above 0"),
        (lambda: Monitor(5), "instance must be an Instance, got 5"),
    ],
)
def test_wrong_types_are_input_errors(call, message):
    """A notebook user who mixes up arguments must read which one and why, not an error from deep inside."""
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("time_limit_s", "x"),
        ("time_limit_s", 0),
        ("time_limit_s", -1),
        ("time_limit_s", True),
        ("time_limit_s", math.nan),
        ("time_limit_s", math.inf),
        ("time_limit_s", 1e300),
        ("memory_limit_gb", "1GB"),
        ("memory_limit_gb", 0.0),
        ("target_gap", -0.1),
        ("target_gap", "1%"),
        ("target_gap", math.nan),
        ("target_gap", None),
        ("seed", -1),
        ("seed", 1.5),
        ("seed", "x"),
        ("workers", 0),
        ("workers", 2.0),
        ("workers", 10**6),
        ("on_progress", 5),
    ],
)
def test_wrong_limits_name_the_argument(argument, value):
    """Every limit is checked before anything runs; the message starts with the argument and shows the value."""
    with pytest.raises(InputError) as caught:
        kv.solve(FOUR, "mc-sf", **{argument: value})
    assert str(caught.value).startswith(f"{argument} must be ")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("text", ["1e400", "-1e101", "1e-400", "1e9999999999", "1/0", "nan", "inf", "", "0,5"])
def test_ratios_stay_within_reach(text):
    """Exact arithmetic on a number of a million digits never ends, and 1e400 is no float: both are refused as typed."""
    with pytest.raises(InputError, match="--load: expected a number"):
        exact(text, "--load")


def test_seeds_beyond_the_engine_are_named():
    """A seed of more than 64 bits must not end in an overflow deep inside."""
    with pytest.raises(InputError, match=r"seed must be an integer within 0\.\.9223372036854775807, got"):
        simulate(FOUR, "mc-sf", seed=2**63)
    assert simulate(FOUR, "alpha-beta-clearing", seed=2**63 - 1).finished


def test_numpy_numbers_are_numbers():
    """Limits and capacities often come out of numpy or a fraction."""
    instance = kv.Instance(np.int32(5), np.array([1], dtype=np.int16), (np.int64(2),))
    result = kv.solve(instance, "mc-sf", time_limit_s=np.float32(5), seed=np.int64(3), workers=np.int8(1))
    assert result.total_latency == 2
    assert result.limits == {"time_limit_s": 5.0, "target_gap": 0.0, "seed": 3, "workers": 1}


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["solve", "FILE", "--time-limit", "0"], "--time-limit must be a number above 0"),
        (["solve", "FILE", "--time-limit", "inf"], "--time-limit must be a number above 0"),
        (["solve", "FILE", "--memory-limit", "-1"], "--memory-limit must be a number above 0"),
        (["solve", "FILE", "--gap", "-1"], "--gap must be a number"),
        (["solve", "FILE", "--seed", "-1"], "--seed must be an integer of at least 0"),
        (["solve", "FILE", "--workers", "0"], "--workers must be an integer within 1..1000"),
        (["bound", "FILE", "--time-limit", "nan"], "--time-limit must be a number above 0"),
        (["generate", "types", "--seed", "-1"], "--seed must be an integer of at least 0"),
        (["capacity", "--model", "Llama-2-7B", "--gpus", "0"], "--gpus must be an integer within 1..1000000"),
        (["capacity", "--model", "Llama-2-7B", "--fraction", "0"], "--fraction must be above 0 and at most 1"),
        (["capacity", "--model", "Llama-2-7B", "--block", "0"], "--block must be an integer of at least 1"),
        (["capacity", "--model", "Llama-2-7B", "--reserve-mb", "-1"], "--reserve-mb must be at least 0"),
    ],
)
def test_the_command_line_names_the_option(tmp_path, monkeypatch, capsys, arguments, option):
    """Whoever typed --time-limit has never heard of time_limit_s."""
    from kvopt.cli import main

    kv.write(FOUR, tmp_path / "four.json")
    monkeypatch.setattr(sys, "argv", ["kvopt", *(str(tmp_path / "four.json") if a == "FILE" else a for a in arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    shown = capsys.readouterr()
    assert end.value.code == 2
    assert shown.err.startswith(f"kvopt: {option}")
    assert shown.out == ""


@pytest.mark.parametrize("solver", ["highs", "cp-sat"])
def test_small_memory_limits_are_shown_in_full(solver):
    """A limit of 0.0 GB would look like a limit that nobody set."""
    long = kv.Instance(capacity=4_000, prompt=[1] * 40, output=range(900, 940))
    with pytest.raises(InputError) as caught:
        kv.solve(long, solver, memory_limit_gb=0.0123)
    assert "0.0123 GB are allowed" in str(caught.value)


def test_fresh_import_checks_arguments_without_numba():
    """Refusing a wrong argument must not take the seconds that loading the compiler takes."""
    code = "import kvopt as kv, sys\ntry: kv.solve(5)\nexcept ValueError: print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
