"""The instance library: recipes, index, what the verifier lets in, and that solving can be ended and resumed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kvopt import Certificate, Instance, Result, Schedule, Status, read, write, write_result
from kvopt import verify as verifier
from kvopt.cli import app
from kvopt.errors import InputError
from kvopt.generate import generate
from kvopt.io.formats import read_result
from kvopt.library import (
    SUITES,
    Refused,
    build_index,
    create,
    improve,
    instance_files,
    merge,
    read_index,
    result_file,
    solve_library,
    store_result,
    verify_library,
    write_index,
)
from kvopt.library import suites as suites_module
from kvopt.library.readme import percent, readme
from kvopt.library.solving import lacking, solve_one
from kvopt.verify import Problem, check_volume

INSTANCES = Path(__file__).parent.parent / "instances"
FOUR = Instance(5, [1, 1, 1, 1], [1, 1, 3, 3], name="four")
EASY = Instance(100, [1, 2], [3, 4], name="easy")
NINE = Instance(9, [1] * 9, [2] * 9, name="nine")


def result(instance: Instance, starts, *, bound: int | None = None, solver: str = "by hand") -> Result:
    """A result with the volume certificate, or with a bare claim of `bound`."""
    schedule = None if starts is None else Schedule(instance, starts)
    certificate = None
    if bound is None:
        lists = (instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist())
        bound, certificate = check_volume(Problem(instance.capacity, *lists), {}), Certificate("volume")
    value = None if schedule is None else schedule.total_latency
    status = Status.UNKNOWN if value is None else Status.OPTIMAL if value == bound else Status.FEASIBLE
    statistics = {"runtime_s": 0.5}
    return Result(instance, solver, status, schedule, bound, certificate, {}, statistics, {"kvopt": "0"})


def bare(instance: Instance, starts) -> Result:
    """A result without any bound."""
    return replace(result(instance, starts), lower_bound=None, certificate=None, status=Status.FEASIBLE)


@pytest.fixture
def library(tmp_path):
    """Two families, three instances: one proved optimal, one with a gap, one without a result."""
    for family, instance in (("easy", EASY), ("hard", FOUR), ("hard", NINE)):
        (tmp_path / family).mkdir(exist_ok=True)
        write(instance, tmp_path / family / f"{instance.name}.json")
    store_result(result(EASY, [0, 0]), tmp_path / "easy" / "easy.json")
    store_result(result(FOUR, [0, 0, 1, 4]), tmp_path / "hard" / "four.json")
    write_index(tmp_path, build_index(tmp_path))
    return tmp_path


# ---------------------------------------------------------------- the library of the project


def test_every_instance_is_what_its_recipe_gives():
    """Provenance that can be repeated: family, parameters and seed give the very file."""
    recipes = {(folder, name): (family, more) for folder, all_ in SUITES.items() for name, family, more in all_()}
    files = {(path.parent.name, path.stem): path for path in instance_files(INSTANCES)}
    assert set(files) == set(recipes)
    for key, path in files.items():
        family, parameters = recipes[key]
        instance = read(path)
        assert instance == generate(family, **parameters), path
        assert instance.meta["family"] == family


def test_suites_are_as_promised():
    """K = 1..4 and n = 10..200 of types, n = 6..24 of different, 20 of each published model."""
    types = [read(path) for path in instance_files(INSTANCES, "types")]
    assert {(len(i.types), i.n) for i in types} == {(k, n) for k in (1, 2, 3, 4) for n in (10, 20, 40, 60, 100, 200)}
    assert len(types) < 70
    different = [read(path) for path in instance_files(INSTANCES, "different")]
    assert sorted(i.n for i in different) == sorted([*range(6, 25, 2)] * 3)
    assert all(len(i.types) == i.n for i in different)
    assert len(instance_files(INSTANCES, "model1")) == len(instance_files(INSTANCES, "model2")) == 20
    assert len(instance_files(INSTANCES, "counterexamples")) == 22


def test_index_and_page_are_up_to_date():
    """Nobody edits the index: it equals what the files give (changed results are verified on the way)."""
    entries = read_index(INSTANCES)
    assert entries == build_index(INSTANCES)
    assert (INSTANCES / "README.md").read_text() == readme(entries)


@pytest.mark.parametrize("family", ["counterexamples", "teaching", "baseline"])
def test_small_families_verify(family):
    """The whole check on the small families; `make verify-instances` runs it on all."""
    assert verify_library(INSTANCES, family)[1] == []


# ---------------------------------------------------------------- index


def test_index_tells_proof_bound_and_gap(library):
    """The verdict is the verifier's: proved, certified gap, no result."""
    entries = {entry.name: entry for entry in read_index(library)}
    assert [entry.proof for entry in entries.values()] == ["proved optimal", "certified gap", "no result"]
    four = entries["four"]
    assert (four.total_latency, four.lower_bound, four.gap) == (13, 10, "3/10")
    assert (four.requests, four.types, four.capacity) == (4, 2, 5)
    assert (four.solver, four.seconds, four.version, four.certificate) == ("by hand", 0.5, "0", "volume")
    assert entries["easy"].gap == "0"
    assert entries["nine"].total_latency is None


def test_bare_claims_do_not_count(library):
    """A solver that claims an optimum without a certificate gives a feasible entry without a bound."""
    write_result(result(FOUR, [0, 1, 0, 3], bound=12), result_file(library / "hard" / "four.json"))
    entry = build_index(library)[1]
    assert (entry.proof, entry.total_latency, entry.lower_bound, entry.gap) == ("feasible", 12, None, None)


@pytest.mark.parametrize("seconds", ["long ago", 10**400, -1])
def test_odd_statistics_do_not_break_the_index(library, seconds):
    """Statistics of a result are free; what the index cannot hold is left out of it."""
    plain = replace(result(FOUR, [0, 0, 1, 4]), statistics={"runtime_s": 12345, "found_on": 3, "bound_solver": []})
    path = store_result(plain, library / "hard" / "four.json")
    edit(path, '"runtime_s":12345', f'"runtime_s":{json.dumps(seconds)}')
    write_index(library, build_index(library))
    entry = read_index(library)[1]
    assert (entry.seconds, entry.found_on, entry.bound_solver) == (None, None, None)


def test_page_shows_gaps_rounded_up():
    """No gap may look smaller than it is, and a tiny gap is not 0."""
    assert [percent(gap) for gap in ("0", "1/1000000", "1/4", "10001/1000000")] == [
        "0 %",
        "0.01 %",
        "25.00 %",
        "1.01 %",
    ]


def test_names_cannot_leave_their_cell(library):
    """Who submits a result chooses the solver's name: it must not become markup of the page."""
    store_result(replace(result(FOUR, [0, 1, 0, 3]), solver="x | y\n<script>"), library / "hard" / "four.json")
    assert "| x \\| y &lt;script> |" in readme(build_index(library))


def test_unchanged_results_are_not_verified_again(library, monkeypatch):
    """Making the index is quick after one change; a changed result is verified."""
    seen = []
    verify = verifier.verify_result
    monkeypatch.setattr(verifier, "verify_result", lambda p, r: seen.append(r["instance"]["name"]) or verify(p, r))
    assert build_index(library) == read_index(library)
    assert seen == []
    store_result(result(FOUR, [0, 1, 0, 3]), library / "hard" / "four.json")
    assert build_index(library)[1].total_latency == 12
    assert seen == ["four"]


# ---------------------------------------------------------------- checking


def test_good_library_has_no_problems(library):
    """The index as generated agrees with the files."""
    checked, problems = verify_library(library, jobs=2)
    assert len(checked) == 3
    assert problems == []


def edit(path: Path, old: str, new: str) -> None:
    """Replace text in a file; the text must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


TAMPERINGS = {
    "start": (lambda root: edit(root / "hard/four.result.json", '"starts":[0,0,1,4]', '"starts":[0,0,1,3]'), "refused"),
    "bound": (lambda root: edit(root / "hard/four.result.json", '"lower_bound":10', '"lower_bound":11'), "refused"),
    "value": (lambda root: edit(root / "hard/four.result.json", '"total_latency":13', '"total_latency":12'), "refused"),
    "format": (lambda root: edit(root / "hard/four.result.json", '"starts":[0', '"starts":[0.0'), "expected int"),
    "instance": (lambda root: edit(root / "hard/four.json", '"capacity":5', '"capacity":6'), "refused: same instance"),
    "result gone": (lambda root: (root / "hard/four.result.json").unlink(), "proof is 'certified gap' in the index"),
    "index value": (lambda root: edit(root / "index.json", '"total_latency":13', '"total_latency":12'), "13 in truth"),
    "index proof": (
        lambda root: edit(root / "index.json", "certified gap", "proved optimal"),
        "'certified gap' in truth",
    ),
    "instance gone": (lambda root: (root / "hard/nine.json").unlink(), "hard/nine.json: in the index, but there is no"),
    "not indexed": (lambda root: write(FOUR, root / "hard/more.json"), "hard/more.json: not in the index"),
    "page": (lambda root: edit(root / "README.md", "| 13 |", "| 12 |"), "README.md: not what"),
}


@pytest.mark.parametrize("case", TAMPERINGS)
def test_tampering_is_found(library, case):
    """One changed number anywhere is found, and the command ends with exit code 1."""
    tamper, message = TAMPERINGS[case]
    tamper(library)
    problems = verify_library(library)[1]
    assert any(message in problem for problem in problems), problems
    assert CliRunner().invoke(app, ["library", "verify", str(library)]).exit_code == 1


def test_one_family_can_be_checked(library):
    """`--family` limits the check, and an unknown family is an error."""
    edit(library / "hard/four.result.json", '"lower_bound":10', '"lower_bound":11')
    assert verify_library(library, "easy")[1] == []
    assert CliRunner().invoke(app, ["library", "verify", str(library), "--family", "easy", "-q"]).exit_code == 0
    with pytest.raises(InputError, match="there are: easy, hard"):
        verify_library(library, "soft")


def test_no_library_here(tmp_path):
    """An empty or missing folder is an input error, not an empty success."""
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="no instance library"):
            verify_library(root)


def test_broken_index_is_an_input_error(library):
    """The message says how to make it anew."""
    (library / "index.json").write_text("{}")
    with pytest.raises(InputError, match="kvopt library index"):
        verify_library(library)


def test_a_broken_index_is_made_anew(library):
    """The command that the message names must not stumble over the same file."""
    good = (library / "index.json").read_bytes()
    (library / "index.json").write_text("{}")
    assert CliRunner().invoke(app, ["library", "index", str(library)]).exit_code == 0
    assert (library / "index.json").read_bytes() == good


def test_page_sums_up_families_and_names_certificates(library):
    """Who reads the page sees at once what is open, and how each bound was proved."""
    page = (library / "README.md").read_text()
    assert "| [easy](#easy) | - | - | 1 | 1 | 0 % | 0 |" in page
    assert "| [hard](#hard) | - | - | 2 | 0 | 30.00 % | 1 |" in page
    assert "| 13 | 10 | 30.00 % | certified gap, volume | by hand |" in page
    assert "| - | - | - | no result | - |" in page


# ---------------------------------------------------------------- improving


@pytest.mark.parametrize("junk", ["", "{", '{"format": "kvopt/result"}', '{"a": 1, "a": 2}', "[" * 100_000])
def test_an_unreadable_result_is_replaced(library, tmp_path, junk):
    """A corrupt file in the library is no reason to keep out a right result, nor to stop solving the rest."""
    (library / "hard" / "four.result.json").write_text(junk)
    assert [path.stem for path in lacking(library)] == ["four", "nine"]
    write_result(bare(FOUR, [0, 1, 0, 3]), tmp_path / "mine.json")
    done = CliRunner().invoke(app, ["library", "improve", str(tmp_path / "mine.json"), "--root", str(library)])
    assert done.exit_code == 0, done.output
    assert read_result(library / "hard" / "four.result.json", FOUR).total_latency == 12
    assert verify_library(library)[1] == []


def test_a_result_of_another_instance_is_replaced(library, tmp_path):
    """A result that was copied to the wrong place counts as none."""
    shutil.copy(library / "easy" / "easy.result.json", library / "hard" / "four.result.json")
    write_result(bare(FOUR, [0, 0, 1, 4]), tmp_path / "mine.json")
    assert improve(library, tmp_path / "mine.json")[1]


def test_merge_keeps_best_schedule_and_best_bound():
    """Old bound with new schedule, new bound with old schedule, and who made which."""
    weak, good = bare(FOUR, [0, 0, 1, 4]), replace(bare(FOUR, [0, 1, 0, 3]), solver="dp")
    bound_only = replace(result(FOUR, None), solver="bounder")
    both = merge(weak, bound_only)
    assert (both.total_latency, both.lower_bound, both.certificate.kind) == (13, 10, "volume")
    assert (both.solver, both.statistics["bound_solver"]) == ("by hand", "bounder")
    best = merge(both, good)
    assert (best.total_latency, best.lower_bound, best.solver) == (12, 10, "dp")
    assert best.status is Status.FEASIBLE
    assert merge(best, weak) is None
    assert merge(best, bound_only) is None


def test_merge_proves_when_parts_meet():
    """A schedule of one run and the bound of another make an optimum."""
    proved = merge(bare(EASY, [0, 0]), result(EASY, None))
    assert proved.status is Status.OPTIMAL


def test_merge_drops_uncertified_bounds():
    """A bare claim never enters the library."""
    taken = merge(None, result(FOUR, [0, 1, 0, 3], bound=12))
    assert (taken.status, taken.lower_bound, taken.total_latency) == (Status.FEASIBLE, None, 12)
    assert merge(None, result(FOUR, None, bound=3)) is None


def test_merge_replaces_a_refused_result():
    """A wrong result in the library is no reason to keep out a right one."""
    wrong = replace(result(FOUR, [0, 0, 0, 0]), lower_bound=None, certificate=None)
    assert merge(wrong, bare(FOUR, [0, 0, 1, 4])).total_latency == 13


def test_improve_finds_the_instance_and_stores(library, tmp_path):
    """The digest says where a result belongs; index and page follow."""
    path = tmp_path / "mine.json"
    write_result(bare(FOUR, [0, 1, 0, 3]), path)
    done = CliRunner().invoke(app, ["library", "improve", str(path), "--root", str(library)])
    assert done.exit_code == 0
    stored = read_result(library / "hard" / "four.result.json", FOUR)
    assert (stored.total_latency, stored.lower_bound) == (12, 10)
    assert len(stored.statistics["found_on"]) == len("2026-01-31")
    assert verify_library(library)[1] == []
    again = CliRunner().invoke(app, ["library", "improve", str(path), "--root", str(library), "--json"])
    assert again.exit_code == 1
    assert json.loads(again.stdout)["better"] is False


def test_improve_refuses_a_wrong_result(library, tmp_path):
    """The verifier decides, and the library stays as it was."""
    before = (library / "hard" / "four.result.json").read_bytes()
    write_result(bare(FOUR, [0, 0, 0, 1]), tmp_path / "mine.json")
    with pytest.raises(Refused, match=r"mine\.json: refused: memory <= capacity"):
        improve(library, tmp_path / "mine.json")
    assert (library / "hard" / "four.result.json").read_bytes() == before


def test_improve_needs_a_known_instance(library, tmp_path):
    """A result of another instance is an input error."""
    other = Instance(7, [1], [1])
    write_result(bare(other, [0]), tmp_path / "mine.json")
    with pytest.raises(InputError, match="no instance below"):
        improve(library, tmp_path / "mine.json")


# ---------------------------------------------------------------- storing and solving


def test_large_results_are_packed_and_replace_plain_ones(tmp_path):
    """One result for an instance, packed or not."""
    many = Instance(10, [0] * 40_000, [1] * 40_000, name="many")
    path = tmp_path / "many.json"
    write(many, path)
    write_result(bare(many, [i // 10 for i in range(40_000)]), tmp_path / "many.result.json")
    assert store_result(bare(many, list(range(40_000))), path).name == "many.result.json.gz"
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["many.json", "many.result.json.gz"]
    shutil.copy(tmp_path / "many.result.json.gz", tmp_path / "many.result.json")
    with pytest.raises(InputError, match="two results"):
        result_file(path)


def test_solving_keeps_going_and_resumes(library):
    """Brute force takes eight requests at most: the ninth fails, the other is stored, the proved one is left alone."""
    assert [path.stem for path in lacking(library)] == ["four", "nine"]
    seen = []
    outcomes = solve_library(library, solver="brute-force", on_outcome=seen.append)
    assert seen == outcomes
    four, nine = outcomes
    assert (four.better, four.failure) == (True, None)
    assert "exit code 2" in nine.failure
    assert "at most 8 requests" in nine.failure
    stored = read_result(library / "hard" / "four.result.json", FOUR)
    assert (stored.total_latency, stored.lower_bound, stored.solver) == (12, 10, "brute-force")
    assert stored.statistics["bound_solver"] == "by hand"


def test_interrupt_keeps_what_is_there_and_skips_the_rest(library):
    """Ctrl-C after the first instance: its result is stored, the others wait for the next run."""

    write(Instance(9, [1] * 10, [2] * 10), library / "hard" / "ten.json")

    def interrupt(outcome):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve_library(library, solver="brute-force", on_outcome=interrupt)
    assert read_result(library / "hard" / "four.result.json", FOUR).total_latency == 12
    assert result_file(library / "hard" / "ten.json") is None


def test_solver_that_hangs_costs_its_instance(library):
    """A process that does not stop is ended."""
    outcome = solve_one(library / "hard" / "nine.json", ["--solver", "mc-sf"], limit_s=0.01)
    assert "did not stop within 0.01 s" in outcome.failure


def test_solve_command_makes_the_index(library):
    """After solving, index and page tell the new state; a failure is listed and gives exit code 1."""
    done = CliRunner().invoke(app, ["library", "solve", str(library), "--solver", "brute-force", "--json"])
    assert done.exit_code == 1, done.output
    answer = json.loads(done.stdout)
    assert answer["proofs"] == {"proved optimal": 1, "certified gap": 1, "no result": 1}
    assert [(row["better"], row["failure"] is None) for row in answer["solved"]] == [(True, True), (False, False)]
    assert verify_library(library)[1] == []


def test_create_adds_what_is_missing_and_touches_nothing(tmp_path, monkeypatch):
    """Files that exist are compared; another content is an error, never overwritten."""
    monkeypatch.setattr(suites_module, "SUITES", {"teaching": suites_module.teaching})
    assert len(create(tmp_path)) == 7
    assert create(tmp_path) == []
    write(FOUR, tmp_path / "teaching" / "by-hand.json")
    with pytest.raises(InputError, match="not the instance that its recipe gives"):
        create(tmp_path)
    assert read(tmp_path / "teaching" / "by-hand.json") == FOUR
