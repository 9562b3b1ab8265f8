"""kvopt bench: nothing finished is lost or repeated, a bad cell is alone in its fate, tables say what happened."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from kvopt import Instance, Status, verify
from kvopt.bench import running, worker
from kvopt.bench.cell import Cell, Outcome, Record, blank_record
from kvopt.bench.cluster import run_on_cluster
from kvopt.bench.log import open_log, records_csv
from kvopt.bench.parquet import parquet_bytes
from kvopt.bench.ranges import whole_numbers
from kvopt.bench.report import tables_of, text_report, write_report
from kvopt.bench.run import cells_of, run_cells
from kvopt.bench.running import run_cell
from kvopt.bench.suite import Case, Suite, load_suite
from kvopt.bench.summary import ALL, contradictions, profile_times, speed_ups, summarise
from kvopt.cli import app
from kvopt.errors import InputError, KvoptError, UnknownNameError
from kvopt.solving import SOLVERS

HERE = Path(__file__).parent
LIBRARY = HERE.parent / "instances"
SMALL = Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)], name="small")
BAD = ("raising", "exiting", "crashing", "hungry", "deaf", "telling", "murderous")
FAKES = ("honest", "slow", "late", "hesitant", *BAD)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solvers of tests/misbehaving.py under their names, here and in the processes of cells."""
    for name in FAKES:
        monkeypatch.setitem(SOLVERS, name, f"misbehaving:{name}")
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def cell(solver: str, *, time_limit_s: float = 20.0, memory_limit_gb: float = 4.0, seed: int = 0) -> Cell:
    """A cell of the small instance."""
    return Cell("g", SMALL, solver, SOLVERS[solver], seed, 1, time_limit_s, memory_limit_gb)


def record(instance: str, solver: str, runtime_s: float | None, value: int = 12, bound: int | None = 12) -> Record:
    """A finished record; without a time, one that ran into its limit of 20 s."""
    case = Instance(5, SMALL.prompt, SMALL.output, name=instance)
    home = Cell(f"group {instance[0]}", case, solver, "", 0, 1, 20.0, 4.0)
    made = blank_record(home, jobs=1)
    solved = runtime_s is not None and value == bound
    return msgspec.structs.replace(
        made,
        digest=f"sha256:{instance}",
        status=Status.OPTIMAL if solved else Status.FEASIBLE,
        total_latency=value,
        lower_bound=bound,
        verdict="PROVED" if solver == "dp" else "FEASIBLE",
        proved=solved and solver == "dp",
        runtime_s=20.0 if runtime_s is None else runtime_s,
    )


# ---------------------------------------------------------------- cells


def test_a_cell_is_solved_timed_and_verified() -> None:
    """The whole way of a cell: proof, verdict, times apart from each other, machine and versions."""
    done = run_cell(cell("dp"), jobs=1)
    assert (done.outcome, done.error, done.status, done.total_latency, done.lower_bound) == (
        Outcome.FINISHED,
        None,
        Status.OPTIMAL,
        12,
        12,
    )
    assert done.proved
    assert done.verdict == "PROVED"
    assert 0 < done.runtime_s < done.warm_up_s
    assert done.verify_s > 0
    assert done.compiled_verify_s > 0
    assert 0.01 < done.peak_memory_gb < 4
    assert done.machine["cores"] >= 1
    assert done.versions["kvopt"]


def test_checkers_that_disagree_end_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that only one of the two accepts is an error of kvopt, and no proof."""
    monkeypatch.setattr(worker, "CHECKS", {**verify.CHECKS, "search": lambda problem, certificate: 11})
    with pytest.raises(KvoptError, match="the compiled checker says"):
        worker.run(cell("dp"), lambda message: None)


def test_a_failing_solver_is_a_record(fakes: None) -> None:
    """An exception is not the end of a benchmark, and its text is kept."""
    done = run_cell(cell("raising"))
    assert done.outcome is Outcome.FAILED
    assert done.error == "solve: ZeroDivisionError: of its own making"


@pytest.mark.parametrize(("solver", "how"), [("exiting", "exit code 7"), ("crashing", "signal SIGSEGV")])
def test_a_dying_process_takes_only_its_cell(fakes: None, solver: str, how: str) -> None:
    """Native code may end the process: the record says how it ended."""
    done = run_cell(cell(solver))
    assert done.outcome is Outcome.CRASHED
    assert done.error.startswith(how)
    assert done.status is None
    assert done.warm_up_s is None


def test_a_solver_that_ignores_the_memory_limit_is_ended(fakes: None) -> None:
    """The limit is enforced from outside, long before the memory of the machine is gone."""
    done = run_cell(cell("hungry", memory_limit_gb=0.4))
    assert done.outcome is Outcome.KILLED_FOR_MEMORY
    assert 0.5 < done.peak_memory_gb < 1.5


def test_a_solver_that_ignores_the_clock_is_ended(fakes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit is enforced from outside, and the process is gone afterwards."""
    monkeypatch.setattr(running, "GRACE_S", 0.3)
    began = time.perf_counter()
    done = run_cell(cell("deaf", time_limit_s=0.2))
    assert done.outcome is Outcome.KILLED_FOR_TIME
    assert time.perf_counter() - began < 30


def test_a_solve_that_compiled_is_done_again(fakes: None) -> None:
    """Times exclude compilation even where the warm-up missed a kernel."""
    done = run_cell(cell("late"))
    assert done.outcome is Outcome.FINISHED
    assert done.runtime_s < 0.7 < done.warm_up_s


def test_a_short_time_is_the_median_of_several(fakes: None) -> None:
    """The first solve of a process takes longer than later ones, which says nothing of the solver."""
    done = run_cell(cell("hesitant"))
    assert done.outcome is Outcome.FINISHED
    assert done.runtime_s < 0.08


def test_pickled_instances_stay_what_they_are() -> None:
    """Cells travel to their process by pickle: writable columns would be another type to compiled kernels."""
    back = pickle.loads(pickle.dumps(SMALL))
    assert back == SMALL
    assert back.name == "small"
    assert not any(column.flags.writeable for column in (back.prompt, back.output, back.arrival, back.types.count))


# ---------------------------------------------------------------- resuming


def test_a_killed_benchmark_goes_on_where_it_was(fakes: None, tmp_path: Path) -> None:
    """Kill -9 in the middle: no process is left behind, nothing finished is lost or done again."""
    log_file = tmp_path / "results.jsonl"
    code = "from kvopt.solving import SOLVERS; SOLVERS['slow'] = 'misbehaving:slow'\nfrom kvopt.cli import main; main()"
    arguments = ["bench", "teaching:number=1-3", "--solvers", "slow", "--workers", "1", "-o", str(tmp_path)]
    marks = tmp_path / "ids"
    marks.mkdir()
    environment = {**os.environ, "PROCESS_IDS": str(marks)}
    benchmark = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: len(list(marks.iterdir())) == 2)
    benchmark.send_signal(signal.SIGKILL)
    benchmark.wait()
    wait_for(lambda: not any(Path("/proc", mark.name).exists() for mark in marks.iterdir()))
    before = log_file.read_bytes()
    assert before.count(b"\n") == 1
    with log_file.open("ab") as file:
        file.write(b'{"group":"teaching","instance":"teach')
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--json"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["cells"], summary["ran"]) == (3, 2)
    after = log_file.read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == 3
    assert len({json.loads(line)["instance"] for line in after.splitlines()}) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_terminated_benchmark_ends_in_good_order(fakes: None, tmp_path: Path, number: int) -> None:
    """Batch systems send SIGTERM: exit code 130, word of what is kept, no process left, and the rest runs later."""
    marks = tmp_path / "ids"
    marks.mkdir()
    code = (
        "from kvopt.solving import SOLVERS; SOLVERS['deaf'] = 'misbehaving:deaf'; SOLVERS['slow'] = 'misbehaving:slow'"
    )
    code += "\nfrom kvopt.cli import main; main()"
    arguments = ["bench", "teaching:number=1", "--solvers", "slow,deaf", "--workers", "1", "-o", str(tmp_path)]
    benchmark = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PROCESS_IDS": str(marks)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert benchmark.stderr is not None
    assert "[1/2]" in benchmark.stderr.readline()
    benchmark.send_signal(number)
    said = benchmark.communicate(timeout=30)[1]
    assert benchmark.returncode == 130
    assert "1 of 2 cells are in" in said
    assert "Traceback" not in said
    with open_log(tmp_path / "results.jsonl") as log:
        assert [record.solver for record in log.records] == ["slow"]


def wait_for(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Wait until the condition holds."""
    deadline = time.perf_counter() + limit_s
    while not condition():
        assert time.perf_counter() < deadline, "waited in vain"
        time.sleep(0.02)


def test_finished_cells_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other limits, seeds or solvers are other cells; the same ones are taken from the log."""
    ran: list[str] = []

    def fake(cell: Cell, jobs: int) -> Record:
        ran.append(f"{cell.solver} {cell.seed} {cell.time_limit_s:g}")
        return blank_record(cell, jobs)

    monkeypatch.setattr("kvopt.bench.run.run_cell", fake)
    suite = Suite("s", (Case("g", SMALL),))
    with open_log(tmp_path / "log") as log:
        run_cells(cells_of(suite, ["mc-sf"], [0, 1], time_limit_s=5), log, 1, lambda record: None)
    with open_log(tmp_path / "log") as log:
        cells = cells_of(suite, ["mc-sf", "svf"], [0, 1], time_limit_s=5)
        records = run_cells(cells, log, 2, lambda record: None)
        assert [record.key for record in records] == [cell.key for cell in cells]
        run_cells(cells_of(suite, ["mc-sf"], [1], time_limit_s=6), log, 1, lambda record: None)
    assert ran[:2] == ["mc-sf 0 5", "mc-sf 1 5"]
    assert sorted(ran[2:4]) == ["svf 0 5", "svf 1 5"]
    assert ran[4:] == ["mc-sf 1 6"]


def test_a_log_is_written_by_one_benchmark_only(tmp_path: Path) -> None:
    """Two writers would repeat cells and mix lines."""
    with open_log(tmp_path / "log"), pytest.raises(InputError, match="another benchmark"), open_log(tmp_path / "log"):
        pass


def test_a_broken_line_within_a_log_is_an_error(tmp_path: Path) -> None:
    """Only the last line can be cut off by a kill; anything else was edited and must not be dropped in silence."""
    (tmp_path / "log").write_text('{"group": 1}\n')
    with pytest.raises(InputError, match="line 1: not a record"), open_log(tmp_path / "log"):
        pass


def test_records_survive_the_file(tmp_path: Path) -> None:
    """What is read back is what was written, in JSON lines; the table has a row for each."""
    made = [record("a1", "dp", 0.1), record("a1", "mc-sf", None, 13, None)]
    with open_log(tmp_path / "log") as log:
        for one in made:
            log.append(one)
    with open_log(tmp_path / "log") as log:
        assert log.records == made
    header, first, second = records_csv(made).decode().splitlines()
    assert header.startswith("group,instance,digest,requests,types,capacity,solver,seed")
    assert first.split(",")[6] == "dp"
    assert ",13,," in second


def test_records_as_parquet(tmp_path: Path) -> None:
    """The same figures with their types: absent ones stay absent, machine and versions are JSON."""
    parquet = pytest.importorskip("pyarrow.parquet")
    made = [msgspec.structs.replace(record("a1", "dp", 0.1), machine={"cores": 2}), record("a1", "x", None, 13, None)]
    (tmp_path / "r.parquet").write_bytes(parquet_bytes(made))
    rows = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert [row["lower_bound"] for row in rows] == [12, None]
    assert (rows[0]["total_latency"], rows[0]["proved"], rows[0]["machine"]) == (12, True, '{"cores":2}')
    assert list(rows[0]) == list(Record.__struct_fields__)
    with pytest.raises(InputError, match="do not fit"):
        parquet_bytes([record("a1", "dp", 0.1, 2**70)])


@pytest.mark.parametrize(
    ("option", "package"), [(["--parquet"], "pyarrow"), (["--cluster", "tcp://127.0.0.1:9"], "distributed")]
)
def test_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], package: str
) -> None:
    """What an option needs is said before the first cell runs, with the command that installs it."""
    monkeypatch.setitem(sys.modules, package, None)
    run = CliRunner().invoke(app, ["bench", "teaching:number=1", "--solvers", "mc-sf", "-o", str(tmp_path), *option])
    assert isinstance(run.exception, InputError)
    assert "pip install 'kvopt[" in str(run.exception)


@pytest.mark.parametrize("option", [("--time-limit", "-1"), ("--memory-limit", "0"), ("--workers", "0")])
def test_limits_out_of_range_are_refused(tmp_path: Path, option: tuple[str, str]) -> None:
    """Not one failed cell for each instance, but one message before anything runs."""
    run = CliRunner().invoke(app, ["bench", "teaching:number=1", "--solvers", "mc-sf", "-o", str(tmp_path), *option])
    assert isinstance(run.exception, InputError)
    assert not (tmp_path / "results.jsonl").exists()


# ---------------------------------------------------------------- a cluster


def test_cells_run_on_a_cluster(fakes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Dask workers share the cells; a crash is its own cell's affair; a second run has nothing to do."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PROCESS_IDS", str(tmp_path))
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = {str(process) for process in client.run(os.getpid).values()}
        arguments = ["bench", "teaching:number=1-4", "--solvers", "telling,crashing", "--workers", "1"]
        arguments += ["--cluster", cluster.scheduler_address, "-o", str(tmp_path / "out"), "--json"]
        first = CliRunner().invoke(app, arguments)
        assert first.exit_code == 0, first.output
        second = CliRunner().invoke(app, arguments)
    assert {path.name for path in tmp_path.iterdir()} - {"out"} == workers
    assert len(workers) == 2
    summary = json.loads(first.stdout)
    assert (summary["cells"], summary["ran"]) == (8, 8)
    assert {one["solver"]: one["failed"] for one in summary["solvers"]} == {"telling": 0, "crashing": 4}
    assert json.loads(second.stdout)["ran"] == 0
    with open_log(tmp_path / "out" / "results.jsonl") as log:
        assert len(log.records) == len({record.key for record in log.records}) == 8
        assert {record.jobs for record in log.records} == {2}


def test_a_cell_that_kills_its_worker_is_alone_in_its_fate(fakes: None) -> None:
    """Dask starts the worker anew; the cell becomes a record, the others go on."""
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
    ):
        cells = [cell("honest"), cell("murderous"), cell("honest", seed=1)]
        records = list(run_on_cluster(cells, cluster.scheduler_address))
    assert [(one.solver, one.outcome) for one in records] == [
        ("honest", Outcome.FINISHED),
        ("murderous", Outcome.CRASHED),
        ("honest", Outcome.FINISHED),
    ]
    assert records[1].error.startswith("on the cluster: KilledWorker")


@pytest.mark.parametrize("address", ["nowhere", "bla://x:1", "tcp://127.0.0.1:9"])
def test_no_cluster_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong address is bad input, found soon."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("kvopt.bench.cluster.CONNECT_S", 0.5)
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        next(run_on_cluster([cell("mc-sf")], address))


# ---------------------------------------------------------------- figures


def records() -> list[Record]:
    """Two groups; scip is the best general solver on a1, cp-sat on a2, none solves b1, mc-sf gives no bounds."""
    return [
        record("a1", "dp", 0.1),
        record("a1", "cp-sat", 10.0),
        record("a1", "scip", 1.0),
        record("a1", "mc-sf", 0.001, 15, None),
        record("a2", "dp", 0.1),
        record("a2", "cp-sat", 9.0),
        record("a2", "scip", None, 12, 8),
        record("a2", "mc-sf", 0.001, 12, None),
        record("b1", "dp", 10.0),
        record("b1", "cp-sat", None, 14, 10),
        record("b1", "scip", None, 12, 8),
        record("b1", "mc-sf", 0.001, 18, None),
    ]


def test_summary_figures() -> None:
    """Checked by hand: means over what was solved, capped means over all, gaps and excess."""
    figures = {(s.group, s.solver): s for s in summarise(records())}
    assert list(dict.fromkeys(group for group, _ in figures)) == ["group a", "group b", ALL]
    dp = figures[ALL, "dp"]
    assert (dp.cells, dp.optimal, dp.proved, dp.failed, dp.slowest_s) == (3, 3, 3, 0, 10.0)
    assert dp.mean_s == pytest.approx((0.1 * 0.1 * 10) ** (1 / 3))
    scip = figures[ALL, "scip"]
    assert (scip.optimal, scip.proved, scip.mean_s) == (1, 0, pytest.approx(1.0))
    assert scip.capped_mean_s == pytest.approx((1 * 20 * 20) ** (1 / 3))
    assert scip.mean_gap == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert scip.worst_gap == pytest.approx(0.5)
    sf = figures[ALL, "mc-sf"]
    assert (sf.mean_s, sf.capped_mean_s, sf.mean_gap) == (None, None, None)
    assert sf.mean_excess == pytest.approx((3 / 12 + 0 + 6 / 12) / 3)


def test_speed_ups() -> None:
    """Only instances that both solve count, and the best of the general solvers is taken on each."""
    found = {(s.group, s.other): s for s in speed_ups(records(), "dp")}
    best = found[ALL, "best of cp-sat, scip"]
    assert (best.both, best.reference_only, best.other_only) == (2, 1, 0)
    assert best.ratio == pytest.approx((10 * 90) ** 0.5)
    assert (best.least, best.largest) == (pytest.approx(10), pytest.approx(90))
    assert (best.hard, best.hard_ratio) == (2, pytest.approx(30))
    easy = speed_ups([*records(), record("a3", "dp", 0.9), record("a3", "scip", 0.3)], "dp")
    found = {(s.group, s.other): s for s in easy}
    assert found[ALL, "scip"].both == 2
    assert (found[ALL, "scip"].hard, found[ALL, "scip"].hard_ratio) == (1, pytest.approx(10))
    assert found["group b", "cp-sat"].ratio is None
    assert (ALL, "mc-sf") not in found


def test_failures_count_as_unsolved() -> None:
    """A cell that died enters no mean of solved times, yet it is shown."""
    died = msgspec.structs.replace(record("a1", "dp", 0.1), outcome=Outcome.CRASHED, proved=False)
    (summary,) = summarise([died])
    assert (summary.failed, summary.optimal, summary.mean_s, summary.capped_mean_s) == (1, 0, None, pytest.approx(20))


def test_contradictions_are_found() -> None:
    """A bound above somebody's verified schedule: one of the two is wrong."""
    assert contradictions(records()) == []
    wrong = [*records(), record("a1", "highs", 1.0, 13, 13)]
    assert contradictions(wrong) == ["a1: highs claims no schedule below 13, dp has one of 12"]


def test_profile_leaves_out_what_proves_nothing() -> None:
    """A policy gives no bounds: it has no place in a profile of times to optimality."""
    assert profile_times(records()) == {
        "dp": [0.1, 0.1, 10.0],
        "cp-sat": [10.0, 9.0, None],
        "scip": [1.0, None, None],
    }


def test_time_of_checking_is_summed_up() -> None:
    """Of the proved cells alone: a solver without certificates has nothing to check."""
    timed = [msgspec.structs.replace(r, compiled_verify_s=2 * r.runtime_s) for r in records()]
    timed[0] = msgspec.structs.replace(timed[0], compiled_verify_s=16 * timed[0].runtime_s)
    found = {s.solver: (s.checking, s.slowest_checking) for s in summarise(timed) if s.group == ALL}
    assert found["dp"] == (pytest.approx(4.0), pytest.approx(16.0))
    assert found["cp-sat"] == (None, None)


def test_tables_in_three_forms(tmp_path: Path) -> None:
    """The same figures as text, Markdown and LaTeX, with the notes, and a picture."""
    text = text_report("s", records())
    row = next(line for line in text.splitlines() if line.split()[:2] == ["all", "dp"])
    assert row.split()[2:8] == ["3", "3", "3", "0", "0.464", "10"]
    written = write_report("s", records(), tmp_path)
    assert [path.name for path in written] == ["results.csv", "tables.md", "tables.tex", "profile.png", "gaps.png"]
    assert "| all | dp | 3 | 3 | 3 | 0 | 0.464 | 10 |" in (tmp_path / "tables.md").read_text()
    assert r"all & dp & 3 & 3 & 3 & 0 & 0.464 & 10 & 0.464 & - & - & 0.00 \% &" in (tmp_path / "tables.tex").read_text()
    assert "Time limit 20 s" in (tmp_path / "tables.md").read_text()
    assert (tmp_path / "profile.png").read_bytes().startswith(b"\x89PNG")


def test_no_speed_table_without_a_rival() -> None:
    """One solver alone has nothing to be compared with."""
    assert len(tables_of("s", [record("a1", "dp", 0.1)])) == 1


# ---------------------------------------------------------------- suites


def test_suites_of_the_library() -> None:
    """Families by name; the speed suite holds exactly the classes it names."""
    different = load_suite("different", LIBRARY)
    assert len(different.cases) >= 18
    assert all(case.group == f"different, n = {case.instance.n}" for case in different.cases)
    for case in load_suite("speed", LIBRARY).cases:
        k, n = len(case.instance.types), case.instance.n
        assert case.group in ("K <= 2, n <= 100", "K = 3, n <= 40", "different, n = 12")
        assert n <= 100
        assert (case.group, k, n) == ("different, n = 12", 12, 12) or k <= 3


def test_suites_of_files_leave_results_out(tmp_path: Path) -> None:
    """A folder holds results beside its instances; a glob may match them."""
    (tmp_path / "a.json").write_bytes((LIBRARY / "teaching" / "by-hand.json").read_bytes())
    (tmp_path / "a.result.json").write_text("{}")
    for text in (str(tmp_path), f"{tmp_path}/*.json"):
        assert [case.instance.n for case in load_suite(text).cases] == [4]


def test_generated_suites_vary_every_parameter() -> None:
    """All combinations, each with a name and group of its own."""
    suite = load_suite("types:requests=6-7,types=1-2,seed=0,3")
    assert len(suite.cases) == len({case.instance.name for case in suite.cases}) == 8
    assert len({case.group for case in suite.cases}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no-such-suite", "no instance found; known: speed, large"),
        ("types:requests=4,requests=5", "requests is given twice"),
        ("types:requests", "expected PARAMETER=VALUES"),
        ("types:requests=x", "expected whole numbers"),
        ("types:requests=9-3", "falls"),
        ("types:colour=3", "takes no option 'colour'"),
    ],
)
def test_bad_suites(text: str, message: str) -> None:
    """What is wrong, and what would be right."""
    with pytest.raises(InputError, match=message):
        load_suite(text, LIBRARY)


def test_equal_names_are_refused(tmp_path: Path) -> None:
    """Two instances of one name could not be told apart in a table."""
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes((LIBRARY / "teaching" / "by-hand.json").read_bytes())
    with pytest.raises(InputError, match="two instances are named 'by-hand'"):
        load_suite(str(tmp_path))


def test_unknown_solvers_are_refused_before_anything_runs() -> None:
    """A typing error must not cost a night."""
    with pytest.raises(UnknownNameError):
        cells_of(Suite("s", (Case("g", SMALL),)), ["dp", "pd"], [0])


def test_long_ranges_are_refused() -> None:
    """A slip of the finger must not fill the memory."""
    with pytest.raises(InputError, match="more than"):
        whole_numbers("0-99999999999", "seeds")


# ---------------------------------------------------------------- the command


def test_the_command_reports_and_counts(tmp_path: Path, fakes: None) -> None:
    """A run with a failing solver ends in good order; a second run has nothing to do."""
    arguments = ["bench", "teaching:number=3", "--solvers", "honest,raising", "--jobs", "2", "-o", str(tmp_path)]
    runner = CliRunner()
    first = runner.invoke(app, arguments)
    assert first.exit_code == 0, first.output
    assert "[2/2]" in first.stderr
    assert "failed: solve: ZeroDivisionError" in first.stderr
    assert "Suite teaching:number=3" in first.stdout
    second = runner.invoke(app, [*arguments, "--json"])
    summary = json.loads(second.stdout)
    assert (summary["cells"], summary["ran"], summary["contradictions"]) == (2, 0, [])
    assert {one["solver"]: one["failed"] for one in summary["solvers"]} == {"honest": 0, "raising": 1}
