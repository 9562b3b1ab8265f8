"""Pictures: what is drawn adds up to what it stands for, at every size, and nothing is shown or left open."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from kvopt import plot, solve, write, write_result
from kvopt.cli import main
from kvopt.errors import InputError
from kvopt.model import Instance, Result, Schedule, Status
from kvopt.plot.classes import HATCHES, classes
from kvopt.plot.figure import COMPARISONS, PANELS, draw
from kvopt.plot.stack import stacked, stacking_order

FOUR = Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3], name="four")
OPTIMUM = Schedule(FOUR, [0, 1, 0, 3])
SIZES = (1, 4, 40, 1_000, 20_000)


def some_schedule(n: int) -> Schedule:
    """One request every few rounds, of many shapes: not optimal, but feasible."""
    draw = np.random.default_rng(n)
    instance = Instance(capacity=200, prompt=draw.integers(0, 30, n), output=draw.integers(1, 20, n), name=f"n{n}")
    return Schedule(instance, np.arange(n) * 7)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Any starts at all: pictures must also show what is not feasible."""
    rows = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(0, 8)), min_size=1, max_size=9))
    prompt, output, starts = zip(*rows, strict=True)
    return Schedule(Instance(capacity=10, prompt=prompt, output=output), starts)


def polygon_area(corners: np.ndarray) -> float:
    """Shoelace formula."""
    x, y = corners[:, 0], corners[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def drawn_area(ax: Axes) -> float:
    """Area of all faces of requests or classes; the idle background lies below them, outlines above."""
    faces = [c for c in ax.collections if isinstance(c, PolyCollection) and c.get_zorder() == 1]
    return sum(polygon_area(path.vertices) for face in faces for path in face.get_paths())


@pytest.mark.parametrize("n", SIZES)
def test_drawn_area_is_the_memory(n: int) -> None:
    """One by one or as bands, the coloured area is the token-rounds held, or the picture lies about memory."""
    plan = some_schedule(n)
    ax = plot.schedule(plan)
    assert drawn_area(ax) == pytest.approx(int(plan.memory.sum()), rel=1e-9)
    assert int(plan.memory.sum()) == int(plan.instance.volume.sum())


def test_long_runs_are_drawn_as_bands() -> None:
    """Few requests of a million rounds would be millions of corners one by one; the area is the same."""
    plan = Schedule(Instance(capacity=2**21, prompt=[5, 7], output=[2**20, 2**20]), [0, 3])
    ax = plot.schedule(plan)
    assert drawn_area(ax) == pytest.approx(int(plan.memory.sum()), rel=1e-9)
    assert sum(len(path.vertices) for c in ax.collections for path in c.get_paths()) < 10_000


@given(schedules())
def test_blocks_pile_up_to_the_memory(plan: Schedule) -> None:
    """In each round the blocks lie on each other without gap or overlap, each as high as its tokens."""
    lower, upper = stacked(plan, stacking_order(plan))
    held = plan.memory
    for round_ in range(plan.makespan):
        running = [i for i in range(plan.instance.n) if plan.starts[i] <= round_ < plan.completions[i]]
        spans = []
        for i in running:
            j = round_ - int(plan.starts[i])
            assert upper[i][j] - lower[i][j] == plan.instance.prompt[i] + j + 1
            spans.append((int(lower[i][j]), int(upper[i][j])))
        spans.sort()
        assert [low for low, _ in spans[:1]] in ([], [0])
        assert all(below[1] == above[0] for below, above in pairwise(spans))
        assert (spans[-1][1] if spans else 0) == held[round_]


def test_blocks_stay_in_one_piece_where_they_can() -> None:
    """The counterexamples of the teaching notebooks must be readable: no request torn apart in these."""
    for capacity, prompt, output, starts in (
        (5, 1, [1, 1, 3, 3], [0, 1, 0, 3]),
        (8, 2, [1, 1, 3, 3], [0, 1, 0, 2]),
        (6, 1, [2, 2, 3, 3], [0, 2, 0, 3]),
        (7, 1, [1, 1, 1, 2, 2, 2], [0, 0, 1, 0, 1, 2]),
        (10, 2, [2, 2, 3, 3, 3], [0, 2, 0, 3, 3]),
    ):
        plan = Schedule(Instance(capacity=capacity, prompt=[prompt] * len(output), output=output), starts)
        lower, upper = stacked(plan, stacking_order(plan))
        for low, up in zip(lower, upper, strict=True):
            assert all(low[j + 1] < up[j] and low[j] < up[j + 1] for j in range(len(low) - 1))


def test_every_request_of_a_small_picture_is_named() -> None:
    """A lecturer points at request 2: each block carries its label, or its id where it has one."""
    assert sorted(text.get_text() for text in plot.schedule(OPTIMUM).texts)[:4] == ["0", "1", "2", "3"]
    named = Instance(capacity=5, prompt=[1], output=[3], ids=["long"])
    assert "long" in [text.get_text() for text in plot.schedule(Schedule(named, [0])).texts]


@pytest.mark.parametrize("kinds", range(1, len(HATCHES) + 1))
def test_classes_differ_in_grey(kinds: int) -> None:
    """Printed in grey, two classes still differ: neighbours in lightness, all of them by hatch."""
    groups = classes(Instance(capacity=99, prompt=[1] * kinds, output=range(1, kinds + 1)))
    assert len(groups) == kinds
    light = [float(np.dot(to_rgb(groups.colour(k)), (0.299, 0.587, 0.114))) for k in range(kinds)]
    assert all(a - b > 0.05 for a, b in pairwise(light))
    assert len(set(HATCHES)) == len(HATCHES)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=60))
def test_classes_go_by_volume(rows: list[tuple[int, int]]) -> None:
    """Every request is in exactly one class, none is empty, and a darker class never has a smaller request."""
    prompt, output = zip(*rows, strict=True)
    instance = Instance(capacity=50, prompt=prompt, output=output)
    groups = classes(instance)
    assert len(groups) <= len(HATCHES)
    spans = [instance.volume[groups.of_request == k] for k in range(len(groups))]
    assert all(len(span) for span in spans)
    assert sum(map(len, spans)) == instance.n
    assert all(below.max() <= above.min() for below, above in pairwise(spans))


@pytest.mark.parametrize("n", SIZES)
def test_memory_curve_keeps_its_area(n: int) -> None:
    """Means over columns must not lose memory: the area under the curve is the token-rounds."""
    plan = some_schedule(n)
    ax = plot.memory({"a": plan, "b": plan})
    steps = ax.patches[0].get_data()
    assert float(np.dot(steps.values, np.diff(steps.edges))) == pytest.approx(int(plan.instance.volume.sum()))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


@pytest.mark.parametrize("n", SIZES)
def test_area_left_of_the_latency_curve_is_the_average(n: int) -> None:
    """So the picture and the figure in its legend say the same."""
    plan = some_schedule(n)
    steps = plot.latencies({"a": plan}).patches[0].get_data()
    longest = int(plan.latencies.max())
    edges = np.minimum(steps.edges, longest)
    missing = float(np.dot(1 - np.asarray(steps.values), np.diff(edges)))
    assert missing == pytest.approx(float(plan.average_latency))


@pytest.mark.parametrize("n", SIZES)
def test_waiting_and_running_add_up_to_the_latency(n: int) -> None:
    """The two areas together are the total latency."""
    plan = some_schedule(n)
    waits, runs = (
        sum(polygon_area(path.vertices) for path in collection.get_paths())
        for collection in plot.waiting(plan).collections
    )
    assert runs == pytest.approx(int(plan.instance.output.sum()))
    assert waits + runs == pytest.approx(plan.total_latency)


def test_given_axes_are_used_and_returned() -> None:
    """Who composes a figure gets the axes back that went in; who does not gets new ones that a notebook can show."""
    figure = Figure()
    given_axes = figure.subplots(2, 2).ravel()
    result = solve(FOUR, "brute-force")
    returned = [
        plot.schedule(result, given_axes[0]),
        plot.memory({"a": result}, given_axes[1]),
        plot.latencies({"a": OPTIMUM}, given_axes[2]),
        plot.waiting(OPTIMUM, given_axes[3]),
    ]
    assert all(a is b for a, b in zip(given_axes, returned, strict=True))
    assert plot.schedule(OPTIMUM)._repr_png_().startswith(b"\x89PNG")


def test_nothing_is_shown_or_left_open() -> None:
    """Pictures are made apart from pyplot, and the command line loads matplotlib only to draw."""
    program = (
        "import sys, kvopt.cli; assert 'matplotlib' not in sys.modules\n"
        "from kvopt import Instance, Schedule, plot\n"
        "plot.schedule(Schedule(Instance(5, [1], [2]), [0])).figure.canvas.draw()\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def run_record(trajectory: list[tuple[float, int | None, int | None]]) -> Result:
    """A finished run of the four requests that went this way."""
    statistics = {"runtime_s": 9.0, "trajectory": trajectory}
    return Result(FOUR, "dp", Status.OPTIMAL, OPTIMUM, lower_bound=12, statistics=statistics)


def test_trajectory_ends_at_the_result() -> None:
    """Both curves start when their first value is known and end with the values of the result."""
    ax = plot.trajectory(run_record([(0.1, None, 8), (0.2, 14, 8), (3.0, 12, 10)]))
    best, bound = (line.get_xydata().tolist() for line in ax.lines)
    assert best == [[0.2, 14], [3.0, 12], [9.0, 12]]
    assert bound == [[0.1, 8], [0.2, 8], [3.0, 10], [9.0, 12]]


def test_pictures_refuse_what_they_cannot_draw() -> None:
    """A missing schedule or record is said in words, not drawn as an empty frame."""
    empty = Result(FOUR, "dp", Status.UNKNOWN)
    with pytest.raises(InputError, match="no schedule"):
        plot.schedule(empty)
    with pytest.raises(InputError, match="no trajectory"):
        plot.trajectory(empty)
    with pytest.raises(InputError, match="one capacity"):
        plot.memory({"a": OPTIMUM, "b": some_schedule(2)})
    with pytest.raises(InputError, match="no schedule"):
        plot.latencies({})
    remote = Schedule(Instance(capacity=2**31 - 1, prompt=[0], output=[2**31 - 1]), [0])
    for drawing in (plot.schedule, lambda plan: plot.memory({"a": plan})):
        with pytest.raises(InputError, match="too long to draw"):
            drawing(remote)


def heights(ax: Axes, curve: int, at: float) -> float:
    """Value of a step curve at a place inside the picture."""
    steps = ax.patches[curve].get_data()
    return float(steps.values[np.searchsorted(steps.edges, at, side="right") - 1])


def test_performance_profile_counts_instances() -> None:
    """Shares follow Dolan and More: ties count for both, what nobody solved counts for none."""
    ax = plot.performance_profile({"a": [1.0, 2.0, None, None], "b": [4.0, 2.0, 5.0, None]})
    assert [heights(ax, 0, x) for x in (1.0, 3.9)] == [0.5, 0.5]
    assert [heights(ax, 1, x) for x in (1.0, 3.9, 4.0)] == [0.5, 0.5, 0.75]


def test_gap_profile_counts_instances() -> None:
    """A gap of exactly x percent counts at x; a missing bound counts nowhere."""
    ax = plot.gap_profile({"a": [0, Fraction(1, 100), None, 0.02]})
    assert [heights(ax, 0, x) for x in (0.0, 0.99, 1.0, 2.0)] == [0.25, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("table", [{}, {"a": []}, {"a": [1.0], "b": [1.0, 2.0]}, {"a": [float("nan")]}, {"a": [-1.0]}])
def test_profiles_refuse_bad_tables(table: dict[str, list[float | None]]) -> None:
    """A ragged or empty table would give shares of the wrong total."""
    for profile in (plot.performance_profile, plot.gap_profile):
        with pytest.raises(InputError):
            profile(table)


# ---------------------------------------------------------------- the command


def run(*arguments: str) -> int:
    """Exit code of the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["kvopt", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An instance and two results of it."""
    write(FOUR, tmp_path / "four.json")
    for solver in ("mc-sf", "brute-force"):
        write_result(solve(FOUR, solver), tmp_path / f"{solver}.result.json")
    return tmp_path


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_command_writes_each_format(folder: Path, suffix: str, magic: bytes) -> None:
    """The ending chooses the format, and the same result gives the same bytes."""
    pictures = [folder / f"{name}.{suffix}" for name in ("a", "b")]
    for picture in pictures:
        assert run("plot", str(folder / "mc-sf.result.json"), "-o", str(picture)) == 0
    assert pictures[0].read_bytes().startswith(magic)
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


@pytest.mark.parametrize("kind", ["schedule", "memory", "latencies", "waiting"])
def test_command_compares_results(folder: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Instance first, then several results, and the report is one JSON object alone."""
    results = [str(folder / f"{solver}.result.json") for solver in ("mc-sf", "brute-force")]
    out = str(folder / "both.svg")
    assert run("plot", str(folder / "four.json"), *results, "--kind", kind, "-o", out, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"kind": kind, "results": results, "picture": out}
    assert Path(out).stat().st_size > 0


def test_command_names_the_picture_after_the_result(folder: Path) -> None:
    """Without -o the picture stands next to the result."""
    assert run("plot", str(folder / "mc-sf.result.json")) == 0
    assert (folder / "mc-sf.png").is_file()


def test_instance_is_found_by_digest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the right name but another content must not be taken for the instance."""
    result = folder / "mc-sf.result.json"
    (folder / "four.json").rename(folder / "mc-sf.json")
    assert run("plot", str(result)) == 0
    write(Instance(capacity=6, prompt=[1], output=[1], name="four"), folder / "mc-sf.json")
    assert run("plot", str(result)) == 2
    assert "another instance" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mc-sf.result.json", "-o", "a.jpg"], ".png, .svg, .pdf"),
        (["mc-sf.result.json", "-o", "a"], ".png, .svg, .pdf"),
        (["four.json"], "give a result"),
        (["four.json", "four.json"], "expected"),
        (["missing.result.json"], "cannot be read"),
        (["mc-sf.result.json", "-o", "no/such/a.png"], "cannot be written"),
    ],
)
def test_bad_use_is_said_in_one_message(
    folder: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, what is wrong, and no traceback."""
    monkeypatch.chdir(folder)
    assert run("plot", *arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["$x^{2$", "from $5 to $6", r"$\frac$", r"\$"])
def test_dollar_signs_in_names_are_no_formulas(name: str) -> None:
    """Names come from files: matplotlib would read what stands between two dollar signs as a formula, or fail."""
    instance = Instance(capacity=5, prompt=[1, 1], output=[1, 3], name=name, ids=[name, "b"])
    result = solve(instance, "dp")
    plain = solve(Instance(capacity=5, prompt=[1, 1], output=[1, 3]), "dp")
    for picture in PANELS:
        draw(picture, {name: result}).savefig(BytesIO())
    for picture in (*PANELS, *COMPARISONS):
        drawn = draw(picture, {name: result, "other": plain})
        drawn.savefig(BytesIO())
        shown = [text._preprocess_math(text.get_text()) for text in drawn.findobj(Text)]
        assert any(name in text and not formula for text, formula in shown)
        assert not any(formula for text, formula in shown if "$" in text)
