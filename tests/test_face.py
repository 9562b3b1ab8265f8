"""The names a user sees after ``import kvopt``."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kvopt as kv
from kvopt.display import TYPES_SHOWN
from kvopt.errors import InputError

FOUR = kv.Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3], name="a <b>")


@pytest.mark.parametrize(
    "code",
    [
        "from kvopt import solve",
        "import kvopt.solving; from kvopt import solve",
        "import kvopt.exact.brute_force; import kvopt; solve = kvopt.solve",
    ],
)
def test_solve_is_a_function(code: str) -> None:
    """`kvopt.solve` is the function, whatever is imported first; no module of kvopt may take its name."""
    program = f"{code}; from kvopt import Instance; print(solve(Instance(5, [1], [2]), 'brute-force').total_latency)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (shown.stdout, shown.stderr) == ("2\n", "")


def test_result_draws_itself() -> None:
    """``kv.solve(kv.read(...)).plot()`` is the first thing a newcomer types; it draws the schedule."""
    result = kv.solve(FOUR, "brute-force")
    assert result.plot().get_title(loc="left") == "a <b>, brute-force (optimal): total latency 12"


def test_notebook_display_escapes_and_counts() -> None:
    """What a file calls itself cannot become markup; all types are listed or counted."""
    assert "<b>a &lt;b&gt;</b>: 4 requests of 2 types, capacity 5 tokens" in FOUR._repr_html_()
    many = kv.Instance(capacity=99, prompt=[1] * 20, output=range(1, 21), arrival=range(20))
    assert many._repr_html_().count("<tr>") == 1 + TYPES_SHOWN
    assert "and 12 more types" in many._repr_html_()
    shown = kv.solve(FOUR, "mc-sf")._repr_html_()
    assert "13 rounds" in shown
    assert "<td>lower bound</td><td>none</td>" in shown


def test_data_frames_come_and_go() -> None:
    """A frame becomes an instance and a result a frame of the same requests, in the same order."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"prompt": [1, 1], "output": [1.0, 3.0], "count": [2, 2], "note": ["x", "y"]})
    instance = kv.Instance.from_dataframe(frame, capacity=5, name="a <b>")
    assert instance == FOUR
    out = kv.solve(instance, "brute-force").to_dataframe()
    assert list(out.columns) == ["id", "prompt", "output", "arrival", "start", "completion", "latency"]
    assert int(out["latency"].sum()) == 12
    assert kv.Instance.from_dataframe(out, capacity=5).ids == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": [1]}, "no column 'output'"),
        ({"prompt": [1, 1], "output": [1, 2.5]}, "column 'output', row 1: expected a whole number, got"),
        ({"prompt": [1, None], "output": [1, 2]}, "column 'prompt', row 1"),
        ({"prompt": ["a"], "output": [1]}, "column 'prompt': expected whole numbers"),
        ({"prompt": [True], "output": [1]}, "column 'prompt', row 0"),
        ({"prompt": [1], "output": [1], "count": [0]}, "column 'count'"),
        ({"prompt": [1], "output": [1], "count": [2], "id": ["a"]}, "column 'id'"),
        ({"prompt": [1], "output": [9]}, "exceeds the capacity 5"),
    ],
)
def test_data_frames_are_read_strictly(columns: dict[str, list[object]], message: str) -> None:
    """A frame with a hole or a fraction must not become other requests."""
    pd = pytest.importorskip("pandas")
    with pytest.raises(InputError, match=message):
        kv.Instance.from_dataframe(pd.DataFrame(columns), capacity=5)
