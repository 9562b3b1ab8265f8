"""The checker: what is right is proved, what is off by one is refused, what is malformed never crashes it."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, solve, verify
from kvopt.bounds import lower_bound
from kvopt.errors import InputError
from kvopt.io.formats import encode_instance, read, result_object
from kvopt.verify import (
    FEASIBLE,
    NOTHING,
    PROVED,
    REFUSED,
    Problem,
    Refusal,
    check_certificate,
    convex_drops,
    first_true,
    main,
    memory_completions,
    schedule_violations,
    verify_result,
)

CHECKER = Path(verify.__file__)
METHODS = ("volume", "flow", "prices")
FOUR = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])


def claims_of(instance: Instance, method: str) -> dict[str, Any]:
    """An optimal schedule with a certified lower bound, as a result file states it."""
    result = solve(instance, "brute-force")
    found = lower_bound(instance, method, time_limit_s=1)
    return {
        "instance": {"digest": instance.digest},
        "status": "optimal" if found.value == result.total_latency else "feasible",
        "total_latency": result.total_latency,
        "lower_bound": found.value,
        "starts": result.schedule.starts.tolist(),
        "certificate": json.loads(json.dumps(found.certificate.as_dict())),
    }


def verdict(instance: Instance, claims: dict[str, Any]) -> str:
    """The checker's word on a result."""
    return verify_result(Problem.of(instance), claims).verdict


def fits(instance: Instance, starts: list[int]) -> bool:
    """Arrivals and capacity round by round, by the definition."""
    held: dict[int, int] = {}
    for s, o, p in zip(instance.prompt.tolist(), instance.output.tolist(), starts, strict=True):
        for j in range(1, o + 1):
            held[p + j - 1] = held.get(p + j - 1, 0) + s + j
    early = any(p < a for p, a in zip(starts, instance.arrival.tolist(), strict=True))
    return not early and max(held.values()) <= instance.capacity


# ---------------------------------------------------------------- schedules


@given(instances(max_n=6), st.data())
def test_schedules_are_judged_as_by_definition(instance: Instance, data: st.DataObject) -> None:
    """Testing the last rounds of runs must be the same as testing every round."""
    starts = data.draw(st.lists(st.integers(0, 25), min_size=instance.n, max_size=instance.n))
    problem = Problem.of(instance)
    found = schedule_violations(problem.capacity, problem.prompt, problem.output, problem.arrival, starts)
    assert (not found) == fits(instance, starts)


def test_violations_say_where_and_by_how_much() -> None:
    """A person who gets a refusal wants the round and the excess, not just a no."""
    memory, early = (
        schedule_violations(5, [1, 1], [3, 3], [0, 0], [4, 5])[0],
        schedule_violations(9, [1], [3], [7], [5])[0],
    )
    assert (memory.rule, memory.where) == ("memory <= capacity", "round 6")
    assert memory.detail == "7 tokens, 2 above the capacity 5"
    assert str(early) == "start >= arrival at request 0: starts 2 rounds before its arrival in round 7"
    assert schedule_violations(9, [1], [3], [7], [])[0].detail == "0 starts for 1 requests"


# ---------------------------------------------------------------- results


@pytest.mark.parametrize("method", METHODS)
@given(instances(max_n=4))
def test_right_results_are_proved(method: str, instance: Instance) -> None:
    """An optimal schedule beside any certified bound passes; without its certificate it is feasible only."""
    claims = claims_of(instance, method)
    assert verdict(instance, claims) == PROVED
    assert verdict(instance, {**claims, "certificate": None}) == FEASIBLE
    bound_only = {**claims, "status": "unknown", "starts": None, "total_latency": None}
    assert verdict(instance, bound_only) == PROVED
    assert verdict(instance, {**bound_only, "certificate": None}) == NOTHING


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=30)
@given(instances(max_n=4))
def test_claims_off_by_one_are_refused(method: str, instance: Instance) -> None:
    """Objective, bound, capacity and every request and start: one unit more or less and the result falls."""
    claims = claims_of(instance, method)
    for key in ("total_latency", "lower_bound"):
        for change in (-1, 1):
            assert verdict(instance, {**claims, key: claims[key] + change}) == REFUSED
    for i in range(instance.n):
        for change in (-1, 1):
            moved = list(claims["starts"])
            moved[i] += change
            assert verdict(instance, {**claims, "starts": moved}) == REFUSED
    assert verdict(instance, {**claims, "starts": claims["starts"][:-1]}) == REFUSED
    for column in ("prompt", "output", "arrival"):
        for i in range(instance.n):
            other = copy.deepcopy(Problem.of(instance))
            getattr(other, column)[i] += 1
            assert verify_result(other, claims).verdict == REFUSED
    problem = Problem.of(instance)
    assert verify_result(Problem(problem.capacity + 1, *list(vars(problem).values())[1:]), claims).verdict == REFUSED


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"status": "optimal"}, "status"),
        ({"status": "unknown"}, "status"),
        ({"status": "infeasible"}, "status"),
        ({"starts": None}, "objective"),
        ({"starts": None, "total_latency": None}, "status"),
        ({"lower_bound": 14}, "lower bound <= total latency"),
        ({"lower_bound": None, "certificate": {"kind": "volume"}}, "lower bound = certified bound"),
        ({"lower_bound": 10, "certificate": {"kind": "gut feeling"}}, "certificate"),
        ({"instance": {"digest": "sha256:" + "0" * 64}}, "same instance"),
    ],
)
def test_contradictory_claims_are_refused(change: dict[str, Any], rule: str) -> None:
    """Each rule that joins two fields of a result is the one that is named."""
    claims = {
        "instance": {"digest": FOUR.digest},
        "status": "feasible",
        "total_latency": 13,
        "lower_bound": None,
        "starts": [0, 0, 1, 4],
        "certificate": None,
    }
    assert verdict(FOUR, claims) == FEASIBLE
    checked = verify_result(Problem.of(FOUR), {**claims, **change})
    assert checked.verdict == REFUSED
    assert rule in [violation.rule for violation in checked.violations]
    assert checked.lower_bound is None


# ---------------------------------------------------------------- certificates


@st.composite
def price_certificates(draw: st.DrawFn) -> dict[str, Any]:
    """Well-formed certificates of both kinds that carry prices, good or bad ones."""
    prices = draw(st.lists(st.integers(0, draw(st.sampled_from([1, 9, 10**4]))), max_size=12))
    denominator = draw(st.sampled_from([1, 3, 10, 10**4]))
    if draw(st.booleans()):
        return {"kind": "flow", "denominator": denominator, "prices": prices}
    drops = [price - after for price, after in zip(prices, [*prices, 0][1:], strict=True)]
    return {"kind": "prices", "denominator": denominator, "drops": drops, "rounds": [1] * len(drops)}


@given(instances(), price_certificates())
def test_no_certificate_proves_too_much(instance: Instance, certificate: dict[str, Any]) -> None:
    """Whatever the prices, what the checker derives from them is at most the true optimum."""
    assert check_certificate(Problem.of(instance), certificate) <= solve(instance, "brute-force").total_latency


@pytest.mark.parametrize("method", ["flow", "prices"])
@settings(max_examples=15)
@given(instances(max_n=4))
def test_mutated_prices_prove_what_they_say_or_nothing(method: str, instance: Instance) -> None:
    """A number of a certificate changed by one is refused, or still yields a true bound; the claim must equal it."""
    claims = claims_of(instance, method)
    optimum = claims["total_latency"]
    for key, value in claims["certificate"].items():
        for place in range(len(value) if isinstance(value, list) else key == "denominator"):
            for change in (-1, 1):
                mutated = copy.deepcopy(claims)
                if isinstance(value, list):
                    mutated["certificate"][key][place] += change
                else:
                    mutated["certificate"][key] += change
                try:
                    proved = check_certificate(Problem.of(instance), mutated["certificate"])
                except Refusal:
                    assert verdict(instance, mutated) == REFUSED
                    continue
                assert proved <= optimum
                assert (verdict(instance, mutated) == PROVED) == (proved == claims["lower_bound"])


#: What may stand in a file where an integer or a list of integers belongs.
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=200)
@given(
    st.sampled_from(["flow", "prices", "volume"]),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("denominator", "prices", "drops", "rounds"), junk)),
)
def test_malformed_certificates_are_refused_not_crashed(kind: str, data: dict[str, Any]) -> None:
    """A certificate comes from a file that anyone may have written."""
    try:
        assert check_certificate(Problem.of(FOUR), {"kind": kind, **data}) <= 12
    except Refusal:
        assert kind != "volume"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"kind": ["prices"]}, "unknown certificate kind"),
        ({"kind": "prices"}, "denominator must be an integer of at least 1, got None"),
        ({"kind": "prices", "denominator": True, "drops": [], "rounds": []}, "denominator"),
        ({"kind": "prices", "denominator": 1, "drops": {}, "rounds": []}, "drops must be a list"),
        ({"kind": "prices", "denominator": 1, "drops": [1, 2.0], "rounds": [1, 1]}, r"drops\[1\]"),
        ({"kind": "prices", "denominator": 1, "drops": [1], "rounds": [0]}, r"rounds\[0\]"),
        ({"kind": "prices", "denominator": 1, "drops": [1], "rounds": []}, "equal length"),
        ({"kind": "prices", "denominator": 1, "drops": [1], "rounds": [2**26 + 1]}, "at most"),
        ({"kind": "prices", "denominator": 1, "drops": [1, -2], "rounds": [1, 1]}, "a price is negative"),
        ({"kind": "prices", "denominator": 1, "drops": [-2, 9], "rounds": [2**22, 1]}, "a price is negative"),
        ({"kind": "prices", "denominator": 9**9, "drops": [-1, 2**22], "rounds": [2**22, 1]}, "not convex"),
        ({"kind": "flow", "denominator": 1, "prices": [0, -1]}, r"prices\[1\]"),
        ({"kind": "flow", "denominator": 0, "prices": []}, "denominator"),
    ],
)
def test_reasons_of_refusal(data: dict[str, Any], reason: str) -> None:
    """Each rule of the formats has its message, and the verdict carries it."""
    with pytest.raises(Refusal, match=reason):
        check_certificate(Problem.of(FOUR), data)


def test_flow_certificates_have_a_size_limit() -> None:
    """A run of a billion rounds would otherwise fill the memory of whoever checks it."""
    problem = Problem(2**31 - 1, [0], [2**30], [0])
    with pytest.raises(Refusal, match="too large"):
        check_certificate(problem, {"kind": "flow", "denominator": 1, "prices": []})


# ---------------------------------------------------------------- parts


@given(instances(max_n=6))
def test_memory_completions_by_simulation(instance: Instance) -> None:
    """Shortest remaining volume, served token-round by token-round."""
    left = instance.volume.tolist()
    completions = []
    t = served = 0
    while any(left):
        present = [v for v, a in zip(left, instance.arrival.tolist(), strict=True) if v > 0 and a <= t]
        if present:
            i = next(
                i
                for i, (v, a) in enumerate(zip(left, instance.arrival.tolist(), strict=True))
                if v == min(present) and a <= t
            )
            left[i] -= 1
            if left[i] == 0:
                completions.append(t + 1)
        served += 1
        t = served // instance.capacity
    assert memory_completions(Problem.of(instance)) == completions


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 4)), max_size=8))
def test_convex_prices_lie_below(levels: list[tuple[int, int]]) -> None:
    """The prices that guide the search are convex, nonnegative, never above the true ones, and equal if convex."""
    prices = [price for price, length in levels for _ in range(length)]
    drops = [price - after for price, after in zip(prices, [*prices, 0][1:], strict=True)]
    finer = [drop << 32 for drop in drops]
    pooled = convex_drops(finer, [1] * len(drops))
    falls = [drop for drop, length in zip(*pooled, strict=True) for _ in range(length)]
    assert falls == sorted(falls, reverse=True)
    assert len(falls) == len(prices)
    assert all(0 <= sum(falls[t:]) <= price << 32 for t, price in enumerate(prices))
    if drops == sorted(drops, reverse=True):
        assert falls == finer


@given(st.integers(-5, 40), st.integers(0, 40), st.integers(-10, 60))
def test_first_true_finds_the_threshold_from_any_guess(least: int, steps: int, guess: int) -> None:
    """The guess saves time and must never change the answer."""
    threshold = least + steps
    assert first_true(lambda x: x >= threshold, least, guess) == threshold
    assert first_true(lambda x: x >= least - 3, least, guess) == least


# ---------------------------------------------------------------- the file by itself


def test_needs_the_standard_library_only() -> None:
    """Whoever does not trust kvopt copies this one file; it must not lead back to kvopt, numpy or a solver."""
    names = set()
    for node in ast.walk(ast.parse(CHECKER.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module.split(".")[0])
    assert names <= sys.stdlib_module_names


@pytest.mark.parametrize("method", METHODS)
def test_runs_by_itself(tmp_path: Path, method: str) -> None:
    """`python -I verify.py INSTANCE RESULT` in an empty folder proves a result and refuses a changed one."""
    copied = tmp_path / "verify.py"
    copied.write_text(CHECKER.read_text())
    instance, result = tmp_path / "four.json", tmp_path / "four.result.json"
    instance.write_bytes(encode_instance(FOUR))
    head = result_object(solve(FOUR, "brute-force"))
    claims = {"format": "kvopt/result", "solver": head.solver, **claims_of(FOUR, method)}
    for change, words, code in ((0, "PROVED", 0), (1, "REFUSED", 1)):
        result.write_text(json.dumps({**claims, "lower_bound": claims["lower_bound"] + change}))
        command = [sys.executable, "-I", copied.name, instance.name, result.name]
        shown = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (shown.stdout.split()[0], shown.returncode, shown.stderr) == (words, code, "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"capacity": 5, "capacity": 6}', "member 'capacity' is given twice"),
        (b'\xef\xbb\xbf{"capacity": 5}', "BOM"),
        ('{"capacity": 5}'.encode("utf-16"), "decode"),
    ],
)
def test_one_file_has_one_meaning(tmp_path: Path, data: bytes, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What readers of JSON take in different ways is no input: kvopt refuses the same files."""
    path = tmp_path / "four.json"
    path.write_bytes(data)
    assert main([str(path), str(path)]) == 2
    assert reason in capsys.readouterr().err
    with pytest.raises(InputError):
        read(path)
