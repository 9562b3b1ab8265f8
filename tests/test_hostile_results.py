"""The checker against results that were made to deceive or to break it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kvopt import Instance, solve, verify, write, write_result
from kvopt.verify import REFUSED, Problem, Refusal, check_certificate, verify_result

INSTANCE = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
PROBLEM = Problem(5, [1] * 4, [1, 1, 3, 3], [0] * 4)


def claims(**changes: Any) -> dict[str, Any]:
    """A right result's JSON object with some entries replaced."""
    result = solve(INSTANCE, "dp")
    right = {
        "instance": {"digest": INSTANCE.digest},
        "status": "optimal",
        "total_latency": 12,
        "lower_bound": 12,
        "starts": result.schedule.starts.tolist(),
        "certificate": result.certificate.as_dict(),
    }
    return right | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"starts": [0, 0.5, 0.5, 3]},
        {"starts": [1e18] * 4, "total_latency": 4e18},
        {"starts": [float("inf")] * 4, "total_latency": float("inf")},
        {"starts": [False, True, False, 3]},
        {"starts": ["0", "1", "0", "3"]},
        {"starts": [None] * 4},
        {"starts": "0103"},
        {"starts": 3},
        {"lower_bound": 12.0},
        {"lower_bound": True},
        {"total_latency": "12"},
        {"status": "super-optimal"},
        {"status": []},
        {"instance": None},
        {"instance": []},
        {"certificate": []},
        {"certificate": "volume"},
    ],
)
def test_wrong_types_are_refused(changes: dict[str, Any]) -> None:
    """Floats, booleans and strings must not slip through arithmetic that was written for integers."""
    assert verify_result(PROBLEM, claims(**changes)).verdict == REFUSED


@pytest.mark.parametrize("key", ["instance", "starts", "status", "total_latency"])
def test_missing_keys_are_refused(key: str) -> None:
    """A result that leaves something out is refused, not a crash."""
    result = claims()
    del result[key]
    assert verify_result(PROBLEM, result).verdict == REFUSED


@pytest.mark.parametrize(
    "certificate",
    [
        {"kind": "prices", "denominator": 1, "drops": [-(2**62), 2**62], "rounds": [1, 1]},
        {"kind": "prices", "denominator": 1, "drops": [10**4299], "rounds": [1000]},
        {"kind": "search", "threshold": 13, "denominator": 1, "prices": [10**4299], "layers": 0, "codes": ""},
        {
            "kind": "search",
            "threshold": 13,
            "denominator": 1,
            "prices": [],
            "layers": 1,
            "codes": base64.b64encode(zlib.compress(b"\xff" * 10**6 + b"\0")).decode(),
        },
    ],
)
def test_extreme_numbers_end_in_a_refusal_or_a_true_bound(certificate: dict[str, Any]) -> None:
    """Numbers beyond every machine word, and codes without end."""
    with suppress(Refusal):
        assert check_certificate(PROBLEM, certificate) <= 12


@pytest.mark.parametrize("arrival", [[0] + [5 * 10**7] * 4, [10**8] * 5, [2**31 - 1] * 5, [0, 0, 0, 0, 2**31 - 1]])
def test_late_arrivals_do_not_overflow(arrival: list[int]) -> None:
    """Sums of the search stay within 64 bits however late requests arrive."""
    instance = Instance(capacity=5, prompt=[1] * 5, output=[1, 1, 1, 3, 3], arrival=arrival)
    assert verify.verify(solve(instance, "dp")).optimal


def run_alone(*paths: Path) -> subprocess.CompletedProcess[str]:
    """The checker as a script, without anything installed."""
    script = Path(verify.__file__)
    return subprocess.run([sys.executable, "-I", "-S", str(script), *map(str, paths)], capture_output=True, text=True)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "nonsense", "[]", '{"requests": [{"prompt": 3, "output": 3}], "capacity": 5}']
)
def test_the_script_survives_files_that_are_no_instances(tmp_path: Path, text: str) -> None:
    """One line and exit code 2, no traceback."""
    write_result(solve(INSTANCE, "dp"), tmp_path / "result.json")
    (tmp_path / "instance.json").write_text(text)
    done = run_alone(tmp_path / "instance.json", tmp_path / "result.json")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_script_knows_no_infinity(tmp_path: Path) -> None:
    """Python's reader takes Infinity for a number; a result file must not."""
    write(INSTANCE, tmp_path / "instance.json")
    (tmp_path / "result.json").write_text(json.dumps(claims(starts=[float("inf")] * 4)))
    done = run_alone(tmp_path / "instance.json", tmp_path / "result.json")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
