"""``kvopt fluid``: what it prints and draws, exit codes, and files of types that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from kvopt import plot
from kvopt.cli import main
from kvopt.errors import InputError
from kvopt.fluid import Mix, stability
from kvopt.hardware import find_iteration_time
from kvopt.io.mixes import read_mix

TWO = ["--type", "512,20,14", "--type", "512,50,6"]
NESTED = [*TWO, "--fixed-ms", "10.048557", "--token-ms", "3.283344e-4", "--nested"]


def kvopt(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *line: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``kvopt fluid``."""
    monkeypatch.setattr("sys.argv", ["kvopt", "fluid", *line])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_json_has_every_figure(capsys, monkeypatch) -> None:
    """Scripts get the numbers of the nested vector, and nothing else on standard output."""
    code, out, _ = kvopt(capsys, monkeypatch, *NESTED, "--thresholds", "10,4", "--capacity", "187714", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["stable"], found["bottleneck"], found["capacity"]) == (True, "memory", 187_714)
    assert (found["nested"]["memory"], round(found["nested"]["needed"]), found["nested"]["feasible"]) == (
        175_320,
        187_713,
        True,
    )
    assert [c["holds"] for c in found["nested"]["conditions"]] == [True] * 4


def test_capacity_of_hardware_and_budget_of_the_preset(capsys, monkeypatch) -> None:
    """The capacity comes from the same code as ``kvopt capacity``; the calibrated preset brings its budget."""
    line = ["--time", "llama-2-7b-a100-chunk-512", "--model", "Llama-2-7B", *TWO[:2]]
    code, out, _ = kvopt(capsys, monkeypatch, *line, "--json")
    found = json.loads(out)
    assert (code, found["capacity"], found["token_budget"], found["bottleneck"]) == (0, 121_750, 512, "tokens")
    _, out, _ = kvopt(capsys, monkeypatch, *line)
    assert "stable: 14 requests/s take 59.38 % of tokens" in out
    assert "WAIT thresholds" in out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--type", "512,1000,50"], "unstable: every second brings 18.77 s of work"),
        (["--type", "512,20,20", "--capacity", "2000"], "of memory"),
    ],
)
def test_unstable_loads_exit_1_and_say_by_how_much(capsys, monkeypatch, more: list[str], said: str) -> None:
    """Beyond compute, and beyond memory alone."""
    code, out, _ = kvopt(capsys, monkeypatch, "--time", "llama-2-7b-a100", *more)
    assert code == 1
    assert "NOT STABLE" in out
    assert said in out
    code, out, _ = kvopt(capsys, monkeypatch, "--time", "llama-2-7b-a100", *more, "--json")
    found = json.loads(out)
    assert (code, found["stable"], found["load"] > 1) == (1, False, True)


@pytest.mark.filterwarnings("error")
def test_absurd_coefficients_stay_silent(capsys, monkeypatch) -> None:
    """An infinite load is not stable, null in JSON, and brings no warning of numpy's to the terminal."""
    code, out, err = kvopt(capsys, monkeypatch, *TWO, "--fixed-ms", "1e308", "--token-ms", "1e308", "--json")
    assert (code, err, json.loads(out)["load"], json.loads(out)["stable"]) == (1, "", None, False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--time", "llama-2-7b-a100", "--type", "512,20,-1"], "type 0: rate -1.0"),
        (["--time", "llama-2-7b-a100", "--type", "512,20,nan"], "type 0: rate nan"),
        (["--time", "llama-2-7b-a100", "--type", "512,20"], "expected PROMPT,OUTPUT,RATE"),
        (["--time", "llama-2-7b-a100"], "give --type"),
        (["--time", "gpt", *TWO], "unknown iteration-time model 'gpt'"),
        (TWO, "give --time NAME"),
        ([*TWO, "--fixed-ms", "1"], "own figures"),
        ([*TWO, "--time", "llama-2-7b-a100", "--fixed-ms", "1"], "give --time NAME"),
        ([*NESTED, "--thresholds", "10,x"], "expected numbers such as"),
        ([*NESTED, "--thresholds", "10"], "expected 2 thresholds"),
        ([*NESTED, "--type", "99,99,1"], "one common prompt"),
        ([*NESTED, "--capacity", "100", "--model", "Llama-2-7B"], "--capacity and --model both give the capacity"),
        ([*TWO, "--fixed-ms", "0", "--token-ms", "1e-4"], "an iteration time with d0 above 0"),
        ([*NESTED, "--plot", "region.gif"], "a picture ends in"),
        ([*NESTED[2:], "--plot", "region.png"], "needs two types, got 1"),
    ],
)
def test_bad_usage_is_one_message(capsys, monkeypatch, line: list[str], message: str) -> None:
    """Exit code 2, readable, no traceback."""
    code, out, err = kvopt(capsys, monkeypatch, *line)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mix.csv", "prompt,output,rate\n512,20,14\n512,50,6.0\n"),
        ("mix.json", '[{"prompt": 512, "output": 20, "rate": 14}, {"prompt": 512, "output": 50, "rate": 6.0}]'),
    ],
)
def test_files_of_types(tmp_path: Path, name: str, content: str) -> None:
    """Both formats give the same mix."""
    (tmp_path / name).write_text(content)
    mix = read_mix(tmp_path / name)
    assert (mix.prompt.tolist(), mix.output.tolist(), mix.rate.tolist()) == ([512, 512], [20, 50], [14, 6])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "prompt,output\n1,2\n", "required field `rate`"),
        ("a.csv", "prompt,output,rate\n1,2\n", "line 2: 2 cells under 3"),
        ("a.csv", "prompt,output,rate\n1,2.5,1\n", "line 2: invalid literal"),
        ("a.csv", "prompt,output,rate\n1,2,nan\n", "rate nan"),
        ("a.csv", "", "at least one type"),
        ("a.json", "[]", "at least one type"),
        ("a.json", '[{"prompt": 1, "output": 2, "rate": 1, "speed": 1}]', "unknown field `speed`"),
        ("a.json", '[{"prompt": 1.5, "output": 2, "rate": 1}]', "Expected `int`"),
        ("a.json", "{", "malformed|truncated"),
        ("missing.json", None, "cannot be read"),
    ],
)
def test_bad_files_of_types(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    """The message names the file."""
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_mix(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def borders(ax: Axes) -> dict[str, tuple[float, float]]:
    """Where the lines of the picture meet the axes."""
    lines = {str(line.get_label()): line.get_xydata() for line in ax.lines}
    return {name: (float(xy[0, 0]), float(xy[1, 1])) for name, xy in lines.items() if len(xy) == 2}


def test_picture_of_stable_loads(tmp_path: Path, capsys, monkeypatch) -> None:
    """Lines end where each type alone reaches the limit, and the grey area is below all of them."""
    time, mix = find_iteration_time("llama-2-7b-a100"), Mix.from_rows([(512, 20, 14.0), (512, 50, 6.0)])
    ax = plot.stability(mix, time, capacity=20_000, token_budget=512)
    for limit, name in (("compute", "compute (load 1)"), ("memory", "memory (20,000)")):
        alone = [Mix(mix.prompt, mix.output, rate) for rate in ([1.0, 0.0], [0.0, 1.0])]
        ends = [stability(m, time, capacity=20_000).largest(limit) for m in alone]
        assert borders(ax)[name] == pytest.approx(ends)
    corners = ax.collections[0].get_paths()[0].vertices
    for x, y in corners:
        inside = stability(Mix(mix.prompt, mix.output, [x + 1e-9, y]), time, capacity=20_000, token_budget=512)
        assert y == 0 or inside.load <= 1 + 1e-6
    picture = tmp_path / "region.png"
    code, _, err = kvopt(capsys, monkeypatch, *TWO, "--time", "llama-2-7b-a100", "--plot", str(picture))
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in err


def test_examples_of_the_page_run(tmp_path: Path, capsys, monkeypatch) -> None:
    """What a reader copies from docs/fluid.md works."""
    page = (Path(__file__).parent.parent / "docs/fluid.md").read_text(encoding="utf-8")
    lines = [line.split()[2:] for line in page.splitlines() if line.startswith("kvopt fluid ")]
    assert len(lines) == 2
    monkeypatch.chdir(tmp_path)
    for line in lines:
        assert kvopt(capsys, monkeypatch, *line)[0] == 0
    assert (tmp_path / "region.png").exists()
