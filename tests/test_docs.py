"""The pages in docs/ against the code: links, examples, tables, and the figures they quote."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sys
from collections.abc import Iterator
from itertools import permutations
from math import isqrt
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import typer

from kvopt import Instance, Schedule, solve
from kvopt.bounds import METHODS, lower_bound
from kvopt.cli import app, main
from kvopt.cli.plotting import Kind
from kvopt.io.formats import InstanceFile, InstanceRef, RequestRow, ResultFile, parse_instance, parse_result
from kvopt.model import Status
from kvopt.policies.backlog import list_schedule
from kvopt.solving import SOLVERS, Answer
from kvopt.verify import Problem, schedule_violations, verify, verify_result

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
FORMATS = ROOT / "docs/formats.md"
PROBLEM = ROOT / "docs/problem.md"

Row = dict[str, str]


def prose(path: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)


def json_blocks(path: Path) -> list[str]:
    """The JSON examples of a page."""
    return re.findall(r"^```json\n(.*?)^```$", path.read_text(encoding="utf-8"), flags=re.S | re.M)


def examples(kind: str) -> list[bytes]:
    """Every complete file of a format that the pages show."""
    blocks = [block for path in DOCS for block in json_blocks(path)]
    return [block.encode() for block in blocks if json.loads(block).get("format") == f"kvopt/{kind}"]


def table(path: Path, *heading: str) -> list[Row]:
    """The rows of the only table of a page whose first columns have these headings."""
    found = [rows for rows in tables(path) if tuple(rows[0])[: len(heading)] == heading]
    assert len(found) == 1, f"{len(found)} tables {heading} in {path.name}"
    return found[0]


def tables(path: Path) -> Iterator[list[Row]]:
    """All tables of a page, each row by column heading."""
    for block in re.findall(r"(?:^\|.*\|\n)+", prose(path) + "\n", flags=re.M):
        cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        assert all(len(row) == len(cells[0]) for row in cells), f"{path.name}: ragged table {cells[0]}"
        yield [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def quoted(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def anchors(path: Path) -> set[str]:
    """The anchors that the headings of a page get where it is shown."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---------------------------------------------------------------- links and examples


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_relative_links_resolve(path: Path) -> None:
    """A reader who follows a link finds a file, and the heading it names."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.is_relative_to(ROOT), f"{path.name}: {target} leads out of the project"
        assert linked.exists(), f"{path.name}: {target} does not exist"
        assert not anchor or anchor in anchors(linked), f"{path.name}: no heading for {target}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_quoted_tests_exist(path: Path) -> None:
    """A page that says where a fact is tested names a test that is there."""
    defined = set(re.findall(r"^ *def (test_\w+)", "\n".join(f.read_text() for f in ROOT.glob("tests/*.py")), re.M))
    assert set(re.findall(r"`(test_\w+)`", prose(path))) <= defined


def test_pages_show_both_formats() -> None:
    """The tests of examples below say nothing if there are none."""
    assert len(examples("instance")) >= 2
    assert len(examples("result")) >= 2


@pytest.mark.parametrize("example", examples("instance"))
def test_instance_examples_are_valid(example: bytes) -> None:
    """What readers copy from a page is read without complaint."""
    assert parse_instance(example).n > 0


@pytest.mark.parametrize("example", examples("result"))
def test_result_examples_are_proved(example: bytes) -> None:
    """Result examples belong to an instance example and pass the verifier."""
    of_digest = {instance.digest: instance for instance in map(parse_instance, examples("instance"))}
    instance = of_digest[parse_result(example).instance.digest]
    problem = Problem.of(instance)
    assert verify_result(problem, json.loads(example)).verdict == "PROVED"


def test_digest_is_the_hash_described() -> None:
    """Other programs can compute a digest from the sentence on the page."""
    instance = parse_instance(examples("instance")[0])
    columns = (instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist())
    text = "5\n" + "".join(f"{s} {o} {a}\n" for s, o, a in zip(*columns, strict=True))
    assert instance.digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_ids_expand_as_described() -> None:
    """The page says how a row with a count names its requests."""
    assert parse_instance(examples("instance")[1]).ids == ("chat[0]", "chat[1]", "report")


@pytest.mark.parametrize("structure", [InstanceFile, RequestRow, ResultFile, InstanceRef])
def test_key_tables_are_complete(structure: type) -> None:
    """Each structure has a table with all its keys, and the required ones are said to be."""
    documented = [
        {quoted(row["key"])[0]: row["default"] == "required" for row in rows}
        for rows in tables(FORMATS)
        if "key" in rows[0]
    ]
    assert {field.encode_name: field.required for field in msgspec.structs.fields(structure)} in documented


def test_status_table_is_complete() -> None:
    """Each status of a result is explained."""
    assert [quoted(row["`status`"])[0] for row in table(FORMATS, "`status`")] == [
        Status.OPTIMAL, Status.FEASIBLE, Status.UNKNOWN, Status.INFEASIBLE,
    ]  # fmt: skip


# ---------------------------------------------------------------- commands


def commands() -> dict[str, Any]:
    """Every command of the command line by its full name."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        nested = getattr(command, "commands", None)
        shown = {f"kvopt {name} {k}": c for k, c in (nested or {}).items() if not c.hidden}
        found |= {f"kvopt {name}": command} if nested is None else shown
    return found


def synopses() -> dict[str, Row]:
    """The rows of the command table by command."""
    rows = {}
    for row in table(FORMATS, "command"):
        name = re.match(r"kvopt (library |adversary )?[\w-]+", quoted(row["command"])[0])
        assert name is not None
        rows[name.group()] = row
    return rows


def test_command_table_is_complete() -> None:
    """A command that is added, renamed or dropped changes the page."""
    assert set(synopses()) == set(commands())


@pytest.mark.parametrize("name", commands())
def test_command_options_are_documented(name: str) -> None:
    """The synopsis of a command has exactly its options; those of all commands stand above the table."""
    options = {p.opts[0] for p in commands()[name].params if p.param_type_name == "option"}
    shown = re.findall(r"(?<![\w-])(--[a-z-]+|-o)\b", synopses()[name]["command"])
    assert {"--output" if option == "-o" else option for option in shown} | {"--json", "--quiet"} == options


def test_listed_names_are_the_registered_ones() -> None:
    """Solvers, bounds, families, sources and pictures: the page lists all of them."""
    from kvopt.generate import FAMILIES
    from kvopt.io.traces import SOURCES

    def listed(command: str, after: str) -> set[str]:
        return set(quoted(synopses()[command]["does"].partition(after)[2]))

    solvers = [name for row in table(FORMATS, "name", "method") for name in quoted(row["name"])]
    assert set(solvers) == set(SOLVERS)
    assert listed("kvopt bound", "M:") == set(METHODS)
    assert listed("kvopt generate", "FAMILY:") == set(FAMILIES)
    assert listed("kvopt import", "SOURCE:") == set(SOURCES)
    assert listed("kvopt plot", "KIND:") == set(Kind)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the examples of formats.md, a wrong claim, and a trace."""
    four, _ = examples("instance")
    optimum, bound = examples("result")
    (tmp_path / "four.json").write_bytes(four)
    (tmp_path / "optimum.result.json").write_bytes(optimum)
    (tmp_path / "bound.result.json").write_bytes(bound)
    (tmp_path / "wrong.result.json").write_bytes(optimum.replace(b'"total_latency": 12', b'"total_latency": 11'))
    nothing = json.loads(bound) | {"lower_bound": None, "certificate": None}
    (tmp_path / "nothing.result.json").write_text(json.dumps(nothing))
    (tmp_path / "bad.json").write_bytes(four.replace(b'"capacity": 5', b'"capacity": 3'))
    (tmp_path / "trace.csv").write_text("in,out\n3,2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def exit_code(monkeypatch: pytest.MonkeyPatch, line: str) -> int | str | None:
    """Exit code of a command line, run in this process."""
    monkeypatch.setattr(sys, "argv", ["kvopt", *line.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--help", 0),
        ("solve four.json --solver mc-sf -o mine.result.json", 0),
        ("verify four.json optimum.result.json", 0),
        ("verify four.json bound.result.json", 0),
        ("bound four.json --method volume", 0),
        ("crosscheck four.json --solvers brute-force,mc-sf", 0),
        ("export four.json --format mps -o four.mps", 0),
        ("generate teaching -o lesson.json", 0),
        ("import csv trace.csv --capacity 9 --prompt-column in --output-column out -o trace.json", 0),
        ("capacity --model Llama-2-7B", 0),
        ("schema result -o schema.json", 0),
        ("verify four.json wrong.result.json", 1),
        ("verify four.json nothing.result.json", 1),
        ("verify bad.json optimum.result.json", 2),
        ("solve bad.json", 2),
        ("solve missing.json", 2),
        ("solve four.json --solver nobody", 2),
        ("solve four.json --time-limit 0", 2),
        ("solve four.json --no-such-option", 2),
        ("no-such-command", 2),
        ("plot optimum.result.json", 2),
        ("library verify missing", 2),
    ],
)
@pytest.mark.usefixtures("folder")
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, line: str, code: int) -> None:
    """Scripts branch on these codes."""
    assert exit_code(monkeypatch, line) == code


def offers_and_is_interrupted(instance: Instance, monitor: Any) -> Answer:
    """A solver during which somebody presses Ctrl-C."""
    monitor.offer(list_schedule(instance, np.arange(instance.n)))
    signal.raise_signal(signal.SIGINT)
    assert monitor.stopped
    return Answer()


def finds_nothing(instance: Instance, monitor: Any) -> Answer:
    """A solver without success."""
    return Answer()


@pytest.mark.parametrize(("function", "code"), [(offers_and_is_interrupted, 130), (finds_nothing, 1)])
def test_exit_codes_of_endings(folder: Path, monkeypatch: pytest.MonkeyPatch, function: Any, code: int) -> None:
    """An interrupt ends with 130 and a search without schedule with 1; the result file is written in both cases."""
    monkeypatch.setitem(SOLVERS, "odd", f"{__name__}:{function.__name__}")
    assert exit_code(monkeypatch, "solve four.json --solver odd -o odd.result.json") == code
    written = parse_result((folder / "odd.result.json").read_bytes())
    assert (written.starts is not None) == (code == 130)
    assert written.statistics.get("stopped_by") == ("interrupted" if code == 130 else None)


# ---------------------------------------------------------------- the figures of problem.md


def optimal_starts(instance: Instance, value: int) -> set[tuple[int, ...]]:
    """All schedules of this total latency; adjacent equal requests take their starts in ascending order."""
    prompt, output, found = instance.prompt.tolist(), instance.output.tolist(), set()

    def place(starts: tuple[int, ...], left: int) -> None:
        k = len(starts)
        if k == instance.n:
            if left == 0:
                found.add(starts)
            return
        equal = k > 0 and (prompt[k], output[k]) == (prompt[k - 1], output[k - 1])
        for p in range(starts[-1] if equal else 0, left + 1):
            columns = prompt[: k + 1], output[: k + 1], [0] * (k + 1)
            if not schedule_violations(instance.capacity, *columns, (*starts, p)):
                place((*starts, p), left - p)

    place((), value - sum(output))
    return found


def counterexamples() -> Iterator[tuple[Instance, Row, set[tuple[int, ...]]]]:
    """Instance, row and optimal starts of each line of the table of fact 1."""
    for row in table(PROBLEM, "s", "M", "outputs"):
        outputs = [int(o) for o in row["outputs"].split(",")]
        instance = Instance(capacity=int(row["M"]), prompt=[int(row["s"])] * len(outputs), output=outputs)
        starts = {tuple(int(p) for p in text.split(",")) for text in row["optimal starts"].split(" or ")}
        yield instance, row, starts


def test_table_of_counterexamples() -> None:
    """Fact 1: every figure of the table, and the optimal schedules by enumeration."""
    for instance, row, starts in counterexamples():
        best = int(row["OPT"])
        assert solve(instance, "mc-sf").total_latency == int(row["mc-sf"])
        assert solve(instance, "ordered-dp").total_latency == int(row["ordered-dp"])
        orders = {tuple(instance.output[list(order)].tolist()): order for order in permutations(range(instance.n))}
        lists = (list_schedule(instance, np.array(order)) for order in orders.values())
        assert min(Schedule(instance, each).total_latency for each in lists) == int(row["best order"])
        assert optimal_starts(instance, best) == starts
        assert not optimal_starts(instance, best - 1)


def test_what_fixes_optimal_starts() -> None:
    """Fact 2: an optimal start follows a completion for want of room, or its run meets a full round."""
    for instance, _, optima in counterexamples():
        for starts in optima:
            plan = Schedule(instance, starts)
            memory, last_rounds = plan.memory.tolist(), plan.completions - 1
            for i, p in enumerate(starts):
                others = np.delete(last_rounds, i)
                held = memory[p - 1] if p else 0
                no_room = held + instance.prompt[i] + 1 > instance.capacity and p - 1 in others
                shared = range(p, p + int(instance.output[i]) - 1)
                assert p == 0 or no_room or any(memory[t] == instance.capacity and t in others for t in shared)


def test_quoted_bounds() -> None:
    """Fact 7: the two columns of figures, and an instance on which volume exceeds the linear programme."""
    first, two_types = Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)]), Instance.from_rows(34, [(2, 5, 10), (3, 17, 10)])
    rows = {row["bound"]: row for row in table(PROBLEM, "bound", "value (arrivals 0)")}
    for column, instance in (("fact 1, row 1", first), ("fact 6", two_types)):
        assert int(rows["outputs"][column]) == instance.output.sum()
        assert int(rows["volume"][column]) == lower_bound(instance, "volume").value
        assert int(rows["flow"][column]) == lower_bound(instance, "flow").value
        assert int(rows["memory prices"][column]) == lower_bound(instance, "lp").value
    tiny = Instance.from_rows(4, [(2, 1, 3)])
    assert lower_bound(tiny, "volume").value == solve(tiny, "brute-force").total_latency == 6
    assert lower_bound(tiny, "lp").value == 5


def hindsight(instance: Instance, release: int, start: int) -> Schedule:
    """The long request from `start` on, the short ones (two tokens, one round) as early as they fit."""
    starts, t = [start], release
    while len(starts) < instance.n:
        running = start <= t < start + int(instance.output[0])
        room = (instance.capacity - (t - start + 2 if running else 0)) // 2
        starts += [t] * min(room, instance.n - len(starts))
        t += 1
    return Schedule(instance, starts)


def test_arrivals_against_list_policies() -> None:
    """Fact 9: policies, hindsight schedules and ratios; for M = 64 the hindsight schedule is proved optimal."""
    late = []
    for row in table(PROBLEM, "M", "n", "policy"):
        capacity = int(row["M"])
        release = capacity - isqrt(capacity)
        instance = Instance.from_rows(capacity, [(1, capacity - 1, 1, 0), (1, 1, capacity // 2, release)])
        policy, known = (int(row[column].split()[0].replace(",", "")) for column in ("policy", "hindsight schedule"))
        assert instance.n == int(row["n"])
        assert {solve(instance, name).total_latency for name in ("mc-sf", "svf", "fcfs")} == {policy}
        plans = [hindsight(instance, release, start) for start in range(release + 2)]
        best = min(plans, key=lambda plan: plan.total_latency)
        columns = instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist()
        assert not schedule_violations(capacity, *columns, best.starts.tolist())
        assert best.total_latency == known
        assert float(row["ratio at least"]) == int(1000 * policy / known) / 1000
        late.append(plans[-1].total_latency)
        if "OPT" in row["hindsight schedule"]:
            optimum = solve(instance, "dp")
            assert verify(optimum).optimal
            assert optimum.total_latency == known
    assert late == [152, 624, 2528]
