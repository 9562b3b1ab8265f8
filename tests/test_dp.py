"""The dynamic programme against ground truth: brute force and the rule-free reference."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from strategies import instances

from kvopt import Instance, Status, read, solve
from kvopt.bounds import packing
from kvopt.bounds.prices import MemoryPrices, memory_prices
from kvopt.errors import TooLargeError
from kvopt.exact import parts
from kvopt.exact.proof import search_certificate
from kvopt.exact.relaxation import MEDIUM, full_graph
from kvopt.exact.search import Pace, Pass, Search
from kvopt.exact.watch import Watch
from kvopt.generate import generate
from kvopt.monitor import Monitor, machine_gb, resident_gb
from kvopt.verify import PROVED, Problem, check_certificate, verify

LIBRARY = Path(__file__).parent.parent / "instances"


@given(instances())
def test_equals_brute_force_with_a_certificate_that_holds(instance: Instance) -> None:
    """The claim of the whole package: the optimum is right and its proof is accepted."""
    truth = solve(instance, "brute-force").total_latency
    result = solve(instance, "dp")
    assert (result.status, result.total_latency, result.lower_bound) == (Status.OPTIMAL, truth, truth)
    assert verify(result).verdict == PROVED


@given(instances(max_n=7, max_capacity=8, max_output=4, max_arrival=9))
def test_equals_the_reference_dynamic_programme(instance: Instance) -> None:
    """Larger draws than brute force takes; the reference merges equal states and uses no rule at all."""
    assert solve(instance, "dp").total_latency == solve(instance, "dp-reference").total_latency


@given(instances(max_n=4))
def test_reference_equals_brute_force(instance: Instance) -> None:
    """The reference is only worth something if it is right itself."""
    result = solve(instance, "dp-reference")
    assert result.total_latency == result.lower_bound == solve(instance, "brute-force").total_latency


@given(instances(max_n=6))
def test_exact_without_prices(instance: Instance) -> None:
    """The rules alone are exact; a wrong bound must not be able to hide behind a wrong rule or the reverse."""
    monitor = Monitor(instance)
    search = Search(instance, MemoryPrices(np.zeros(0, dtype=np.int64), 1), monitor)
    done = search.run(threshold=2**40)
    assert done.complete
    assert done.bound == monitor.incumbent == solve(instance, "brute-force").total_latency


@given(instances(max_n=6))
def test_threshold_at_the_optimum_leaves_nothing(instance: Instance) -> None:
    """A proof pass with the optimum as threshold must not find a better schedule, and bounds by exactly it."""
    truth = solve(instance, "brute-force").total_latency
    monitor = Monitor(instance)
    assert Search(instance, memory_prices(instance), monitor).run(truth).bound == truth
    assert monitor.incumbent is None


@pytest.mark.parametrize("capacity", [127, 128, 5_000, 40_000])
def test_every_cell_width(capacity: int) -> None:
    """Profiles are packed into 8, 16 or 32 bits a cell by capacity; each must give the same optimum."""
    unit = capacity // 5
    small = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    large = Instance(capacity=capacity, prompt=[unit * 2 - 1] * 4, output=[1, 1, 3, 3])
    assert solve(small, "dp").total_latency == 12
    assert solve(large, "dp").total_latency == solve(large, "brute-force").total_latency


@pytest.mark.parametrize(("types", "requests"), [(2, 14), (9, 9)])
def test_threads_change_nothing(types: int, requests: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers go through another loop than large ones; both make the same labels and the same proof."""
    instance = generate("types", types=types, requests=requests, seed=5)
    one = passes(instance)
    monkeypatch.setattr("kvopt.exact.search.SMALL_LABELS", 0)
    assert_same(one, passes(instance))


@pytest.mark.parametrize(("types", "requests", "arrivals"), [(2, 14, False), (9, 9, False), (9, 9, True)])
def test_layers_in_parts_change_nothing(
    types: int, requests: int, arrivals: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where children would take too much memory, a layer is made part by part: the same labels, the same proof."""
    instance = generate("types", types=types, requests=requests, seed=5)
    if arrivals:
        arrival = np.random.default_rng(0).integers(0, 30, requests)
        instance = Instance(instance.capacity, instance.prompt, instance.output, arrival)
    monkeypatch.setattr("kvopt.exact.search.SMALL_LABELS", 0)
    one = passes(instance)
    made: list[int] = []
    merge = parts.merged
    monkeypatch.setattr("kvopt.exact.parts.merged", lambda done: made.append(len(done)) or merge(done))
    monkeypatch.setattr("kvopt.exact.search.PART_SHARE", 2e-9)
    assert_same(one, passes(instance))
    assert max(made) > 10


def passes(instance: Instance) -> list[Pass]:
    """Recorded, one with all labels and one with a beam."""
    search = Search(instance, memory_prices(instance), Monitor(instance, memory_limit_gb=10.0))
    return [search.run(10**6, beam, record=True, budget=200_000) for beam in (None, 20)]


def assert_same(passes: list[Pass], others: list[Pass]) -> None:
    """All outcomes, and all that was recorded, are equal."""
    for one, other in zip(passes, others, strict=True):
        assert (one.bound, one.complete, one.cut) == (other.bound, other.complete, other.cut)
        assert one.layers == other.layers
        for columns in zip(zip(*one.traces, strict=True), zip(*other.traces, strict=True), strict=True):
            assert np.array_equal(*map(np.concatenate, columns))


def test_a_pass_behind_its_pace_is_given_up() -> None:
    """It makes fewer children than its budget, and its bound holds; a pace that asks for nothing changes nothing."""
    instance = generate("types", requests=20, types=3, seed=1)
    optimum = solve(instance, "dp").total_latency
    search = Search(instance, memory_prices(instance), Monitor(instance))
    slow, free, whole = (
        search.run(optimum + 40, budget=20_000, pace=pace) for pace in (Pace(0.5, 1.0), Pace(0.0, 0.0), None)
    )
    assert not slow.complete
    assert slow.generated < whole.generated <= 20_000
    assert search.ceiling(search.root_bound) <= slow.bound <= optimum
    assert (free.generated, free.layers, free.bound) == (whole.generated, whole.layers, whole.bound)


@pytest.mark.parametrize("budget", [500, 5_000, 20_000])
def test_a_pass_that_was_given_up_goes_on(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends as the one that was not given up: the same layers, the same proof."""
    monkeypatch.setattr("kvopt.exact.search.SMALL_LABELS", 0)
    instance = generate("different", requests=11, seed=3)
    optimum = solve(instance, "dp").total_latency
    search = Search(instance, memory_prices(instance), Monitor(instance))
    whole = search.run(optimum, record=True)
    assert whole.complete
    assert whole.generated > 2 * budget
    early = search.run(optimum, record=True, budget=budget)
    assert not early.complete
    assert early.bound < optimum
    assert early.generated <= 2 * budget
    given_up = search.run(optimum, record=True, budget=2 * budget, given_up=early)
    done = search.run(optimum, record=True, given_up=given_up)
    assert (done.bound, done.complete, done.layers, done.open) == (optimum, True, whole.layers, None)
    assert (done.generated, done.kept) == (whole.generated, whole.kept)
    assert search_certificate(done, search) == search_certificate(whole, search)


def test_a_pass_begins_again_with_other_bounds() -> None:
    """The checker prunes by one packing alone, so labels that another one bounded are of no use."""
    instance = generate("different", requests=11, seed=3)
    optimum = solve(instance, "dp").total_latency
    search = Search(instance, memory_prices(instance), Monitor(instance))
    early = search.run(optimum, record=True, budget=500)
    assert search.can_go_on(early)
    search.packing = packing.search(instance, time_limit_s=0.2)
    assert not search.can_go_on(early)
    done = search.run(optimum, record=True, given_up=early)
    assert (done.complete, done.bound) == (True, optimum)
    certificate = search_certificate(done, search).as_dict()
    assert check_certificate(Problem.of(instance), certificate) == optimum


def test_layers_that_get_smaller_may_take_the_budget_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass beyond its largest layer is not given up for a little; one before it does not begin a layer too large."""
    monkeypatch.setattr("kvopt.exact.search.SMALL_LABELS", 0)
    instance = generate("different", requests=11, seed=4)
    optimum = solve(instance, "dp").total_latency
    search = Search(instance, memory_prices(instance), Monitor(instance))
    whole = search.run(optimum)
    made = np.concatenate([trace.sizes[:, 1] for trace in whole.traces])
    largest = int(made.argmax())
    assert 0 < largest < len(made) - 2
    # What a layer will have is told by a sample, so with some to spare.
    budget = int(1.3 * made[: largest + 1].sum())
    after = search.run(optimum, budget=budget)
    assert budget < after.generated == whole.generated
    assert after.complete
    before = search.run(optimum, budget=int(made[:largest].sum() + made[largest] // 2))
    assert not before.complete
    assert before.layers == largest


class StopsAtTheEnd(Monitor):
    """A monitor that is interrupted at the very moment a pass has nothing left to do."""

    def report(self, *, force: bool = False, **fields: object) -> None:
        """Interrupt after the last layer, or after one that keeps nothing."""
        if "layer" in fields and (fields["layer"] == fields["of"] or fields["labels"] == 0):
            self.interrupt()


def test_a_stop_after_the_last_layer_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a finished pass has found or proved counts, also in the loop of large layers."""
    monkeypatch.setattr("kvopt.exact.search.SMALL_LABELS", 0)
    instance = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    for threshold in (12, 13):
        monitor = StopsAtTheEnd(instance)
        done = Search(instance, memory_prices(instance), monitor).run(threshold)
        assert monitor.interrupted
        assert (done.complete, done.bound) == (True, 12)
    assert monitor.incumbent == 12


def test_many_types_without_an_exact_key() -> None:
    """With more types than a 64-bit mixed radix can number, equal remaining sets are compared in full."""
    rows = [(p, o, 1, a) for p in range(3) for o in (1, 2) for a in range(12)]
    instance = Instance.from_rows(60, rows)
    search = Search(instance, memory_prices(instance), Monitor(instance))
    assert not search.shapes.exact_key
    result = solve(instance, "dp")
    assert result.status == Status.OPTIMAL
    assert verify(result).optimal


def test_more_than_four_types_kept_apart() -> None:
    """Classes of one type each count the requests of that type: the path of the relaxation is a schedule, the best.

    Types here are ordered by prompt, and would be by output as classes. CP-SAT finds 684 as well.
    """
    result = solve(Instance.from_rows(60, [(14, 25), (12, 30, 2), (5, 29, 2), (2, 29, 3), (12, 24)]), "dp")
    assert (result.total_latency, result.statistics["classes"]) == (684, 5)
    assert verify(result).optimal


@pytest.mark.parametrize("seed", range(8))
def test_five_types_of_small_profiles(seed: int) -> None:
    """The graph of all of them is small enough; whatever proves the optimum, the verifier and CP-SAT agree."""
    rng = np.random.default_rng(seed)
    rows = [(int(rng.integers(0, 5)), int(rng.integers(1, 7)), int(rng.integers(1, 4))) for _ in range(5)]
    instance = Instance.from_rows(12, rows)
    result = solve(instance, "dp")
    assert verify(result).optimal
    assert result.total_latency == solve(instance, "cp-sat").total_latency


def test_one_worker_and_two_agree_to_the_last_code() -> None:
    """Proofs are reproducible: threads may not change what is kept or which dominator is named."""
    instance = Instance.from_rows(30, [(2, 13, 8), (3, 6, 8), (1, 9, 4)])
    one, two = solve(instance, "dp", workers=1), solve(instance, "dp", workers=2)
    assert one.certificate.data == two.certificate.data


def test_a_time_limit_keeps_schedule_and_certified_bound() -> None:
    """Stopped early, the search still returns its best schedule and a bound whose certificate holds."""
    rng = np.random.default_rng(3)
    output = rng.integers(5, 40, 30)
    instance = Instance(capacity=50, prompt=rng.integers(1, 6, 30), output=output)
    result = solve(instance, "dp", time_limit_s=1.0)
    assert result.status == Status.FEASIBLE
    assert result.statistics["stopped_by"] == "time limit"
    assert output.sum() < result.lower_bound < result.total_latency
    assert verify(result).verdict == PROVED


def test_an_interrupt_keeps_what_was_found() -> None:
    """The first interrupt ends the search in good order."""
    rng = np.random.default_rng(3)
    instance = Instance(capacity=50, prompt=rng.integers(1, 6, 30), output=rng.integers(5, 40, 30))
    monitor = Monitor(instance, on_progress=lambda fields: fields.get("layer", 0) >= 3 and monitor.interrupt())
    result = solve(instance, "dp", monitor=monitor)
    assert result.statistics["stopped_by"] == "interrupted"
    assert verify(result).verdict == PROVED


def test_remote_arrivals() -> None:
    """A long idle stretch before an arrival is jumped over, not walked."""
    instance = Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3], arrival=[0, 10**5, 10**5, 10**5])
    result = solve(instance, "dp")
    assert result.total_latency == solve(instance.__class__(5, [1] * 3, [1, 3, 3]), "brute-force").total_latency + 1
    assert verify(result).optimal


def test_kernels_with_bounds_checks(tmp_path: Path) -> None:
    """Numba reads out of bounds in silence; once, the kernels run with every index checked."""
    code = (
        "import numpy as np; from kvopt import Instance, solve\n"
        "for seed in range(4):\n"
        "    g = np.random.default_rng(seed)\n"
        "    i = Instance(20, g.integers(0, 5, 7), g.integers(1, 14, 7), g.integers(0, 9, 7) * (seed % 2))\n"
        "    r = solve(i, 'dp', workers=1); assert r.status == 'optimal', r\n"
        "i = Instance.from_rows(12, [(0, 3, 4), (0, 6, 3)]); assert solve(i, 'dp').total_latency == 39\n"
    )
    # A cache of its own: compiled code in the usual one has no checks.
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_layers_of_every_size_are_expanded_whole() -> None:
    """Layers with several hundred labels are cut into ranges; a range left out would break the proof."""
    instance = generate("different", requests=12, seed=4)
    result = solve(instance, "dp")
    assert result.statistics["labels"] > 5_000
    assert verify(result).optimal


def test_profiles_beyond_memory_are_refused() -> None:
    """Outputs of tens of thousands of tokens would need profiles of many gigabytes: an error that says so."""
    instance = Instance(capacity=60_000, prompt=[0] * 7, output=[40_000 + i for i in range(7)])
    with pytest.raises(TooLargeError, match="solver starts"):
        solve(instance, "dp")


def test_profiles_too_long_are_refused_at_once() -> None:
    """Outputs of 10^9 tokens took minutes and 24 GB before the refusal."""
    huge = Instance(2**31 - 1, list(range(50)), list(range(10**9, 10**9 + 50)))
    began = time.process_time()
    with pytest.raises(TooLargeError, match="memory profile of 1000000049 rounds"):
        solve(huge, "dp", time_limit_s=1)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("capacity", "rows"),
    [
        (9, [(1, 3, 4), (3, 2, 4)]),
        (127, [(20, 9, 3), (35, 12, 3), (60, 3, 3)]),
        (128, [(20, 9, 3), (35, 12, 3), (60, 3, 3)]),
        (700, [(90, 18, 3), (200, 5, 3)]),
    ],
)
def test_graph_of_profiles_is_the_one_of_plain_python(capacity: int, rows: list[tuple[int, int, int]]) -> None:
    """Cells of 8 and of 16 bits, several words and shifts across them make the same profiles, arcs and depths."""
    instance = Instance.from_rows(capacity, rows)
    shapes = [(s, o) for s, o, _ in rows]
    width = max(o for _, o in shapes)

    def fits(profile: tuple[int, ...], at: int, s: int, o: int) -> bool:
        held = [*profile[at:], *[0] * (2 * width)]
        return all(held[j] + s + j + 1 <= capacity for j in range(o))

    def moved_on(profile: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        move = next(w for w in range(width + 1) if any(fits(profile, w, *shape) for shape in shapes))
        return profile[move:], move

    # Starts that lead to each profile, at least, and what follows each: a round later, and after starts.
    depth, nodes = {(): 0}, [()]
    later, starts = {}, {}
    for node in nodes:
        chain = [node[wait:] for wait in range(len(node) + 1)]
        for profile in chain:
            if profile in later:
                break
            later[profile], starts[profile] = profile[1:], []
            depth[profile] = depth[node]
            for s, o in shapes:
                if not fits(profile, 0, s, o):
                    starts[profile].append(None)
                    continue
                held = [*profile, *[0] * o][: max(len(profile), o)]
                child, move = moved_on(tuple(h + (s + j + 1 if j < o else 0) for j, h in enumerate(held)))
                starts[profile].append((child, move))
                if child not in nodes:
                    nodes.append(child)
                    depth.setdefault(child, depth[node] + 1)
    found = full_graph(instance, MEDIUM, Watch(Monitor(instance)))
    assert found is not None
    graph = found[1]
    # Profiles by number: the nodes are given, and what they lead to by waiting.
    number = dict(zip(nodes, graph.nodes.tolist(), strict=True))
    for node in nodes:
        for wait in range(len(node)):
            number[node[wait + 1 :]] = int(graph.later[number[node[wait:]]])
    assert sorted(number.values()) == list(range(graph.profiles))
    assert set(number) == set(later)
    for profile, p in number.items():
        assert graph.depth[p] == depth[profile]
        assert graph.later[p] == number[later[profile]] < max(p, 1)
        for k, start in enumerate(starts[profile]):
            expected = (graph.profiles, 0) if start is None else (number[start[0]], start[1])
            assert (graph.to[k, p], graph.moved[k, p]) == expected
    assert graph.depth.tolist() == sorted(depth.values())


def test_layers_that_do_not_fit_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is asked for before it is taken: the search ends below the limit with what it has proved."""
    monkeypatch.setattr("kvopt.exact.search.SMALL_LABELS", 0)
    instance = read(LIBRARY / "different" / "different-n12-1.json")
    monitor = Monitor(instance, memory_limit_gb=100.0)
    refused: list[int] = []

    def affords(size: int) -> bool:
        monitor.interrupted = bool(size > 5e5)
        refused.append(size)
        return not monitor.interrupted

    monkeypatch.setattr(monitor, "affords", affords)
    done = Search(instance, memory_prices(instance), monitor).run(10**6)
    assert not done.complete
    assert refused[-1] > 5e5
    assert 0 < done.layers < 12
    assert done.bound <= solve(instance, "dp").total_latency


def test_memory_that_would_exceed_the_limit_ends_the_run() -> None:
    """Asked for beforehand, because a look at the memory in use would come too late."""
    monitor = Monitor(Instance(5, [1], [1]), memory_limit_gb=resident_gb() + 1)
    assert monitor.affords(10**8)
    assert not monitor.stopped
    assert not monitor.affords(2 * 10**9)
    assert monitor.stop_reason == "memory limit"


def test_without_a_memory_limit_the_machine_sets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that outgrows the machine comes back with its schedule and bound before it is killed."""
    monkeypatch.setattr("kvopt.monitor.SAFE_SHARE", resident_gb() / machine_gb() / 2)
    result = solve(read(LIBRARY / "different" / "different-n12-1.json"), "dp")
    assert result.statistics["stopped_by"] == "memory limit"
    assert result.schedule is not None
    assert "memory_limit_gb" not in result.limits
    assert verify(result).verdict == PROVED
