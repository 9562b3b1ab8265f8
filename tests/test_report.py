"""kvopt report: the page says what the verifier says, survives hostile text, and works in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kvopt import Instance, Result, Schedule, Status, solve, write, write_result
from kvopt.cli import app
from kvopt.model import Certificate
from kvopt.report import report_html
from kvopt.report.picture import ROUNDS_MAX, picture
from kvopt.report.reproduce import commands
from kvopt.report.requests import ROWS_MAX, request_table
from kvopt.report.words import proof_in_words
from kvopt.verify import verify

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium installed (Debian: apt-get install chromium)")

FOUR = Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3], name="toy")
HOSTILE = "</script><script>console.error('taken over')</script><img src=x onerror=alert(1)>&\"'"


def made(starts: list[int] | None, **more: object) -> Result:
    """A result of the toy instance by hand."""
    schedule = None if starts is None else Schedule(FOUR, starts)
    fields: dict = {"status": Status.UNKNOWN if starts is None else Status.FEASIBLE, "schedule": schedule}
    return Result(FOUR, "by hand", **(fields | more))


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("result", "heading", "grade"),
    [
        (made([0, 1, 0, 3], lower_bound=12, status=Status.OPTIMAL), "Feasible; the result does not prove", "open"),
        (
            made([0, 1, 0, 3], lower_bound=10, certificate=Certificate("volume")),
            "Proved to be within 20.00 %",
            "proved",
        ),
        (made([0, 0, 0, 0]), "Refused", "refused"),
        (made([0, 1, 0, 3], lower_bound=11, certificate=Certificate("volume")), "Refused", "refused"),
        (made(None, lower_bound=10, certificate=Certificate("volume")), "Proved: no schedule is below 10", "proved"),
        (made(None), "Nothing to check", "open"),
    ],
)
def test_the_verifier_speaks(result: Result, heading: str, grade: str) -> None:
    """A claim without certificate is never called a proof; a wrong one is refused with its reason."""
    words = proof_in_words(result, verify(result))
    assert words.heading.startswith(heading)
    assert words.grade == grade
    assert words.heading in report_html(result)
    if grade == "refused":
        assert len(words.grounds) > 1


def test_optimal_in_words() -> None:
    """A checked certificate that meets the schedule: proved optimal."""
    single = Instance(capacity=9, prompt=[2], output=[3])
    result = Result(single, "x", Status.OPTIMAL, Schedule(single, [0]), 3, Certificate("volume"))
    assert proof_in_words(result, verify(result)).heading == "Proved optimal"


def test_a_bare_claim_is_named_as_one() -> None:
    """The reader learns that the solver says optimal and that nothing proves it."""
    result = made([0, 1, 0, 3], lower_bound=12, status=Status.OPTIMAL)
    assert "a claim, not a proof" in " ".join(proof_in_words(result, verify(result)).grounds)


# ---------------------------------------------------------------- parts


def test_nothing_hostile_becomes_markup() -> None:
    """Names, ids, solver and free fields of files are text, in the page, in hover texts and in the legend."""
    evil = Instance(5, FOUR.prompt, FOUR.output, name=HOSTILE, ids=tuple(f"{HOSTILE}{i}" for i in range(4)))
    result = Result(
        evil,
        HOSTILE,
        Status.FEASIBLE,
        Schedule(evil, [0, 1, 0, 3]),
        statistics={"bound_solver": HOSTILE, "stopped_by": HOSTILE, "runtime_s": HOSTILE},
        limits={"seed": HOSTILE, "time_limit_s": True},
        versions={HOSTILE: HOSTILE},
    )
    page = report_html(result, instance_file=f"{HOSTILE}.json", result_file="x.json")
    own = page.replace(re.search(r"<script>\s*/\*\*\s*\* plotly.*?</script>", page, re.DOTALL)[0], "")
    assert "<img" not in own
    assert "console.error" in own
    assert "<script>console.error" not in own
    assert own.count("<script") == own.count("</script>") == 2


@pytest.mark.parametrize("seconds", [10**400, -1, "soon", None, float("nan")])
def test_odd_statistics_are_left_out(seconds: object) -> None:
    """Statistics are free in a file: what is no number of seconds is not shown as one, here and in notebooks."""
    result = made([0, 1, 0, 3], statistics={"runtime_s": seconds})
    assert "Solved by by hand.</p>" in report_html(result)
    assert "<td>time</td>" not in result._repr_html_()


def test_pictures_by_size() -> None:
    """Few requests are blocks, a trace each; many are bands of classes; absurd lengths are not drawn at all."""
    assert len(picture(Schedule(FOUR, [0, 1, 0, 3])).data) == 4
    many = Instance.from_rows(100, [(3, 7, 500), (1, 2, 500)])
    bands = picture(solve(many, "mc-sf").schedule)
    assert [trace.stackgroup for trace in bands.data[:2]] == ["held", "held"]
    held = sum(float(trace.y.sum()) for trace in bands.data if trace.stackgroup)
    assert held == pytest.approx(float(many.volume.sum()), rel=1e-3)
    endless = Schedule(many, [ROUNDS_MAX + i for i in range(1000)])
    assert picture(endless) is None
    assert "Not drawn" in report_html(Result(many, "x", Status.FEASIBLE, endless))


def test_long_tables_are_cut_with_a_note() -> None:
    """Thousands of rows would stop a browser; those that waited longest stay, and the note says so."""
    many = Instance.from_rows(100, [(3, 7, ROWS_MAX + 1), (1, 2, 500)])
    plan = solve(many, "mc-sf").schedule
    table = request_table(many, plan)
    assert table.count("<tr>") == 1 + ROWS_MAX
    assert "The 1,000 requests with the largest latency, of 1,501" in table
    assert f"<td>{plan.latencies.max():,}</td>" in table
    assert request_table(FOUR, None).count("<td>") == 4 * 5


def test_policies_are_held_against_a_checked_bound() -> None:
    """An uncertified claim is no yardstick: the volume bound is taken until there is a better certificate."""
    claimed = report_html(made([0, 1, 0, 3], lower_bound=12, status=Status.OPTIMAL))
    assert "the lower bound 10 (the volume bound)" in claimed
    proved = report_html(solve(FOUR, "dp"))
    assert "the lower bound 12 (certified by this result)" in proved
    assert "<td>13</td><td>3.25</td><td>1.0834</td>" in proved


def test_commands_take_only_numbers_from_the_file() -> None:
    """What stands in a result file must not become part of a command someone pastes."""
    result = replace(solve(FOUR, "mc-sf"), limits={"seed": "1; rm -rf x", "workers": 2, "target_gap": 0.0})
    assert commands(result, "a b.json", "r.json")[0] == (
        "kvopt solve 'a b.json' --solver mc-sf --workers 2 -o again.result.json"
    )
    assert commands(replace(result, solver="x; rm"), "a.json", "r.json")[0].startswith("kvopt verify")


# ---------------------------------------------------------------- the command


def files(folder: Path, *, apart: bool = False) -> tuple[Path, Path]:
    """An instance and a result of the toy, next to each other or apart."""
    instance = folder / ("elsewhere" if apart else ".") / "toy.json"
    instance.parent.mkdir(exist_ok=True)
    write(FOUR, instance)
    write_result(solve(FOUR, "dp"), folder / "toy.result.json")
    return instance, folder / "toy.result.json"


def test_command_writes_a_page(tmp_path: Path) -> None:
    """The instance is found beside the result; the JSON object tells the verdict."""
    _, result = files(tmp_path)
    run = CliRunner().invoke(app, ["report", str(result), "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert (told["verdict"], told["optimal"]) == ("PROVED", True)
    assert Path(told["page"]) == tmp_path / "toy.html"
    assert "<h3>Proved optimal</h3>" in Path(told["page"]).read_text()


def test_command_checks_the_claims_of_the_file(tmp_path: Path) -> None:
    """A total latency that was edited in the file is refused on the page, though reading recomputes it."""
    _, result = files(tmp_path)
    result.write_text(result.read_text().replace('"total_latency":12', '"total_latency":11'))
    assert CliRunner().invoke(app, ["report", str(result)]).exit_code == 0
    assert "claimed 11, the starts give 12" in (tmp_path / "toy.html").read_text()


def test_instance_elsewhere(tmp_path: Path) -> None:
    """`--instance` names it; without, the message says where it was looked for."""
    instance, result = files(tmp_path, apart=True)
    missing = CliRunner().invoke(app, ["report", str(result)])
    assert "name the instance file too" in str(missing.exception)
    run = CliRunner().invoke(app, ["report", str(result), "--instance", str(instance), "-o", str(tmp_path / "p.html")])
    assert run.exit_code == 0, run.output
    assert (tmp_path / "p.html").stat().st_size > 1e6


def test_many_violations_are_cut() -> None:
    """A page with a line for each of thousands of violations helps nobody."""
    many = Instance(capacity=9, prompt=[1] * 60, output=[3] * 60, arrival=[5] * 60)
    result = Result(many, "x", Status.FEASIBLE, Schedule(many, [0] * 60))
    assert proof_in_words(result, verify(result)).grounds[-1] == "... and 41 more violations."


# ---------------------------------------------------------------- a browser

#: What a reader does: a click on a column's name, twice, and the pointer on the third request's block.
READER = """
const latency = document.querySelectorAll("#requests th button")[8];
latency.click();
latency.click();
setTimeout(() => {
  const area = document.querySelector(".nsewdrag");
  const box = area.getBoundingClientRect();
  const place = { clientX: box.left + 0.25 * box.width, clientY: box.bottom - 20, bubbles: true };
  area.dispatchEvent(new MouseEvent("mousemove", place));
}, 500);
"""


def browse(page: Path) -> tuple[str, list[str]]:
    """The document after scripts have run, and what the page wrote to the console (blocked requests too)."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=4000"]
    home = page.with_suffix(".profile")
    shown = subprocess.run(
        [BROWSER, *flags, "--enable-logging=stderr", f"--user-data-dir={home}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return shown.stdout, [line for line in shown.stderr.splitlines() if "CONSOLE" in line]


@needs_browser
def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    """Chromium draws a block for each request, sorts the table on a click, and has nothing to complain of."""
    evil = Instance(5, FOUR.prompt, FOUR.output, name=HOSTILE, ids=("a", "b", HOSTILE, "d"))
    result = Result(evil, "by hand", Status.FEASIBLE, Schedule(evil, [0, 1, 0, 3]))
    page = tmp_path / "page.html"
    page.write_text(report_html(result).replace("</body>", f"<script>{READER}</script></body>"), encoding="utf-8")
    document, complaints = browse(page)
    assert complaints == []
    assert document.count('class="trace scatter') == 4
    assert "capacity 5" in document
    assert 'data-title="Zoom in"' in document
    assert 'data-title="Share' not in document
    assert "request &lt;/script&gt;" in document.partition('class="hoverlayer"')[2].partition("</g>")[0]
    latencies = re.findall(r"<td>(\d+)</td></tr>", document.partition('id="requests"')[2])
    assert latencies == ["6", "3", "2", "1"]


@needs_browser
def test_the_page_cannot_load_anything(tmp_path: Path) -> None:
    """The page forbids all requests, so that silence in the test above means something: a picture is blocked."""
    page = tmp_path / "page.html"
    picture_from_elsewhere = '<img src="http://192.0.2.1/x.png"></body>'
    text = report_html(made(None)).replace("</body>", picture_from_elsewhere)
    page.write_text(text, encoding="utf-8")
    _, complaints = browse(page)
    assert len(complaints) == 1
    assert "Content Security Policy" in complaints[0]
