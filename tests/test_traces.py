"""Importers: each public format in a small file of its own, what is skipped, what is refused, what is remembered."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tempfile
import tracemalloc
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kvopt import read
from kvopt.cli import app
from kvopt.errors import InputError, UnknownNameError
from kvopt.io.traces import SOURCES, import_trace
from kvopt.io.traces.row import Unusable
from kvopt.io.traces.stream import CHUNK, json_items

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
"""
VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396,109\n4.541877,879,55\n"
VIDUR_NO_TIMES = (
    "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n374,44,418,8.5\n396,109,505,3.6\n879,55,934,16\n"
)
CSV = 'who,in,out,when\r\na,374,44,10\r\n\r\nb,396,109,14.314579\r\n"c\nd",879,55,14.541877\r\n'
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,374,44,418,Conversation log
9.314579,GPT-4,396,109,505,Conversation log
9.541877,ChatGPT,879,55,934,API log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 374, "output_length": 44, "hash_ids": [0, 1]}
{"timestamp": 4314.579, "input_length": 396, "output_length": 109, "hash_ids": []}

{"timestamp": 4541.877, "input_length": 879, "output_length": 55, "hash_ids": [2]}
"""
SHAREGPT = json.dumps(
    [
        {
            "id": "a",
            "conversations": [{"from": "human", "value": "one two three"}, {"from": "gpt", "value": "four five"}],
        },
        {
            "id": "b",
            "conversations": [
                {"from": "system", "value": "be brief"},
                {"from": "human", "value": "one"},
                {"from": "gpt", "value": "two three four"},
                {"from": "human", "value": "five"},
                {"from": "gpt", "value": "six"},
            ],
        },
        {"id": "c", "conversations": [{"from": "gpt", "value": "nobody asked"}]},
    ],
    indent=1,
)
LMSYS = "".join(
    json.dumps(
        {"conversation_id": k, "conversation": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
    )
    + "\n"
    for k, (q, a) in enumerate([("one two three", "four five"), ("be brief one", "two three four")])
)
#: Line on which the last conversation begins.
LAST_ITEM = SHAREGPT[: SHAREGPT.index('"id": "c"')].count("\n")
COLUMNS = {"prompt_column": "in", "output_column": "out", "arrival_column": "when"}

#: source -> (content, options, prompts, outputs, arrivals at 20 rounds a second)
THREE = ([374, 396, 879], [44, 109, 55])
CASES = {
    "azure": (AZURE, {}, *THREE, [0, 87, 91]),
    "vidur": (VIDUR, {}, *THREE, [0, 87, 91]),
    "vidur without times": (VIDUR_NO_TIMES, {}, *THREE, [0, 0, 0]),
    "csv": (CSV, COLUMNS, *THREE, [0, 87, 91]),
    "burstgpt": (BURSTGPT, {}, *THREE, [0, 87, 91]),
    "mooncake": (MOONCAKE, {}, *THREE, [0, 87, 91]),
    "sharegpt": (SHAREGPT, {}, [4, 4], [3, 4], [0, 0]),
    "lmsys": (LMSYS, {}, [4, 4], [3, 4], [0, 0]),
}


def trace(folder, content, name="trace.txt"):
    """A trace file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_every_source_is_tested():
    """A new importer needs a case here."""
    assert {case.partition(" ")[0] for case in CASES} == set(SOURCES)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("case", CASES)
def test_formats(tmp_path, case, packed):
    """Each format gives the requests that stand in it, packed or not."""
    content, options, prompt, output, arrival = CASES[case]
    data = gzip.compress(content.encode()) if packed else content.encode()
    instance, report = import_trace(case.partition(" ")[0], trace(tmp_path, data), 2000, **options)
    assert instance.prompt.tolist() == prompt
    assert instance.output.tolist() == output
    assert instance.arrival.tolist() == arrival
    assert report.kept == len(prompt)


def test_azure_2024_timestamps(tmp_path):
    """The 2024 files write a zone; times across it compare in UTC."""
    content = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,1,1\n2024-05-10 02:00:01.009930+02:00,1,1\n2024-05-10T00:00:02,1,1\n"
    )
    instance, _ = import_trace("azure", trace(tmp_path, content), 10, rounds_per_second=Fraction(1000))
    assert instance.arrival.tolist() == [0, 1000, 1991]


def test_real_row_order_is_kept(tmp_path):
    """Requests are numbered as in the file, also when times are not sorted; the earliest arrives in round 0."""
    content = "in,out,when\n1,1,3\n2,1,1\n3,1,2\n"
    instance, _ = import_trace("csv", trace(tmp_path, content), 10, rounds_per_second=Fraction(1), **COLUMNS)
    assert instance.prompt.tolist() == [1, 2, 3]
    assert instance.arrival.tolist() == [2, 0, 1]


def test_all_turns(tmp_path):
    """With all turns, each answer is a request whose prompt is the whole history."""
    ratio = {"tokens_per_word": Fraction(1)}
    instance, _ = import_trace("sharegpt", trace(tmp_path, SHAREGPT), 99, turns="all", **ratio)
    assert instance.prompt.tolist() == [3, 3, 7]
    assert instance.output.tolist() == [2, 3, 1]
    assert instance.meta["options"] == {"turns": "all", "tokens_per_word": "1"}


def test_unusable_rows_are_counted_with_their_lines(tmp_path):
    """Failed requests and requests above the capacity are left out, and the report says which."""
    content = "in,out\n5,0\n9,2\n8,2\n10,1\n0,3\n0,0\n"
    names = {"prompt_column": "in", "output_column": "out"}
    instance, report = import_trace("csv", trace(tmp_path, content), 10, **names)
    assert list(zip(instance.prompt.tolist(), instance.output.tolist(), strict=True)) == [(8, 2), (0, 3)]
    assert report.skipped == {"output of 0 tokens": 2, "prompt + output above the capacity": 2}
    assert report.examples == {"output of 0 tokens": [2, 7], "prompt + output above the capacity": [3, 5]}
    assert (report.rows_read, report.kept, report.empty_prompts) == (6, 2, 1)


def test_conversation_without_answer_is_counted(tmp_path):
    """A conversation that never got an answer is no request and no error."""
    _, report = import_trace("sharegpt", trace(tmp_path, SHAREGPT), 99)
    assert report.skipped == {"no answer to a user": 1}


def test_limit_counts_usable_requests(tmp_path):
    """`--limit 2` means two requests, not two lines; reading stops there."""
    content = "in,out\n5,0\n1,1\n2,2\n3,3\n"
    names = {"prompt_column": "in", "output_column": "out"}
    instance, report = import_trace("csv", trace(tmp_path, content), 10, limit=2, **names)
    assert instance.prompt.tolist() == [1, 2]
    assert report.rows_read == 3


def test_provenance(tmp_path):
    """The instance remembers file, hash (of the whole file, also with a limit), counts and conversion."""
    path = trace(tmp_path, AZURE * 1 + "2023-11-16 18:15:52,1,0\n", "conv.csv")
    for limit in (1, None):
        instance, report = import_trace("azure", path, 2000, limit=limit)
        meta = instance.meta
        assert meta["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (meta["source"], meta["file"], meta["kept"]) == ("azure", "conv.csv", report.kept)
        assert meta["arrivals"].startswith("ceil(seconds after the earliest * 20)")
    assert (meta["rows_read"], meta["skipped"]) == (4, {"output of 0 tokens": 1})


def test_backlog(tmp_path):
    """`backlog` puts everything at round 0 and says so."""
    instance, _ = import_trace("azure", trace(tmp_path, AZURE), 2000, backlog=True)
    assert not instance.has_arrivals
    assert "backlog" in instance.meta["arrivals"]


def test_draw(tmp_path):
    """A backlog of any size out of a trace: only its requests, the same for the same seed, and the file says how."""
    path = trace(tmp_path, AZURE)
    instance, _ = import_trace("azure", path, 2000, backlog=True, draw=50, seed=1)
    rows = set(zip(instance.prompt.tolist(), instance.output.tolist(), strict=True))
    assert rows == {(374, 44), (396, 109), (879, 55)}
    assert (instance.n, instance.meta["drawn"], instance.meta["seed"]) == (50, 50, 1)
    assert import_trace("azure", path, 2000, backlog=True, draw=50, seed=1)[0] == instance
    assert import_trace("azure", path, 2000, backlog=True, draw=50, seed=2)[0] != instance


@pytest.mark.parametrize(
    ("options", "rule"), [({}, "for a backlog only"), ({"backlog": True, "seed": -1}, "seed must be an integer")]
)
def test_draw_is_refused(tmp_path, options, rule):
    """Drawn requests have no arrivals, and numpy would end in a traceback for a negative seed."""
    with pytest.raises(InputError, match=rule):
        import_trace("azure", trace(tmp_path, AZURE), 2000, draw=5, **options)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=20), st.fractions(Fraction(1, 40), 300, max_denominator=40))
@settings(max_examples=50)
def test_rounds_are_exact(millis, rate):
    """The arrival round is the first that begins at or after the arrival, without a float in between."""
    lines = "".join(json.dumps({"timestamp": ms, "input_length": 1, "output_length": 1}) + "\n" for ms in millis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        instance, _ = import_trace("mooncake", "-", 10, rounds_per_second=rate)
    for ms, arrival in zip(millis, instance.arrival.tolist(), strict=True):
        elapsed = Fraction(ms - min(millis), 1000)
        assert (arrival - 1) / rate < elapsed <= arrival / rate


MALFORMED = {
    "azure": (AZURE + "2023-11-16,1,1\n", "line 5: TIMESTAMP: expected a date and time, got '2023-11-16'"),
    "azure month": (AZURE + "2023-13-16 18:15:52,1,1\n", "line 5: TIMESTAMP"),
    "vidur": (VIDUR + "x,1,1\n", "line 5: arrived_at: expected a time, got 'x'"),
    "vidur infinite": (VIDUR + "1e999999999,1,1\n", "line 5: arrived_at"),
    "vidur late": (VIDUR + "9e14,1,1\n", "line 5: arrived_at: expected a time within 292 years of zero, got '9e14'"),
    "vidur early": (VIDUR + "-1e10,1,1\n", "line 5: arrived_at: expected a time within 292 years"),
    "azure late": (AZURE + "9999-12-31 23:59:59,1,1\n", "line 5: TIMESTAMP: expected a time within 292 years"),
    "azure early": (AZURE + "0001-01-01 00:00:00+23:59,1,1\n", "line 5: TIMESTAMP: expected a time within 292"),
    "burstgpt late": (BURSTGPT + "99999999999,GPT-4,2,3,5,API log\n", "line 5: Timestamp: expected a time within"),
    "mooncake late": (
        MOONCAKE + '{"timestamp": 9e13, "input_length": 1, "output_length": 1}\n',
        "line 5: timestamp: expected a time within 292 years of zero, got '90000000000000.0'",
    ),
    "mooncake nan": (MOONCAKE + '{"timestamp": NaN, "input_length": 1, "output_length": 1}\n', "line 5: timestamp"),
    "mooncake digits": (MOONCAKE + '{"timestamp": ' + "9" * 5000 + "}\n", "line 5: not valid JSON"),
    "vidur float": (VIDUR + "1,1.0,1\n", "line 5: num_prefill_tokens: expected a whole number"),
    "vidur negative": (VIDUR + "1,-1,1\n", "line 5: num_prefill_tokens"),
    "vidur huge": (VIDUR + "1,1,2147483648\n", "line 5: num_decode_tokens"),
    "vidur empty": (VIDUR + "1,,3\n", "line 5: num_prefill_tokens"),
    "vidur short": (VIDUR + "1,2\n", "line 5: 2 columns, at least 3 are needed"),
    "csv": (CSV + "a,b,3,1\n", "line 7: in: expected a whole number within 0..2147483647, got 'b'"),
    "burstgpt": (BURSTGPT + "1,GPT-4,?,3,4,API log\n", "line 5: Request tokens"),
    "mooncake json": (MOONCAKE + "{'timestamp': 1}\n", "line 5: not valid JSON"),
    "mooncake key": (MOONCAKE + '{"timestamp": 1, "input_length": 3}\n', "line 5: the key 'output_length' is missing"),
    "mooncake bool": (MOONCAKE.replace("374", "true"), "line 1: input_length"),
    "mooncake list": (MOONCAKE + "[1]\n", "line 5: expected an object"),
    "sharegpt end": (SHAREGPT[:-10], f"line {LAST_ITEM}: not valid JSON from here on"),
    "sharegpt item": ("[\n" + "1,\n" + SHAREGPT[1:], "line 2: expected an object with a list 'conversations'"),
    "sharegpt text": (SHAREGPT.replace('"six"', "6"), "line 15: message 4: expected text in 'from' and 'value'"),
    "lmsys": (LMSYS + '{"conversation": 3}\n', "line 3: expected an object with a list 'conversation'"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_rows_are_named_by_line(tmp_path, case):
    """A wrong row is an error with file, line, column and value; on demand it is skipped and counted."""
    content, message = MALFORMED[case]
    source, path = case.partition(" ")[0], trace(tmp_path, content)
    options = COLUMNS if source == "csv" else {}
    with pytest.raises(InputError) as caught:
        import_trace(source, path, 2000, **options)
    assert f"{path}: {message}" in str(caught.value)
    instance, report = import_trace(source, path, 2000, skip_malformed=True, **options)
    assert report.skipped["malformed"] == 1
    assert report.kept == instance.n >= 1


def test_times_too_far_apart_are_named_by_line(tmp_path):
    """A clock that jumps within the sane range still gives rounds beyond the format: file, line and value are told."""
    path = trace(tmp_path, "arrived_at,num_prefill_tokens,num_decode_tokens\n5,1,1\n200000005.5,1,1\n7,1,1\n")
    with pytest.raises(InputError) as caught:
        import_trace("vidur", path, 2000)
    assert str(caught.value).startswith(
        f"{path}: line 3: arrives 200000000.500000000 s after the earliest request (line 2), in round 4000000010, above"
    )
    assert import_trace("vidur", path, 2000, rounds_per_second=Fraction(1, 10**400))[0].arrival.tolist() == [0, 1, 1]


@given(st.sampled_from(sorted(CASES)), st.data())
@settings(max_examples=300)
def test_no_byte_gets_past_the_readers(source, data):
    """Any damage to a trace ends in requests or in an InputError, never in another error."""
    text, options, *_ = CASES[source]
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from(
                [b"", b"9" * 30, b"-", b"e9", b"1e400", b"NaN", b'"', b"[", b"{", b"\n", b",", b"\x00", b"\xff"]
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(content)
        said = ""
        try:
            instance, report = import_trace(source.partition(" ")[0], path, 2000, **options)
            assert instance.n == report.kept > 0
        except InputError as error:
            said = str(error)
        assert not said or str(path) in said


def test_many_malformed_rows_are_cut(tmp_path):
    """Twenty lines and the number of the others, not a million lines."""
    with pytest.raises(InputError) as caught:
        import_trace("vidur", trace(tmp_path, VIDUR + "x,1,1\n" * 50), 2000)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert "30 more malformed rows" in lines[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "column 'ContextTokens' is missing; the header has nothing"),
        ("TIMESTAMP,ContextTokens\n", "'GeneratedTokens' is missing; the header has TIMESTAMP, ContextTokens"),
        (AZURE.splitlines()[0], "no request that can be used (the file has no rows)"),
        (AZURE.replace("\n", "\n\n").encode("utf-16"), "cannot be read"),
        (AZURE.encode() + b"2023-11-16 18:15:52,\xff,1\n", "cannot be read after line"),
        (gzip.compress(AZURE.encode() * 50)[:-9], "cannot be read after line"),
        (gzip.compress(AZURE.encode() * 50)[:30] + b"garbage", "cannot be read after line"),
    ],
    ids=["empty", "column", "no rows", "utf-16", "not utf-8", "cut gzip", "broken gzip"],
)
def test_unreadable_files_are_refused(tmp_path, content, message):
    """Whatever the bytes, the answer is one InputError that names the file."""
    path = trace(tmp_path, content)
    with pytest.raises(InputError) as caught:
        import_trace("azure", path, 2000)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_nothing_fits(tmp_path):
    """A capacity below every request is refused with the counts, not an empty instance."""
    with pytest.raises(InputError, match=r"prompt \+ output above the capacity: 3"):
        import_trace("azure", trace(tmp_path, AZURE), 100)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("azur", {}, "known: azure, vidur"),
        ("azure", {"turns": "all"}, "source 'azure' takes no option 'turns'; it takes: none"),
        ("csv", {}, "needs the option 'prompt_column'"),
        ("sharegpt", {"turns": "last"}, "known: first, all"),
        ("sharegpt", {"tokens_per_word": Fraction(0)}, "must be above 0"),
        ("azure", {"limit": 0}, "must be above 0"),
        ("azure", {"rounds_per_second": Fraction(0)}, "must be above 0"),
        ("azure", {"rounds_per_second": Fraction(10**12)}, "use fewer rounds a second"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_options_are_checked(tmp_path, source, options, message):
    """An option of another source, a missing one or a value out of range is an error that says what is right."""
    path = trace(tmp_path, AZURE if source.startswith("azur") else "[]")
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        import_trace(source, path, 2000, **options)


def test_missing_file(tmp_path):
    """The path is named."""
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        import_trace("azure", tmp_path / "none.csv", 10)
    with pytest.raises(UnknownNameError):
        import_trace("nowhere", tmp_path / "none.csv", 10)


@given(
    st.lists(
        st.recursive(
            st.one_of(st.integers(), st.text(max_size=5), st.none()),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=8,
    ),
    st.sampled_from([None, 1]),
    st.integers(1, 40),
)
def test_streamed_list_equals_whole_list(items, indent, chunk):
    """Items cut anywhere by the end of a block come out as from a whole decode."""
    text = json.dumps(items, indent=indent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kvopt.io.traces.stream.CHUNK", chunk)
        found = list(json_items(io.StringIO(text)))
    assert [item for _, item in found] == items


def test_item_larger_than_a_block():
    """One long conversation spans many blocks."""
    big = {"value": "word " * CHUNK}
    found = list(json_items(io.StringIO(json.dumps([1, big, 2]))))
    assert [item for _, item in found] == [1, big, 2]


def test_deep_nesting_is_malformed():
    """A hostile file ends in a report, not in a crash."""
    for text in ("[" * 100_000, '{"a":' * 100_000):
        assert isinstance(list(json_items(io.StringIO(text)))[-1], Unusable)


def test_memory_does_not_grow_with_a_skipped_file(tmp_path):
    """Streaming: a file of 15 MB of which one row is kept takes a small part of that."""
    filler = json.dumps({"id": "x", "conversations": [{"from": "gpt", "value": "x" * 30_000}]})
    good = json.dumps({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})
    path = trace(tmp_path, "[" + (filler + ",") * 500 + good + "]")
    tracemalloc.start()
    instance, report = import_trace("sharegpt", path, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (instance.n, report.rows_read) == (1, 501)
    assert peak < path.stat().st_size / 4


def test_command_writes_reports_and_prints(tmp_path):
    """File, counts on standard error, provenance with --json."""
    path, target = trace(tmp_path, AZURE + "2023-11-16 18:15:52,1,0\n", "conv.csv"), tmp_path / "out.json"
    arguments = ["import", "azure", str(path), "--capacity", "2000", "--round-ms", "50", "-o", str(target), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    instance = read(target)
    assert instance.arrival.tolist() == [0, 87, 91]
    answer = json.loads(done.stdout)
    assert (answer["digest"], answer["kept"], answer["written"]) == (instance.digest, 3, str(target))
    assert "3 of 4 rows" in done.stderr
    assert "1 skipped: output of 0 tokens (line 5)" in done.stderr


def test_command_prints_the_instance_alone(tmp_path):
    """Without -o the instance goes to standard output, ready for a pipe."""
    arguments = ["import", "vidur", str(trace(tmp_path, VIDUR)), "--capacity", "2000", "--backlog", "--quiet"]
    done = CliRunner().invoke(app, arguments)
    assert json.loads(done.stdout)["requests"][0] == {"prompt": 374, "output": 44}
    assert done.stderr == ""


@pytest.mark.parametrize(
    "more", [["--round-ms", "0"], ["--round-ms", "50", "--rounds-per-second", "20"], ["--rounds-per-second", "fast"]]
)
def test_command_refuses_bad_clocks(tmp_path, more):
    """Rounds need one positive length."""
    arguments = ["import", "vidur", str(trace(tmp_path, VIDUR)), "--capacity", "2000", *more]
    assert isinstance(CliRunner().invoke(app, arguments).exception, InputError)
