"""First use of a method: compilation is told and does not count as solving."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import time

import numba
import numpy as np
import pytest
from typer.testing import CliRunner

import kvopt as kv
from kvopt.cli import app
from kvopt.compiling import MESSAGE
from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.solving import SOLVERS, Answer

TWO = kv.Instance(5, [1, 1], [1, 3])


def fresh(instance: Instance, monitor: Monitor) -> Answer:
    """A solver that compiles two kernels, one inside the other, and then takes 0.05 s."""

    @numba.njit
    def inner(x):
        return np.sort(x)[0]

    @numba.njit
    def outer(x):
        return inner(x) + inner(x + 1)

    outer(np.arange(3.0))
    time.sleep(0.05)
    monitor.offer(np.cumsum(instance.output) - instance.output)
    return Answer(statistics={"in_time": not monitor.stopped})


@pytest.fixture
def solver(monkeypatch):
    """The solver above by name."""
    monkeypatch.setitem(SOLVERS, "fresh", f"{__name__}:fresh")
    return "fresh"


def test_the_clock_stands_still_while_kernels_compile(solver):
    """A limit of a second must give a method a second, also on its first use."""
    begun = time.perf_counter()
    result = kv.solve(TWO, solver, time_limit_s=0.2)
    wall_s = time.perf_counter() - begun
    assert result.statistics["in_time"]
    assert result.statistics["compile_s"] > 0.2
    assert 0.05 <= result.runtime_s < 0.2
    assert wall_s == pytest.approx(result.runtime_s + result.statistics["compile_s"], abs=0.1)


def test_it_is_told_once(solver):
    """Twenty silent seconds look like a program that hangs; twenty messages look like an error."""
    told = []
    kv.solve(TWO, solver, on_progress=lambda fields: told.append(fields.get("message")))
    assert [message for message in told if message] == [MESSAGE]


def test_nothing_is_told_when_nothing_is_compiled():
    """The statistics of all later runs stay as they were."""
    kv.solve(TWO, "mc-sf")
    told = []
    result = kv.solve(TWO, "mc-sf", on_progress=told.append)
    assert "compile_s" not in result.statistics
    assert not any("message" in fields for fields in told)


def test_a_pause_is_no_time():
    """Elapsed and remaining seconds agree about it, during and after."""
    monitor = Monitor(TWO, time_limit_s=0.1)
    monitor.pause("compiling")
    before = monitor.elapsed_s
    time.sleep(0.15)
    assert monitor.elapsed_s == before
    assert not monitor.stopped
    monitor.resume()
    assert monitor.paused_s >= 0.15
    assert monitor.elapsed_s < 0.1
    time.sleep(0.12)
    assert monitor.stop_reason == "time limit"


def test_the_message_reaches_the_terminal(capsys):
    """On a line of its own, at once, and not when quiet."""
    from kvopt.cli.console import ProgressLine

    for quiet, shown in ((False, f"{MESSAGE}\n"), (True, "")):
        ProgressLine(quiet)({"elapsed_s": 0.0, "incumbent": None, "bound": None, "message": MESSAGE})
        assert capsys.readouterr().err == shown


@pytest.mark.parametrize("solver", ["auto", "dp", "starts", "prices", "mc-sf", "ordered-dp", "cp-sat", "highs", "cbc"])
def test_numba_is_loaded_before_the_clock_starts(solver):
    """Otherwise loading it would count, and the compilations that follow would too."""
    code = f"import sys; from kvopt.solving import load_solver; load_solver({solver!r}); print('numba' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.stdout == "True\n"


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (
            ["adversary", "game", "--capacity", "4", "--menu", "1,1", "--requests", "2", "--horizon", "1"],
            "kvopt.adversary.deterministic.deterministic_value",
        ),
        (
            ["adversary", "random-start", "--family", "stream", "--capacity", "4", "--last", "2"],
            "kvopt.adversary.random_start.random_start",
        ),
        (["adversary", "burst", "--policy", "mc-sf", "--capacity", "16"], "kvopt.adversary.curve.against"),
        (
            ["regret", "--capacity", "5", "--type", "1,2,1", "--rate", "1/9", "--horizons", "3", "--paths", "1"],
            "kvopt.regret.study.RegretStudy.prepare",
        ),
    ],
)
def test_commands_say_that_they_compile(monkeypatch, arguments, place):
    """Ten to forty silent seconds on the very first use look like a hang."""
    from numba.core import event

    module, _, name = place.rpartition(".")
    owner = pkgutil.resolve_name(module)
    original = getattr(owner, name)

    def compiling(*args, **kwargs):
        with event.trigger_event("numba:compile"):
            return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, compiling)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert done.stderr.count("compiling kernels") == 1
