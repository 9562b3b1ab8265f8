"""The compiled checker: it accepts what `kvopt.verify` accepts, to the unit, and nothing else.

Every altered certificate of search or sublimation in the other tests is put to both (`certificates.proved`).
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from certificates import packed
from hypothesis import given
from hypothesis import strategies as st
from strategies import instances
from typer.testing import CliRunner

from kvopt import Instance, read, replay, solve
from kvopt.bounds import packing, prices
from kvopt.cli import app
from kvopt.exact.proof import search_certificate
from kvopt.exact.search import Search
from kvopt.generate import generate
from kvopt.io.formats import write, write_result
from kvopt.monitor import Monitor
from kvopt.replay.profiles import costs_of, graph_of
from kvopt.verify import CHECKS, PROVED, REFUSED, Problem, Refusal, Replay, check_certificate, read_varints, verify

LIBRARY = Path(__file__).parent.parent / "instances"


def followed(instance: Instance, certificate: dict[str, Any]) -> int | None:
    """What kernels say of a certificate."""
    found: int | None = replay.FOLLOWED[certificate["kind"]](Problem.of(instance), certificate)
    return found


@given(instances(max_n=7))
def test_follows_every_proof(instance: Instance) -> None:
    """Tiny proofs of all shapes: equal and mixed prompts, with and without arrivals."""
    result = solve(instance, "dp")
    certificate = result.certificate.as_dict()
    if certificate["kind"] in replay.FOLLOWED:
        assert followed(instance, certificate) == result.total_latency
    assert verify(result, replay.CHECKS) == verify(result)


@pytest.mark.parametrize(
    "name",
    [
        "different/different-n08-3",
        "different/different-n12-1",
        "types/types-k3-n010-1",
        "types/types-k3-n020-1",
        "types/types-k4-n020-1",
        "types/types-k4-n020-2",
        "types/types-k2-n020-1",
        "types/types-k1-n020-1",
        "types/types-k3-n040-1",
        "types/types-k4-n060-3",
    ],
)
def test_follows_proofs_of_the_library(name: str) -> None:
    """Thousands of labels and arcs, with claimed costs, costs that have to be found, stages, and several classes."""
    instance = read(LIBRARY / f"{name}.json")
    result = solve(instance, "dp")
    certificate = result.certificate.as_dict()
    assert followed(instance, certificate) == check_certificate(Problem.of(instance), certificate) == result.lower_bound


@pytest.mark.parametrize(("family", "seed"), [("different", 0), ("different", 1), ("arrivals", 0), ("arrivals", 2)])
def test_follows_packings_and_open_labels(family: str, seed: int) -> None:
    """A search given up leaves labels whose bounds count; its packing prunes in both."""
    instance = generate(family, requests=12, seed=seed)
    best = solve(instance, "dp")
    for packs in (False, True):
        search = Search(instance, prices.fluid(instance), Monitor(instance))
        if packs:
            search.packing = packing.search(instance, best.schedule.starts, time_limit_s=0.3)
        whole = search.run(best.total_latency, record=True)
        early = search.run(best.total_latency, record=True, budget=whole.generated // 3)
        for done in (whole, early):
            certificate = search_certificate(done, search).as_dict()
            assert followed(instance, certificate) == check_certificate(Problem.of(instance), certificate) == done.bound


def test_refuses_each_altered_code() -> None:
    """On a proof of 464 labels: kernels accept an altered code only where `kvopt.verify` does, with its bound."""
    instance = read(LIBRARY / "types" / "types-k3-n010-2.json")
    certificate = solve(instance, "dp").certificate.as_dict()
    problem, numbers = Problem.of(instance), list(read_varints(certificate["codes"]))
    refused = 0
    for at in range(0, len(numbers), max(1, len(numbers) // 150)):
        changed = [*numbers[:at], numbers[at] + 1, *numbers[at + 1 :]]
        altered = certificate | {"codes": packed(changed)}
        try:
            bound: int | None = check_certificate(problem, altered)
        except Refusal:
            bound = None
            refused += 1
        assert followed(instance, altered) == bound
    assert refused > 50


@given(st.data())
def test_costs_to_go_are_those_of_plain_python(data: st.DataObject) -> None:
    """All profiles, by whatever starts and waits they come up, and the costs from each of them."""
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=3, unique=True))
    problem = Problem(7, [s for s, _ in sorted(rows)], [o for _, o in sorted(rows)], [0] * len(rows))
    plain = Replay(problem, 100, 4, [])
    rewards = data.draw(st.lists(st.integers(-9, 40), min_size=len(rows), max_size=len(rows)))
    relaxation = plain.relax({"class_of": list(range(len(rows))), "multipliers": rewards})
    graph = graph_of(relaxation, problem.capacity)
    costs = costs_of(relaxation, graph, {})
    nodes = [0]
    for node in nodes:
        for wait in range(relaxation.profiles.length(node) + 1):
            for _, _, to in relaxation.profiles.starts(node, wait):
                if to not in nodes:
                    nodes.append(to)
    assert len(nodes) == len(graph.profile)
    assert sorted(tuple(column) for column in costs.T.tolist()) == sorted(
        tuple(relaxation.cost(j, node) for j in range(len(rows) + 1)) for node in nodes
    )


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 1 << 61},
        {"denominator": 1 << 60},
        {"prices": [1 << 60] * 3},
        {"relaxation": {"class_of": [0, 0, 0], "multipliers": [1 << 61]}},
    ],
)
def test_what_does_not_fit_is_left_to_plain_python(change: dict[str, Any]) -> None:
    """Numbers that machine integers could not add up: no word from kernels, and the verdict of `kvopt.verify`."""
    instance = Instance.from_rows(12, [(1, 3, 3, 0), (2, 6, 2, 1), (0, 4, 2, 2)])
    certificate = solve(instance, "dp").certificate.as_dict() | change
    with pytest.raises(replay.Unfit):
        followed(instance, certificate)
    words = []
    for checks in (CHECKS, replay.CHECKS):
        try:
            words.append(str(check_certificate(Problem.of(instance), certificate, checks)))
        except Refusal as refusal:
            words.append(str(refusal))
    assert words[0] == words[1]


def test_long_outputs_are_left_to_plain_python() -> None:
    """Tables with a row for each round of a profile are for outputs of ordinary length."""
    instance = Instance(4_000, [10, 20, 30], [1_500, 40, 60])
    result = solve(instance, "dp")
    if result.certificate.kind in replay.FOLLOWED:
        with pytest.raises(replay.Unfit):
            followed(instance, result.certificate.as_dict())
    assert verify(result, replay.CHECKS).optimal


def test_kernels_with_bounds_checks(tmp_path: Path) -> None:
    """Numba reads out of bounds in silence; once, the kernels follow proofs with every index checked."""
    code = (
        "import pickle, sys; from kvopt import replay; from kvopt.verify import Problem\n"
        "for instance, certificate, bound in pickle.load(open(sys.argv[1], 'rb')):\n"
        "    assert replay.FOLLOWED[certificate['kind']](Problem.of(instance), certificate) == bound\n"
    )
    cases = []
    for instance in (
        generate("different", requests=9, seed=1),
        generate("arrivals", requests=9, seed=1),
        Instance.from_rows(12, [(0, 3, 4), (0, 6, 3)]),
        read(LIBRARY / "types" / "types-k3-n010-1.json"),
        read(LIBRARY / "types" / "types-k4-n020-2.json"),
    ):
        result = solve(instance, "dp")
        cases.append((instance, result.certificate.as_dict(), result.lower_bound))
    instance = cases[0][0]
    search = Search(instance, prices.fluid(instance), Monitor(instance))
    search.packing = packing.search(instance, time_limit_s=0.2)
    done = search.run(cases[0][2], record=True)
    cases.append((instance, search_certificate(done, search).as_dict(), cases[0][2]))
    cases.append((instance, search.packing.bound.certificate.as_dict(), search.packing.value))
    assert {certificate["kind"] for _, certificate, _ in cases} == set(replay.FOLLOWED)
    (tmp_path / "cases").write_bytes(pickle.dumps(cases))
    # A cache of its own: compiled code in the usual one has no checks.
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "cases")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_command(tmp_path: Path) -> None:
    """``kvopt verify --compiled`` says what it says without, of a true claim and of a false one."""
    instance = generate("types", requests=12, types=3, seed=1)
    paths = [str(tmp_path / name) for name in ("i.json", "r.json")]
    write(instance, paths[0])
    write_result(solve(instance, "dp"), paths[1])
    for verdict, code in ((PROVED, 0), (REFUSED, 1)):
        said = [CliRunner().invoke(app, ["verify", *paths, "--json", *more]) for more in ([], ["--compiled"])]
        assert [run.exit_code for run in said] == [code, code]
        assert json.loads(said[0].stdout) == json.loads(said[1].stdout)
        assert json.loads(said[0].stdout)["verdict"] == verdict
        claims = json.loads(Path(paths[1]).read_text())
        claims["certificate"]["threshold"] -= 1
        Path(paths[1]).write_text(json.dumps(claims))
