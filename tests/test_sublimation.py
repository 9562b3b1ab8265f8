"""Successive sublimation: settles limits rightly, and its certificates prove no more than is true."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from certificates import proved
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import instances

from kvopt import Instance, read, solve
from kvopt.bounds import prices
from kvopt.exact import proof
from kvopt.exact.proof import sublimation_certificate
from kvopt.exact.relaxation import ALL_TYPES, HEAVY, relax
from kvopt.exact.search import Search
from kvopt.exact.sublimation import Closed, climb
from kvopt.monitor import Monitor
from kvopt.policies import backlog
from kvopt.replay.limits import Unfit
from kvopt.replay.profiles import costs_of, graph_of
from kvopt.verify import Problem, Refusal, Relaxation, Replay, check_certificate, verify

#: Three types.
EXAMPLE = Instance.from_rows(14, [(1, 5, 3), (2, 3, 4), (4, 6, 2)])
MANY = 1_000_000
LIBRARY = Path(__file__).parent.parent / "instances"


def climbed(instance: Instance, *, most_arcs: int = MANY) -> tuple[Search, Closed | None]:
    """Sublimation from the schedule of mc-sf, and from rough multipliers."""
    monitor = Monitor(instance, workers=1)
    backlog.solve_mc_sf(instance, monitor)
    search = Search(instance, prices.fluid(instance), monitor)
    assert monitor.incumbent is not None
    guess = search.least_priced_cost // 2
    search.relaxation = relax(instance, search.scale, guess, monitor.incumbent, HEAVY, monitor, all_types=True)
    assert search.relaxation is not None
    return search, climb(search, most_arcs)


@settings(max_examples=60)
@given(instances(max_n=7, max_arrival=0))
def test_it_finds_and_proves_the_optimum(instance: Instance) -> None:
    """Alone, sublimation ends at the optimum, and the checker agrees."""
    assume(len(instance.types) <= ALL_TYPES)
    search, closed = climbed(instance)
    best = solve(instance, "brute-force").total_latency
    assert search.monitor.incumbent == best
    if closed is None:
        assert search.ceiling(search.root_bound) == best
    else:
        assert max(closed.threshold, search.ceiling(search.root_bound)) == best
        assert proved(instance, sublimation_certificate(closed).as_dict()) == closed.threshold


def test_a_full_run_counts_types() -> None:
    """The example is not proved by multipliers alone, so that the counting of types is really tested."""
    _, closed = climbed(EXAMPLE)
    assert closed is not None
    assert any(stage.counted >= 0 for stage in closed.stages)
    assert proved(EXAMPLE, sublimation_certificate(closed).as_dict()) == solve(EXAMPLE, "dp-reference").total_latency


def test_no_certificate_proves_more_than_the_optimum() -> None:
    """Higher thresholds, other multipliers, stages left out or out of order prove only what is true."""
    _, closed = climbed(EXAMPLE)
    assert closed is not None
    best = solve(EXAMPLE, "dp-reference").total_latency
    weaker = 0
    for threshold in range(best, best + 4):
        for stages in ((), closed.stages[:1], closed.stages[::-1], closed.stages):
            for shift in (0, 1, -3 * closed.scale, closed.scale):
                shifted = tuple(replace(stage, multipliers=stage.multipliers + shift) for stage in stages)
                changed = replace(closed, threshold=threshold, stages=shifted)
                bound = proved(EXAMPLE, sublimation_certificate(changed).as_dict())
                assert bound is None or bound <= best
                weaker += bound is None or bound < best
    assert weaker > 0


@settings(max_examples=60)
@given(instances(max_n=7, max_arrival=0), st.integers(-2, 8))
def test_a_relaxation_in_classes_proves_nothing_false(instance: Instance, multiplier: int) -> None:
    """The format allows types in one class, whose profiles are below the true ones: a larger layout, still a bound."""
    assume(len(instance.types) <= ALL_TYPES)
    _, closed = climbed(instance)
    assume(closed is not None)
    assert closed is not None
    classes = {"class_of": [0] * len(instance.types), "multipliers": [multiplier * closed.scale]}
    best = solve(instance, "brute-force").total_latency
    for threshold in (closed.threshold, best, best + 1):
        certificate = sublimation_certificate(replace(closed, threshold=threshold)).as_dict()
        bound = proved(instance, certificate | {"relaxation": classes})
        assert bound is not None
        assert bound <= min(threshold, best)


@pytest.mark.parametrize(
    "change",
    [
        {"stages": None},
        {"stages": [0]},
        {"stages": [{"multipliers": [1], "counted": 0}]},
        {"stages": [{"multipliers": [1, 1, 1], "counted": 3}]},
        {"stages": [{"multipliers": [1, 1, 1], "counted": -2}]},
        {"stages": [{"multipliers": [1, 1.5, 1], "counted": 0}]},
        {"threshold": 0},
        {"denominator": 0},
        {"relaxation": None},
        {"relaxation": {"class_of": [0, 1], "multipliers": [0, 0]}},
        {"relaxation": {"class_of": [0, 2, 1], "multipliers": [0, 0]}},
    ],
)
def test_malformed_certificates_are_refused(change: dict) -> None:
    """Wrong shapes and ranges are named, not run into."""
    _, closed = climbed(EXAMPLE)
    assert closed is not None
    assert proved(EXAMPLE, sublimation_certificate(closed).as_dict() | change) is None


@settings(max_examples=30)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=3, max_size=3), st.integers(-1, 2))
def test_extreme_multipliers_prove_nothing_false(multipliers: list[int], counted: int) -> None:
    """Numbers at the edge of what the checker reads overflow nowhere and prove nothing above the optimum."""
    best = solve(EXAMPLE, "dp-reference").total_latency
    certificate = {
        "kind": "sublimation",
        "threshold": best + 1,
        "denominator": 1,
        "relaxation": {"class_of": [0, 1, 2], "multipliers": multipliers},
        "stages": [{"multipliers": multipliers[::-1], "counted": counted}, {"multipliers": multipliers, "counted": -1}],
    }
    bound = proved(EXAMPLE, certificate)
    assert bound is None or bound <= best


def test_arrivals_are_refused() -> None:
    """States know no time, so nothing is proved about requests that come later."""
    later = Instance(14, [1, 2], [5, 3], [0, 1])
    certificate = {"kind": "sublimation", "threshold": 1, "denominator": 1, "stages": []}
    assert proved(later, certificate) is None


def test_claimed_costs_are_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs to go in the certificate prove the same; none can be raised, cut off or added without being noticed."""
    monkeypatch.setattr(proof, "CLAIMED_FROM", 0)
    _, closed = climbed(EXAMPLE)
    assert closed is not None
    certificate = sublimation_certificate(closed).as_dict()
    best = solve(EXAMPLE, "dp-reference").total_latency
    assert proved(EXAMPLE, certificate) == best
    fields = EXAMPLE.n + 1
    rows = np.frombuffer(zlib.decompress(base64.b64decode(certificate["relaxation"]["costs"])), dtype="<i8")
    row_of = np.frombuffer(zlib.decompress(base64.b64decode(certificate["relaxation"]["row_of"])), dtype="<u4")
    assert len(rows) < len(row_of) * fields
    values = rows.reshape(-1, fields)[row_of].ravel()

    def with_values(changed: np.ndarray, row_of: np.ndarray | None = None) -> int | None:
        text = base64.b64encode(zlib.compress(changed.astype("<i8").tobytes())).decode()
        claims = certificate["relaxation"] | {"costs": text, "row_of": None}
        if row_of is not None:
            claims["row_of"] = base64.b64encode(zlib.compress(row_of.tobytes())).decode()
        return proved(EXAMPLE, certificate | {"relaxation": claims})

    assert with_values(values) == best
    assert with_values(rows, row_of) == best
    refused = 0
    for at in range(0, len(values), 7):
        for more in (1, -1, closed.scale, -closed.scale, 2**61, -(2**61)):
            changed = values.copy()
            changed[at] += more
            bound = with_values(changed)
            assert bound is None or bound <= best
            refused += bound is None
    assert refused > len(values) // 7
    assert with_values(rows, row_of[:-1]) is None
    assert with_values(rows, row_of.astype("<u2")) is None
    refused = 0
    for at in range(0, len(row_of), 5):
        for name in (0, 1, len(rows) // fields - 1, len(rows) // fields):
            changed = row_of.copy()
            changed[at] = name
            bound = with_values(rows, changed)
            assert bound is None or bound <= best
            refused += bound is None
    assert refused > len(row_of) // 5
    for wrong in (values[:-fields], values[:-1], values[:0]):
        assert with_values(wrong) is None
    assert with_values(np.append(values, values[:fields])) == best


def test_a_small_allowance_still_bounds() -> None:
    """Where states get too many, what was settled before is a true bound."""
    search, closed = climbed(EXAMPLE, most_arcs=60)
    best = solve(EXAMPLE, "dp-reference").total_latency
    assert closed is None or closed.threshold <= best
    assert search.monitor.bound is None or search.monitor.bound <= best


def test_dp_uses_it() -> None:
    """dp proves four types and 40 requests by sublimation, without a label, and the result is verified."""
    result = solve(read(LIBRARY / "types" / "types-k4-n040-1.json"), "dp", workers=1)
    assert result.certificate is not None
    assert (result.certificate.kind, result.statistics["labels"]) == ("sublimation", 0)
    assert verify(result).verdict == "PROVED"


@pytest.mark.parametrize("threshold", [1, 2**62])
def test_a_few_numbers_cannot_ask_for_years(threshold: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles of many different requests, and paths below a high threshold, are found only as long as allowed."""
    monkeypatch.setattr("kvopt.verify.MOST_STEPS", 1 << 20)
    kinds = [(s, o, 1) for s in range(6) for o in range(5, 35, 3)]
    certificate = {
        "kind": "sublimation",
        "threshold": threshold,
        "denominator": 1,
        "relaxation": {"class_of": list(range(60)), "multipliers": list(range(60))},
        "stages": [],
    }
    with pytest.raises(Refusal, match="too much time or memory"):
        check_certificate(Problem.of(Instance.from_rows(60, kinds)), certificate)


def test_stages_are_no_way_around_the_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that settle nothing repeat the work of one; many of them are refused, few are not."""
    monkeypatch.setattr("kvopt.verify.MOST_STEPS", 1 << 20)
    stage = {"multipliers": [0, 0, 0], "counted": -1}
    relaxation = {"class_of": [0, 1, 2], "multipliers": [0, 0, 0]}
    certificate = {"kind": "sublimation", "threshold": 200, "denominator": 1, "relaxation": relaxation}
    assert proved(EXAMPLE, certificate | {"stages": [stage]}) is not None
    assert proved(EXAMPLE, certificate | {"stages": [stage] * 10_000}) is None


def test_claimed_costs_keep_within_their_fields() -> None:
    """A cost of 2^63 and more would borrow from the next field and pass the test of sums as a small one."""
    instance = Instance.from_rows(14, [(1, 5, 1), (2, 3, 1), (4, 6, 1)])
    zero, low, huge = 2**61, 2**50, 2**63 + 2**55
    first, others = [0, 0, 0, huge - zero], [0, 0, low - zero, low - huge]
    rows = [
        [row[0], row[1] - 2 * row[0], *(row[j] - 2 * row[j - 1] + row[j - 2] for j in (2, 3))]
        for row in (first, others)
    ]
    data = b"".join(value.to_bytes(8, "little", signed=True) for row in (rows[0], *rows[1:] * 200) for value in row)
    head = {"kind": "sublimation", "denominator": 1, "stages": []}

    def claimed(threshold: int, data: bytes) -> int | None:
        costs = base64.b64encode(zlib.compress(data)).decode()
        relaxation = {"class_of": [0, 1, 2], "multipliers": [0, 0, 0], "costs": costs}
        return proved(instance, {**head, "threshold": threshold, "relaxation": relaxation})

    assert claimed(1_000, data) is None
    assert claimed(1, bytes(len(data))) is not None


@settings(max_examples=150)
@given(st.data())
def test_claimed_costs_are_accepted_where_none_is_above_what_a_start_leads_to(data: st.DataObject) -> None:
    """Held against the definition, start by start and number by number, whatever is claimed and rewarded."""
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=3, unique=True))
    problem = Problem(6, [s for s, _ in sorted(rows)], [o for _, o in sorted(rows)], [0] * len(rows))
    replay = Replay(problem, 100, 16, [])
    rewards = data.draw(
        st.lists(st.sampled_from([0, 20, 100, -7, 1 << 58, -(1 << 58)]), min_size=len(rows), max_size=len(rows))
    )
    profiles = Relaxation(replay, list(range(len(rows))), [0] * len(rows)).profiles
    cost = [16 * o - reward for (_, o), reward in zip(sorted(rows), rewards, strict=True)]
    # All starts of all nodes, and the largest claims that the definition allows.
    nodes, starts = [0], list[list[tuple[int, int, int, int]]]()
    for node in nodes:
        starts.append([])
        for wait in range(profiles.length(node) + 1):
            for c, move, following in profiles.starts(node, wait):
                if following not in nodes:
                    nodes.append(following)
                starts[-1].append((wait, c, move, nodes.index(following)))

    def most(claims: list[list[int]], node: int, j: int) -> int:
        return min(16 * (w * j + m * (j - 1)) + cost[c] + claims[to][j - 1] for w, c, m, to in starts[node])

    claims = [[0] * (len(rows) + 1) for _ in nodes]
    for j in range(1, len(rows) + 1):
        for node in range(len(nodes)):
            claims[node][j] = most(claims, node, j)
    for _ in range(data.draw(st.integers(0, 3))):
        node, j = data.draw(st.integers(0, len(nodes) - 1)), data.draw(st.integers(0, len(rows)))
        claims[node][j] += data.draw(
            st.sampled_from([1, -1, 2, -16, -(1 << 60), 1 << 60, 3 << 59, -(1 << 61), 1 << 61])
        )
    lowest, highest = -(1 << 61), 1 << 61
    fine = all(
        claims[node][0] <= 0
        and all(lowest <= claim < highest for claim in claims[node])
        and all(claims[node][j] <= most(claims, node, j) for j in range(1, len(rows) + 1))
        for node in range(len(nodes))
    )
    above = [claims[0], *([x - y for x, y in zip(row, claims[0], strict=True)] for row in claims[1:])]
    second = [[row[0], *(b - 2 * a + z for z, a, b in zip([0, *row], row, row[1:], strict=False))] for row in above]
    wrapped = [(value + (1 << 63)) % (1 << 64) - (1 << 63) for row in second for value in row]
    text = base64.b64encode(zlib.compress(np.array(wrapped, dtype="<i8").tobytes())).decode()
    relaxation = Relaxation(replay, list(range(len(rows))), rewards)
    try:
        compiled = costs_of(relaxation, graph_of(relaxation, problem.capacity), {"costs": text})
    except Unfit:
        compiled = None
    else:
        assert (compiled is not None) == fine
    try:
        relaxation.settle(text, None)
    except Refusal:
        accepted = False
    else:
        accepted = True
    assert accepted == (fine and wrapped == [value for row in second for value in row])
    if compiled is not None:
        assert compiled.T.tolist() == claims
