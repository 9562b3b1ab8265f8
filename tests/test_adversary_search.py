"""The search for bad instances, and the commands."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from typer.testing import CliRunner

from kvopt import Instance, read, read_result, solve
from kvopt.adversary.families import LargePrompts
from kvopt.adversary.mix_file import read_mix
from kvopt.adversary.random_start import random_start
from kvopt.adversary.search import Space, search
from kvopt.adversary.tables import DETERMINISTIC, RANDOMISED, Row, markdown
from kvopt.cli import app
from kvopt.errors import InputError
from kvopt.monitor import Monitor
from kvopt.online import simulate
from kvopt.policies import find_policy
from kvopt.rounding import decimal
from kvopt.verify import verify

ANY = Instance.from_rows(1, [(0, 1)])


def run(*arguments):
    """A command's exit code and output, errors as the entry point shows them."""
    return CliRunner().invoke(app, ["adversary", *map(str, arguments)])


def test_search_finds_the_counterexample():
    """Shortest-first is not exact with a common prompt: the smallest known gap must be found."""
    found = search(Space(5, 4, prompt=1), find_policy("mc-sf"), steps=400)
    assert found.ratio == Fraction(13, 12)
    assert sorted(found.instance.output.tolist()) == [1, 1, 3, 3]


def test_search_is_reproducible_and_honest():
    """Same seed, same instance; both totals recomputed, the optimum by another solver."""
    space, policy = Space(6, 5, last_arrival=6, prompt=1), find_policy("fcfs")
    first, second = (search(space, policy, steps=200, monitor=Monitor(ANY, seed=3)) for _ in range(2))
    assert first.instance == second.instance
    assert simulate(first.instance, policy).total_latency == first.total_latency
    assert solve(first.instance, "brute-force").total_latency == first.result.total_latency
    assert first.ratio > 1
    assert first.instance.arrival.max() <= 6
    assert set(first.instance.prompt.tolist()) == {1}


def test_search_needs_an_end():
    """Without steps and without a limit it would never return."""
    with pytest.raises(InputError, match="time limit"):
        search(Space(5, 3), find_policy("fcfs"))


@pytest.mark.parametrize("space", [(1, 3), (5, 0), (5, 13), (5, 3, -1), (5, 3, 0, 5), (1001, 3)])
def test_bad_spaces(space):
    """Out of range: refused before anything runs."""
    with pytest.raises(InputError):
        Space(*space)


def test_game_command():
    """The value with N and H beside it, and as JSON."""
    arguments = ("game", "--capacity", 4, "--menu", "1,1; 1,3", "--requests", 4, "--horizon", 4, "--quiet")
    shown = run(*arguments)
    assert shown.exit_code == 0
    assert "N=4, H=4: value 3/2" in shown.stdout
    found = json.loads(run(*arguments, "--json").stdout)
    assert (found["value"], found["requests"], found["horizon"]) == ("3/2", 4, 4)


def test_game_command_stopped():
    """A time limit gives a bracket and exit code 1."""
    menu = "1,1;1,9;1,4"
    shown = run(
        "game", "--capacity", 10, "--menu", menu, "--requests", 7, "--horizon", 12, "--time-limit", 0.2, "--json"
    )
    assert shown.exit_code == 1
    found = json.loads(shown.stdout)
    assert found["value"] is None
    assert found["stopped_by"] == "time limit"
    assert Fraction(found["above"]) < Fraction(found["below"])


def test_mix_is_written_and_checked(tmp_path):
    """The certificate survives the file; a file that claims more, or is no mix, does not pass."""
    path = tmp_path / "mix.json"
    arguments = ("--capacity", 4, "--menu", "1,1;1,3", "--requests", 4, "--horizon", 4, "--randomised", "-o", path)
    assert run("game", *arguments).exit_code == 0
    assert read_mix(path)[1] == Fraction(9, 7)
    assert "PROVED" in run("check", path).stdout
    path.write_text(path.read_text().replace("9/7", "10/7"))
    refused = run("check", path)
    assert refused.exit_code == 1
    assert "REFUSED  the mix certifies 9/7, not 10/7" in refused.stdout
    for other in ('{"format": "kvopt/instance"}', "{}"):
        path.write_text(other)
        with pytest.raises(InputError, match=r"mix.json: .*; a mix file of kvopt adversary game .* is expected"):
            read_mix(path)


@pytest.mark.parametrize(
    "change",
    [
        ('"weight": 1', '"weight": 0'),
        ('"weight": 1', '"weight": 1.5'),
        ('"capacity": 4', '"capacity": 3'),
        ('"round": 0', '"round": 900'),
        ('"9/7"', '"1/0"'),
        ('"9/7"', '"nine"'),
        ('"version": 1', '"version": 2'),
        ('"plays"', '"games"'),
        ("{", ""),
    ],
)
def test_bad_mix_files(tmp_path, change):
    """Anything but a mix is refused with the name of the file."""
    path = tmp_path / "mix.json"
    run("game", "--capacity", 4, "--menu", "1,1;1,3", "--requests", 4, "--horizon", 4, "--randomised", "-q", "-o", path)
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    with pytest.raises(InputError, match=r"mix\.json"):
        read_mix(path)


def test_random_start_command():
    """The bound of a random start, and a family without a stream refused."""
    arguments = ("random-start", "--capacity", 16, "--last", 24)
    assert "competitive ratio below 1.6851" in run(*arguments, "--family", "large-prompts").stdout
    found = json.loads(run(*arguments, "--family", "large-prompts", "--json").stdout)
    assert found["requests"] == 9
    assert {row["round"] for row in found["weights"]} >= {None}
    assert "known: stream, large-prompts" in str(run(*arguments, "--family", "burst").exception)


def test_family_command(tmp_path):
    """Several capacities give a curve and its exponents; the released instance can be written."""
    path = tmp_path / "burst.json"
    shown = run("A", "--policy", "mc-sf", "--capacity", "16,64", "--json", "-o", path)
    report = json.loads(shown.stdout)
    assert [point["optimum_at_most"] for point in report["points"]] == [34, 138]
    assert report["points"][1]["ratio"] == report["points"][1]["ratio_at_most"] == pytest.approx(269 / 138)
    assert set(report["exponents"]) == {"capacity", "requests"}
    assert read(path).n == 33


@pytest.mark.parametrize(
    ("name", "options", "n"),
    [
        ("stream", ("--delay", "1/5", "--long-output", 7), 129),
        ("B", (), 129),
        ("C", (), 9),
        ("large-prompts", (), 9),
        ("shortest-first", ("--copies", 2), 10),
    ],
)
def test_families_take_their_options(name, options, n):
    """Each family runs by its name or letter, with its own options."""
    shown = run(name, "--policy", "svf", "--capacity", 16, *options)
    assert shown.exit_code == 0
    assert f"n={n}:" in shown.stdout


@pytest.mark.parametrize("options", [("--delay", "2"), ("--delay", "x"), ("--long-output", 1)])
def test_families_refuse_bad_options(options):
    """Out of range: the option is named."""
    refused = run("stream", "--policy", "svf", "--capacity", 16, *options)
    assert isinstance(refused.exception, InputError)
    assert options[0][2:].replace("-", "_") in str(refused.exception).replace("-", "_")


def test_search_command_writes_a_proof(tmp_path):
    """The instance found comes with a certificate that the checker accepts."""
    path = tmp_path / "bad.json"
    arguments = ("--policy", "mc-sf", "--requests", 5, "--capacity", 6, "--steps", 60, "--seed", 1, "-o", path)
    found = json.loads(run("search", *arguments, "--json").stdout)
    instance, result = read(path), read_result(tmp_path / "bad.result.json", read(path))
    assert verify(result).verdict == "PROVED"
    assert found["optimum_at_most"] == found["optimum_at_least"] == result.total_latency
    assert instance.meta["policy_total_latency"] == found["total_latency"]


@pytest.mark.parametrize("menu", ["", "1", "1,2,3", "a,b"])
def test_bad_menus(menu):
    """Text that is no list of types."""
    refused = run("game", "--capacity", 4, "--menu", menu, "--requests", 2, "--horizon", 2)
    assert isinstance(refused.exception, InputError)


def test_tables_text():
    """Every value has its place, missing ones are named, and bounds are rounded outwards."""
    from kvopt.adversary.game import Game

    game = Game.of(6, [(1, 1), (1, 5)], 5, 5)
    text = markdown(
        [
            Row("small-and-long", Game.of(4, [(1, 1), (1, 3)], 3, 4), False, Fraction(9, 7), Fraction(9, 7)),
            Row("small-and-long", game, True, Fraction(2159, 1655), Fraction(13046, 10000)),
        ],
        [random_start(LargePrompts(8), 10)],
    )
    assert "| large-prompts | 8 | 5 | 10 | 1 | 1.2934" in text
    assert "| 3 | 9/7 | not computed |" in text
    assert "| small-and-long | 6 | 5 | 5 | 1.30453172 | 2159/1655 | 1.30460000 |" in text
    assert decimal(Fraction(1, 3), 8, up=True) == "0.33333334"
    assert len(DETERMINISTIC) == 2
    assert all(len(row) == 4 for row in RANDOMISED)
