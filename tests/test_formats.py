"""Instance and result files: what is read, what is refused and how, and that nothing is half-written."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kvopt.cli import app, main
from kvopt.errors import InputError
from kvopt.io.files import read_bytes, write_bytes
from kvopt.io.formats import (
    MAX_REPORTED,
    encode_instance,
    encode_result,
    json_schema,
    parse_instance,
    parse_result,
    read,
    read_result,
    write,
    write_result,
)
from kvopt.model import MAX_VALUE, Certificate, Instance, Result, Schedule, Status

DATA = Path(__file__).parent / "data"
FOUR = Instance(5, [1, 1, 1, 1], [1, 1, 3, 3], name="four")

#: Bad instance file -> (JSON path, rule, value) as the message must show them.
BAD_INSTANCES = {
    "arrival-above-2-31": ("$.requests[1].arrival", "int <= 2147483647", "2147483648"),
    "boolean-prompt": ("$.requests[1].prompt", "expected int", "true"),
    "boolean-version": ("$.version", "expected int", "true"),
    "capacity-above-2-31": ("$.capacity", "int <= 2147483647", "2147483648"),
    "cut-off": ("", "not valid JSON", "truncated"),
    "duplicate-expanded-id": ("$.requests", "two requests are called", "'a[1]'"),
    "duplicate-id": ("$.requests[1].id", "already the id of $.requests[0]", "'a'"),
    "empty-file": ("", "not valid JSON", "truncated"),
    "empty-list": ("$.requests", "at least one request", "[]"),
    "float-capacity": ("$.capacity", "expected int", "5.0"),
    "float-prompt": ("$.requests[1].prompt", "expected int", "1.5"),
    "list-at-top": ("$", "expected an object", "[1,2]"),
    "meta-is-list": ("$.meta", "expected object", "[1]"),
    "missing-capacity": ("$", "missing", "'capacity'"),
    "missing-format": ("$", "missing", "'format'"),
    "missing-output": ("$.requests[1]", "missing", "'output'"),
    "missing-requests": ("$", "missing", "'requests'"),
    "name-is-number": ("$.name", "expected str | null", "3"),
    "negative-arrival": ("$.requests[1].arrival", "int >= 0", "-1"),
    "negative-prompt": ("$.requests[1].prompt", "int >= 0", "-1"),
    "nested-too-deep": ("", "not valid JSON", "recursion depth"),
    "not-a-number": ("", "not valid JSON", "invalid character"),
    "not-json": ("", "not valid JSON", "byte 0"),
    "not-utf8": ("", "not valid JSON", "0xe4"),
    "null-at-top": ("$", "expected an object", "null"),
    "null-prompt": ("$.requests[1].prompt", "expected int", "null"),
    "numeric-id": ("$.requests[1].id", "expected str | null", "7"),
    "peak-above-capacity": ("$.requests[1]", "exceeds the capacity 5", "prompt 3 + output 3 = 6"),
    "prompt-2-70": ("$.requests[1].prompt", "int <= 2147483647", str(2**70)),
    "prompt-above-2-31": ("$.requests[1].prompt", "int <= 2147483647", "2147483648"),
    "repeated-key": ("$.requests[1].output", "this key stands", "2 times"),
    "repeated-requests": ("$.requests", "this key stands", "2 times"),
    "request-is-list": ("$.requests[1]", "expected an object", "[1,1]"),
    "requests-null": ("$.requests", "expected a list", "null"),
    "requests-object": ("$.requests", "expected a list", '{"prompt":1,"output":1}'),
    "several-kinds": ("$.requests[0]", "exceeds the capacity 5", "prompt 9 + output 1 = 10"),
    "text-output": ("$.requests[1].output", "expected int", '"3"'),
    "thirty-errors": ("$.requests[19].prompt", "int >= 0", "-1"),
    "too-many-requests": ("$.requests", "at most 10000000", "6442450941"),
    "trailing-text": ("", "not valid JSON", "trailing characters"),
    "unknown-key": ("$.capcity", "unknown key", "capcity"),
    "unknown-request-key": ("$.requests[1].lenght", "unknown key", "lenght"),
    "whole-float-output": ("$.requests[1].output", "expected int", "2.0"),
    "wrong-format": ("$.format", 'expected "kvopt/instance"', '"kvopt/result"'),
    "wrong-version": ("$.version", "expected 1", "2"),
    "zero-capacity": ("$.capacity", "int >= 1", "0"),
    "zero-count": ("$.requests[1].count", "int >= 1", "0"),
    "zero-output": ("$.requests[1].output", "int >= 1", "0"),
}

#: The same for result files, read for the instance `FOUR`.
BAD_RESULTS = {
    "boolean-start": ("$.starts[1]", "expected int", "true"),
    "certificate-kind-list": ("$.certificate.kind", "expected str", "[1]"),
    "certificate-without-kind": ("$.certificate.kind", "expected str", "null"),
    "float-start": ("$.starts[1]", "expected int", "0.0"),
    "float-total-latency": ("$.total_latency", "expected int | null", "13.0"),
    "huge-start": ("$.starts[1]", "int <= ", str(2**70)),
    "list-at-top": ("$", "expected an object", "[]"),
    "missing-lower-bound": ("$", "missing", "'lower_bound'"),
    "missing-solver": ("$", "missing", "'solver'"),
    "negative-start": ("$.starts[1]", "int >= 0", "-1"),
    "nested-too-deep": ("", "not valid JSON", "recursion depth"),
    "not-json": ("", "not valid JSON", "byte 0"),
    "other-instance": ("", "made for instance 'five'", "sha256:" + "0" * 64),
    "repeated-bound": ("$.lower_bound", "this key stands", "2 times"),
    "repeated-certificate-key": ("$.certificate.drops", "this key stands", "3 times"),
    "short-digest": ("$.instance.digest", "sha256:[0-9a-f]{64}", '"sha256:12"'),
    "starts-text": ("$.starts", "expected array | null", '"0011"'),
    "too-few-starts": ("$.starts", "for 4 requests", "3 starts"),
    "unknown-key": ("$.gap", "unknown key", "gap"),
    "version-number": ("$.versions", "expected str", '{"kvopt":1}'),
    "wrong-status": ("$.status", '"optimal" or "feasible"', '"proved"'),
    "wrong-version": ("$.version", "expected 1", "3"),
}

#: Rules that a JSON Schema cannot state; it also takes 2.0 for an integer.
BEYOND_SCHEMA = {
    "duplicate-expanded-id",
    "duplicate-id",
    "float-capacity",
    "peak-above-capacity",
    "repeated-key",
    "repeated-requests",
    "too-many-requests",
    "whole-float-output",
    "float-start",
    "float-total-latency",
    "certificate-kind-list",
    "certificate-without-kind",
    "other-instance",
    "repeated-bound",
    "repeated-certificate-key",
    "too-few-starts",
}


@st.composite
def instances(draw):
    """Instances with all that a file can hold, small values and the largest."""
    value = st.one_of(st.integers(0, 9), st.integers(0, MAX_VALUE // 2))
    rows = draw(st.lists(st.tuples(value, value.map(lambda x: x + 1), value), min_size=1, max_size=12))
    prompt, output, arrival = (list(column) for column in zip(*rows, strict=True))
    peak = max(s + o for s, o in zip(prompt, output, strict=True))
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    ids = st.one_of(st.none(), st.lists(text, min_size=len(rows), max_size=len(rows), unique=True))
    leaf = st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), text)
    meta = st.dictionaries(text, st.one_of(leaf, st.lists(leaf, max_size=3)), max_size=3)
    return Instance(
        draw(st.integers(peak, MAX_VALUE)), prompt, output, arrival, name=draw(text), ids=draw(ids), meta=draw(meta)
    )


# ---------------------------------------------------------------- refusing


def test_every_bad_file_is_expected():
    """A bad file without an expectation, or the other way round, would never be tested."""
    assert {path.stem for path in (DATA / "bad").glob("*.json")} == set(BAD_INSTANCES)
    assert {path.stem for path in (DATA / "bad-results").glob("*.json")} == set(BAD_RESULTS)


@pytest.mark.parametrize("defect", BAD_INSTANCES)
def test_bad_instance_is_refused(defect):
    """The message names file, JSON path, value and rule."""
    path = DATA / "bad" / f"{defect}.json"
    place, rule, value = BAD_INSTANCES[defect]
    with pytest.raises(InputError) as caught:
        read(path)
    lines = [line for line in str(caught.value).splitlines() if f"{path}: {place}" in line]
    assert any(rule in line and value in line for line in lines), str(caught.value)


@pytest.mark.parametrize("defect", BAD_RESULTS)
def test_bad_result_is_refused(defect):
    """The same for result files."""
    path = DATA / "bad-results" / f"{defect}.json"
    place, rule, value = BAD_RESULTS[defect]
    with pytest.raises(InputError) as caught:
        read_result(path, FOUR)
    lines = [line for line in str(caught.value).splitlines() if f"{path}: {place}" in line]
    assert any(rule in line and value in line for line in lines), str(caught.value)


def test_all_errors_in_one_report():
    """Whoever repairs a file wants all errors at once, of whatever kind."""
    with pytest.raises(InputError) as caught:
        read(DATA / "bad" / "several-kinds.json")
    assert len(str(caught.value).splitlines()) == 3


def test_report_is_cut_after_twenty_errors():
    """Thirty thousand errors must not flood the terminal; the number left out is told."""
    with pytest.raises(InputError) as caught:
        read(DATA / "bad" / "thirty-errors.json")
    lines = str(caught.value).splitlines()
    assert len(lines) == MAX_REPORTED + 1
    assert lines[-1].endswith("and 10 more errors")


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_as_input(data):
    """No sequence of bytes may end in another exception than InputError."""
    with pytest.raises(InputError):
        parse_instance(data, "x.json")
    with pytest.raises(InputError):
        parse_result(data, "x.json")


@given(instances(), st.data())
def test_mutated_files_never_crash(instance, data):
    """One byte changed in a good file gives a good instance or an InputError, no other exception."""
    text = bytearray(encode_instance(instance))
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputError):
        assert parse_instance(bytes(text), "x.json").n >= 1


@pytest.mark.parametrize("defect", ["float-prompt", "not-json", "peak-above-capacity"])
def test_command_ends_with_code_2_and_no_traceback(defect):
    """Scripts rely on the exit code, people on the message."""
    path = DATA / "bad" / f"{defect}.json"
    done = subprocess.run(
        [sys.executable, "-c", "from kvopt.cli import main; main()", "solve", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["solve", "--solver", "mc-sf"], ["bound", "--method", "volume"], ["verify"]])
def test_names_have_no_power_over_the_terminal(tmp_path, capsys, monkeypatch, arguments):
    """A downloaded file may be called anything, escape sequences included."""
    path = tmp_path / "evil.json"
    write(Instance(5, [1], [1], name="a\x1b[31mb\rc"), path)
    result = tmp_path / "\x1b[2J.json"
    monkeypatch.setattr(sys, "argv", ["kvopt", arguments[0], str(path), *arguments[1:]])
    if arguments == ["verify"]:
        sys.argv.append(str(result))
    with contextlib.suppress(SystemExit):
        main()
    shown = "".join(capsys.readouterr())
    assert "\\x1b[" in shown
    assert "\x1b" not in shown
    assert "\r" not in shown


# ---------------------------------------------------------------- round trips


@given(instances())
def test_instance_round_trip(instance):
    """What is written is what is read: requests in order, arrivals, ids, name and meta."""
    again = parse_instance(encode_instance(instance), "x.json")
    assert again == instance
    assert (again.ids, again.name, again.meta) == (instance.ids, instance.name, instance.meta)


@given(instances(), st.data())
def test_result_round_trip(instance, data):
    """Every field of a result survives, absent ones as null."""
    starts = data.draw(st.one_of(st.none(), st.lists(st.integers(0, 2**40), min_size=instance.n, max_size=instance.n)))
    result = Result(
        instance=instance,
        solver="drawn",
        status=Status.UNKNOWN if starts is None else Status.FEASIBLE,
        schedule=None if starts is None else Schedule(instance, starts),
        lower_bound=data.draw(st.one_of(st.none(), st.integers(-5, 2**70))),
        certificate=data.draw(
            st.one_of(st.none(), st.just(Certificate("prices", {"prices": [1, 0], "denominator": 3})))
        ),
        limits={"time_limit_s": 1.5},
        statistics={"runtime_s": 0.25, "trajectory": [[0.1, 3, None]]},
        versions={"kvopt": "0"},
    )
    data = encode_result(result)
    jsonschema.validate(json.loads(data), json_schema("result"))
    file = parse_result(data)
    assert file.instance.digest == instance.digest
    assert (file.status, file.total_latency, file.lower_bound) == (
        result.status,
        result.total_latency,
        result.lower_bound,
    )
    assert file.starts == starts
    assert file.certificate == (None if result.certificate is None else result.certificate.as_dict())
    assert (file.limits, file.statistics, file.versions) == (result.limits, result.statistics, result.versions)


def test_result_file_is_tied_to_its_instance(tmp_path):
    """Reading gives the result back; for an instance that differs in one token it is refused."""
    path = tmp_path / "four.result.json"
    result = Result(FOUR, "mc-sf", Status.FEASIBLE, Schedule(FOUR, [0, 0, 1, 4]), 12, Certificate("volume"))
    write_result(result, path)
    again = read_result(path, FOUR)
    assert again.schedule.starts.tolist() == [0, 0, 1, 4]
    assert (again.total_latency, again.lower_bound, again.certificate.kind) == (13, 12, "volume")
    with pytest.raises(InputError, match="made for instance 'four'"):
        read_result(path, Instance(6, FOUR.prompt, FOUR.output))


def test_equal_rows_are_counted():
    """A thousand equal requests are one row of the file."""
    data = json.loads(encode_instance(Instance(5, [1] * 1000, [2] * 1000)))
    assert data["requests"] == [{"prompt": 1, "output": 2, "count": 1000}]


def test_requests_are_numbered_in_file_order():
    """`starts[i]` belongs to request i after counts are expanded; rows are neither merged nor sorted."""
    rows = [
        {"prompt": 1, "output": 3, "count": 2, "id": "long"},
        {"prompt": 0, "output": 1},
        {"prompt": 1, "output": 3},
    ]
    head = {"format": "kvopt/instance", "version": 1, "capacity": 5}
    instance = parse_instance(json.dumps({**head, "requests": rows}).encode(), "some/where.json")
    assert instance.output.tolist() == [3, 3, 1, 3]
    assert instance.ids == ("long[0]", "long[1]", "2", "3")
    assert instance.name == "where"


def test_gzip_is_smaller_and_reproducible(tmp_path):
    """`.json.gz` is packed for real, read back, and equal content gives equal bytes."""
    instance = Instance(9, list(range(5)) * 100, [1] * 500)
    plain, packed, twin = tmp_path / "a.json", tmp_path / "a.json.gz", tmp_path / "b.json.gz"
    for path in (plain, packed, twin):
        write(instance, path)
        assert read(path) == instance
    assert packed.read_bytes() == twin.read_bytes()
    assert packed.stat().st_size < plain.stat().st_size / 4
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert read(packed).name == "instance"


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(b"{}")[:-4], b""], ids=["plain", "cut", "empty"])
def test_bad_gzip_is_refused(tmp_path, data):
    """A damaged archive is an input error that names the file."""
    path = tmp_path / "a.json.gz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.json\.gz"):
        read(path)


def test_dash_is_the_standard_streams(monkeypatch):
    """`-` reads standard input and writes standard output."""
    stdin, stdout = io.BytesIO(encode_instance(FOUR)), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
    instance = read("-")
    write(instance, "-")
    assert instance == FOUR
    assert stdout.getvalue() == encode_instance(FOUR)


# ---------------------------------------------------------------- schema


@pytest.mark.parametrize(("kind", "folder"), [("instance", "bad"), ("result", "bad-results")])
def test_schema_refuses_what_reading_refuses(kind, folder):
    """The published schema and the reader come from one definition; what it cannot state is listed."""
    validator = jsonschema.Draft202012Validator(json_schema(kind))
    for path in (DATA / folder).glob("*.json"):
        try:
            content = json.loads(path.read_bytes(), parse_constant=lambda name: pytest.fail("not JSON"))
        except (ValueError, RecursionError, pytest.fail.Exception):
            continue
        assert validator.is_valid(content) == (path.stem in BEYOND_SCHEMA), path.stem


@given(instances())
def test_schema_accepts_what_is_written(instance):
    """Files of our own follow the published schema."""
    jsonschema.validate(json.loads(encode_instance(instance)), json_schema("instance"))


@pytest.mark.parametrize("kind", ["instance", "result"])
def test_schema_command(kind, tmp_path):
    """`kvopt schema` prints the schema or writes it; --json prints it in any case, as for every command."""
    shown = CliRunner().invoke(app, ["schema", kind])
    assert json.loads(shown.stdout) == msgspec.to_builtins(json_schema(kind))
    written = CliRunner().invoke(app, ["schema", kind, "-o", str(tmp_path / "schema.json")])
    assert (tmp_path / "schema.json").read_text() == shown.stdout
    assert written.stdout == ""
    for more in (["--json"], ["--json", "-o", str(tmp_path / "schema.json")], ["--json", "-o", "-"]):
        assert CliRunner().invoke(app, ["schema", kind, *more]).stdout == shown.stdout


# ---------------------------------------------------------------- writing


def test_missing_folder_is_an_input_error(tmp_path):
    """The message names the path, and nothing appears anywhere."""
    with pytest.raises(InputError, match="cannot be written"):
        write(FOUR, tmp_path / "none" / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_folder_as_target_is_refused(tmp_path):
    """A folder is not overwritten."""
    with pytest.raises(InputError, match="cannot be written"):
        write(FOUR, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_device_is_an_input_error():
    """No space left: one readable message."""
    with pytest.raises(InputError, match="No space left"):
        write(FOUR, "/dev/full")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    """A disk that fills up while writing must not cost the result that was there."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.json"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(InputError, match="No space left"):
        write_bytes(path, b"after")
    monkeypatch.undo()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    """Ctrl-C in the middle: no temporary file stays behind."""

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a.json", b"text")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_written_files_get_ordinary_permissions(tmp_path):
    """Temporary files are private; the final one must be readable as the umask says."""
    write(FOUR, tmp_path / "a.json")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o666 & ~umask


def test_missing_file_is_an_input_error(tmp_path):
    """One message with the path, no traceback."""
    with pytest.raises(InputError, match=r"none\.json: cannot be read"):
        read_bytes(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("arguments", "streams", "message"),
    [
        (["solve", "-", "--solver", "brute-force"], "<&-", "kvopt: -: cannot be read (standard input is closed)"),
        (["generate", "types"], ">&-", "kvopt: -: cannot be written (standard output is closed)"),
        (["generate", "types"], "> /dev/full", "kvopt: standard output: No space left on device"),
        (["schema", "result", "--json"], "> /dev/full", "kvopt: standard output: No space left on device"),
    ],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_broken_standard_streams_are_told(arguments, streams, message):
    """Scripts close streams and disks fill up: a line and exit code 2, no traceback."""
    command = f"exec {sys.executable} -m kvopt {' '.join(arguments)} {streams}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
