"""The search tree over starts: right, proved by its certificate, and blind to the number of tokens."""

from __future__ import annotations

import pytest
from certificates import packed, proved
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, Status, solve
from kvopt.errors import TooLargeError
from kvopt.exact.tree import Tree
from kvopt.exact.tree_kernels import compared
from kvopt.generate import generate
from kvopt.monitor import Monitor
from kvopt.verify import PROVED, Problem, Refusal, check_certificate, read_varints, verify

#: Two types of GPU size.
LARGE = Instance.from_rows(16_492, [(3_900, 1_800, 4), (700, 2_300, 3)])


@given(instances())
def test_equals_brute_force_with_a_certificate_that_holds(instance: Instance) -> None:
    """The optimum is right and its proof is accepted, with arrivals, prompts of 0 and equal requests among them."""
    truth = solve(instance, "brute-force").total_latency
    result = solve(instance, "starts")
    assert (result.status, result.total_latency, result.lower_bound) == (Status.OPTIMAL, truth, truth)
    assert verify(result).verdict == PROVED


@settings(max_examples=60)
@given(instances(max_n=8, max_capacity=30, max_output=12, max_arrival=9))
def test_equals_the_dynamic_programme(instance: Instance) -> None:
    """Larger draws than brute force takes, by a method that shares nothing with the tree but the model."""
    assert solve(instance, "starts").total_latency == solve(instance, "dp").total_latency


@given(instances(max_n=6), st.integers(-6, 6))
def test_a_complete_tree_proves_the_lesser_of_threshold_and_optimum(instance: Instance, offset: int) -> None:
    """Passes below the optimum are the certified bounds of runs that are stopped, passes above it find it."""
    optimum = solve(instance, "dp").total_latency
    monitor = Monitor(instance)
    threshold = max(optimum + offset, int(instance.output.sum()))
    tree = Tree(instance, threshold)
    tree.run(monitor)
    assert tree.complete
    assert tree.bound == min(threshold, optimum)
    assert check_certificate(Problem.of(instance), tree.certificate.as_dict()) == tree.bound
    assert (monitor.incumbent == optimum) == (threshold > optimum)


def test_agrees_with_cp_sat_at_gpu_size() -> None:
    """A general solver's claim for an instance that no method over rounds can take."""
    instance = generate("a100", requests=6, seed=31)
    result = solve(instance, "starts")
    assert result.status == Status.OPTIMAL
    assert result.total_latency == solve(instance, "cp-sat-starts", time_limit_s=60, workers=1).total_latency


def test_cost_does_not_follow_tokens() -> None:
    """A thousand times the tokens in prompts, outputs and capacity make about the same tree."""
    small = Instance(30, [2, 5, 3, 7, 4, 6], [9, 6, 11, 5, 8, 7])
    large = Instance(30_000, (1_000 * small.prompt).tolist(), (1_000 * small.output).tolist())
    few, many = (solve(instance, "starts").statistics["nodes"] for instance in (small, large))
    assert many < 3 * few


def test_better_schedules_than_fractions_of_a_round_allow() -> None:
    """Where the linear programme ties with starts that are no integers, cuts and splits still come to an end."""
    instance = generate("a100", requests=8, seed=102)
    tree = Tree(instance, 10**6)
    tree.run(Monitor(instance))
    assert tree.complete
    assert tree.bound == solve(instance, "starts").total_latency


@given(st.lists(st.integers(0, 2**62), min_size=4, max_size=4), st.integers(-1, 1))
def test_products_beyond_64_bits_are_compared_exactly(factors: list[int], offset: int) -> None:
    """At random and next to a tie."""
    a, b, c, d = factors
    assert compared(a, b, c, d) == (a * b > c * d) - (a * b < c * d)
    near = min(max(a + offset, 0), 2**62)
    assert compared(a, b, b, near) == (a * b > b * near) - (a * b < b * near)


@pytest.mark.parametrize(
    ("capacity", "rows"),
    [
        (34, [(0, 11, 15)]),
        (181, [(2, 15, 8), (28, 29, 8)]),
        (526, [(15, 126, 16)]),
        (234, [(7, 57, 15)]),
        (166, [(2, 20, 6), (6, 51, 10)]),
    ],
)
def test_no_leaf_stays_open(capacity: int, rows: list[tuple[int, int, int]]) -> None:
    """Here the numbers of a linear programme outgrow 64 bits where no case is left to split at."""
    instance = Instance.from_rows(capacity, rows)
    policies = [solve(instance, policy).total_latency for policy in ("mc-sf", "svf")]
    tree = Tree(instance, min(policies))
    monitor = Monitor(instance)
    tree.run(monitor)
    assert tree.complete
    assert tree.bound == min(*policies, monitor.incumbent or min(policies))
    assert check_certificate(Problem.of(instance), tree.certificate.as_dict()) == tree.bound


@settings(max_examples=60)
@given(instances(max_n=7, max_capacity=40, max_output=16, max_arrival=9))
def test_turns_beside_the_programme_give_the_same(instance: Instance) -> None:
    """`auto` takes whichever of the two ends first; what it returns is proved and optimal."""
    result = solve(instance, "auto")
    assert result.status == Status.OPTIMAL
    assert result.total_latency == solve(instance, "dp").total_latency
    assert verify(result).verdict == PROVED


def test_few_long_requests_are_settled_by_the_tree() -> None:
    """The dynamic programme alone is far from a proof here after minutes."""
    instance = Instance.from_rows(266, [(3, 256, 4), (7, 41, 5)])
    result = solve(instance, "auto", time_limit_s=60)
    assert (result.status, result.total_latency) == (Status.OPTIMAL, 2_759)
    assert result.statistics["method"] == "starts"
    assert verify(result).verdict == PROVED


def test_no_schedule_waits() -> None:
    """When everything fits at once the tree is a single leaf."""
    result = solve(Instance(100, [1, 2], [3, 4]), "starts")
    assert (result.lower_bound, result.status) == (7, Status.OPTIMAL)
    assert verify(result).verdict == PROVED


@pytest.mark.parametrize(
    "instance",
    [
        Instance.from_rows(12, [(1, 3, 3), (2, 6, 2), (0, 4, 2)]),
        Instance(11, [2, 2, 0, 3, 3], [4, 4, 7, 2, 2], [0, 3, 1, 2, 0]),
        LARGE,
    ],
)
def test_no_certificate_proves_more_than_the_optimum(instance: Instance) -> None:
    """Every single-number change of the codes is refused or still proves a true bound; most are refused."""
    result = solve(instance, "starts")
    certificate = result.certificate.as_dict()
    assert certificate["kind"] == "tree"
    assert proved(instance, certificate) == result.total_latency
    numbers = list(read_varints(certificate["codes"]))
    places = range(0, len(numbers), 1 + len(numbers) // 400)
    refused = 0
    for i in places:
        for change in (-1, 1, 7):
            if numbers[i] + change >= 0:
                changed = [*numbers[:i], numbers[i] + change, *numbers[i + 1 :]]
                bound = proved(instance, certificate | {"codes": packed(changed)})
                assert bound is None or bound <= result.total_latency
                refused += bound is None
    assert refused > len(places)


@settings(max_examples=60)
@given(instances(max_n=5), st.data())
def test_random_codes_prove_nothing_false(instance: Instance, data: st.DataObject) -> None:
    """Whatever the codes are, no threshold above the optimum is accepted."""
    optimum = solve(instance, "dp").total_latency
    true = list(read_varints(solve(instance, "starts").certificate.as_dict().get("codes", packed([]))))
    codes = data.draw(st.lists(st.integers(0, 40), max_size=30)) if data.draw(st.booleans()) else true
    head = {"kind": "tree", "threshold": optimum + data.draw(st.integers(1, 3)), "waits": 10**6}
    assert proved(instance, head | {"codes": packed(codes)}) is None


@pytest.mark.parametrize("key", ["threshold", "waits"])
@pytest.mark.parametrize("value", [-1, 1.5, True, None, "3", 10**9])
def test_malformed_heads_are_refused(key: str, value: object) -> None:
    """Wrong kinds of values end in a refusal, never in a crash."""
    certificate = solve(LARGE, "starts").certificate.as_dict()
    bound = proved(LARGE, certificate | {key: value})
    assert bound is None or bound <= certificate["threshold"]


@pytest.mark.parametrize(
    "codes", [None, 3, "", "not base64!", packed([]), packed([0]), packed([1, 0, 0]), packed([2, 9])]
)
def test_malformed_codes_are_refused(codes: object) -> None:
    """Codes that cannot be unpacked, end early, divide by zero or name no request are refused."""
    certificate = solve(LARGE, "starts").certificate.as_dict()
    assert proved(LARGE, certificate | {"codes": codes}) is None


def test_a_stopped_run_keeps_its_schedule_and_certifies_its_bound() -> None:
    """Many different requests cannot be proved in a second; what the finished passes proved counts."""
    instance = generate("a100", requests=16, seed=1)
    result = solve(instance, "starts", time_limit_s=1.5)
    assert result.statistics["stopped_by"] == "time limit"
    verification = verify(result)
    assert verification.verdict == PROVED
    assert 0 < verification.lower_bound < verification.total_latency


def test_an_interrupt_ends_the_run() -> None:
    """Ctrl-C before the first node still returns the list policies' schedule with a proved bound."""
    instance = generate("a100", requests=16, seed=1)
    monitor = Monitor(instance)
    monitor.interrupt()
    result = solve(instance, "starts", monitor=monitor)
    assert result.statistics["stopped_by"] == "interrupted"
    assert verify(result).verdict == PROVED


def test_too_many_requests_are_refused() -> None:
    """Sets of requests are bits of one integer."""
    with pytest.raises(TooLargeError, match="at most 60 requests, got 61"):
        solve(Instance.from_rows(10, [(1, 2, 61)]), "starts")


def test_numbers_and_nodes_are_limited() -> None:
    """Cuts of cuts that double their digits, and splits of splits, would take all memory in a few kilobytes."""
    n = LARGE.n
    head = {"kind": "tree", "threshold": 1, "waits": 10**6}
    first_rounds = [number for j in range(n) for number in (n * (n + 1) + j, 1)]
    growing = [1, 1, n, *first_rounds]
    for cut in range(10):
        growing += [1, 1, 1, (n + 1) * (n + 2) + cut, 2**62]
    with pytest.raises(Refusal, match="too large"):
        check_certificate(Problem.of(LARGE), {**head, "codes": packed(growing)})
    splits = [number for v in range(5_000) for number in (2, 0, 10**6 - 1 - v)]
    with pytest.raises(Refusal, match="wait for their turn"):
        check_certificate(Problem.of(LARGE), {**head, "codes": packed(splits)})
