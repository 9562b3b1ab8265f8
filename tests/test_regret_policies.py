"""Reference policies: optimal where they must be, feasible, and the same in the general simulator."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import product

import numpy as np
import pytest

from kvopt import Instance
from kvopt.errors import InputError, TooLargeError, UnknownNameError
from kvopt.online import simulate
from kvopt.regret.hindsight import hindsight_waiting
from kvopt.regret.mix import Mix
from kvopt.regret.paths import PROCESSES, ArrivalPath, draw_path
from kvopt.regret.profiles import profile_graph
from kvopt.regret.reference import REFERENCES, finite_opt, reference_policy, resolve, stationary
from kvopt.regret.simulated import Tabled
from kvopt.regret.study import RegretStudy, half_width
from kvopt.regret.tables import ArrivalStages, StateSpace

TWO = Mix(8, [1, 1], [2, 6], [0.7, 0.3])
SPACE = StateSpace(profile_graph(TWO), (15, 15))


def least_expected_waiting(mix, chances, rounds):
    """Independent of graph and kernels: plain recursion over running (peak, left) pairs and waiting counts.

    `chances` lists (probability, arrivals by type) of one round.
    """

    def fits(running):
        longest = max((left for _, left in running), default=0)
        return all(
            sum(peak - left + 1 + later for peak, left in running if left > later) <= mix.capacity
            for later in range(longest)
        )

    @cache
    def before_arrivals(t, running, waiting):
        if t >= rounds:
            return before_starts(t, running, waiting) if any(waiting) else 0.0
        return sum(p * before_starts(t, running, tuple(np.add(waiting, new))) for p, new in chances)

    @cache
    def before_starts(t, running, waiting):
        best = float("inf")
        if t < rounds or running:
            later = tuple((peak, left - 1) for peak, left in running if left > 1)
            best = sum(waiting) + before_arrivals(t + 1, later, waiting)
        for k, number in enumerate(waiting):
            after = tuple(sorted((*running, (mix.prompt[k] + mix.output[k], mix.output[k]))))
            if number and fits(after):
                rest = (*waiting[:k], number - 1, *waiting[k + 1 :])
                best = min(best, before_starts(t, after, rest))
        return best

    return before_arrivals(0, (), (0,) * len(mix))


@pytest.mark.parametrize(
    ("mix", "rate", "rounds"),
    [
        (Mix(5, [1, 1], [1, 3], [1, 1]), Fraction(4, 5), 5),
        (Mix(6, [0, 4], [3, 1], [2, 1]), Fraction(1), 5),
        (Mix(4, [1], [3], [1]), Fraction(1, 2), 7),
    ],
)
def test_finite_opt_is_optimal(mix, rate, rounds):
    """Its expected waiting against an independent plain recursion."""
    space = StateSpace(profile_graph(mix), (rounds,) * len(mix))
    nobody = (0,) * len(mix)
    single = [tuple(int(j == k) for j in range(len(mix))) for k in range(len(mix))]
    chances = [(1 - float(rate), nobody)]
    chances += [(float(rate * f), new) for f, new in zip(mix.share, single, strict=True)]
    value = finite_opt(space, rate, rounds, "bernoulli").expected
    assert value == pytest.approx(least_expected_waiting(mix, chances, rounds))


def test_no_online_policy_matches_hindsight():
    """docs/regret.md: the least expected regret of any policy, over every path of four rounds, is positive."""
    rounds, rate = 4, Fraction(15, 56)
    least = finite_opt(StateSpace(SPACE.graph, (rounds, rounds)), rate, rounds, "types").expected
    chance = [float(rate * share) for share in TWO.share]
    hindsight = 0.0
    for hits in product([0, 1], repeat=2 * rounds):
        arrived = np.flatnonzero(hits)
        path = ArrivalPath(rounds, arrived // 2, arrived % 2)
        probability = np.prod([chance[i % 2] if hit else 1 - chance[i % 2] for i, hit in enumerate(hits)])
        hindsight += probability * hindsight_waiting(SPACE.graph, path)
    assert least - hindsight == pytest.approx(0.0395444, abs=1e-7)


@pytest.mark.parametrize("process", PROCESSES)
def test_expected_waiting_is_what_paths_cost(process):
    """The table's own expectation lies within five standard errors of the mean over paths."""
    policy = finite_opt(SPACE, Fraction(1, 4), 60, process)
    values = np.array([policy.waiting(draw_path(TWO, Fraction(1, 4), 60, 7, i, process))[0] for i in range(1500)])
    assert abs(values.mean() - policy.expected) < 5 * values.std() / len(values) ** 0.5


def test_stationary_expects_what_long_paths_cost():
    """Average waiting per round over a long path against the value iteration."""
    policy = stationary(SPACE, Fraction(1, 4))
    path = draw_path(TWO, Fraction(1, 4), 100_000, 1, 0)
    assert policy.waiting(path)[0] / path.rounds == pytest.approx(policy.expected, rel=0.1)


def test_arrival_stages_sum_to_the_rates():
    """Probabilities of each stage sum to 1 and bring the stated means."""
    for process in PROCESSES:
        stages = ArrivalStages.of(TWO, Fraction(1, 2), process)
        for stage in range(stages.stage.max() + 1):
            assert stages.probability[stages.stage == stage].sum() == pytest.approx(1)
        for k, share in enumerate(TWO.share):
            mine = stages.kind == k
            assert (stages.probability[mine] * stages.count[mine]).sum() == pytest.approx(float(share) / 2)


def test_resolve_clears_a_backlog_optimally():
    """Without further arrivals it is the hindsight optimum."""
    policy = resolve(SPACE)
    for short in range(8):
        for long in range(6):
            kinds = np.repeat([0, 1], [short, long])
            path = ArrivalPath(1, np.zeros(len(kinds), np.int64), kinds)
            assert policy.waiting(path) == (hindsight_waiting(SPACE.graph, path), 0)


@pytest.mark.parametrize("name", REFERENCES)
def test_same_schedule_in_the_simulator(name):
    """The kernel that follows a table and the general simulator are two programs; they must agree."""
    policy = reference_policy(name, SPACE, Fraction(2, 5), 80)
    path = draw_path(TWO, Fraction(2, 5), 80, 2, 0)
    inst = path.instance(TWO)
    result = simulate(inst, Tabled(policy))
    assert result.schedule.memory.max() <= TWO.capacity
    waiting = int((result.schedule.starts - inst.arrival).sum())
    if name == "stationary":  # nobody tells the simulator's policies that arrivals have ended
        assert waiting >= hindsight_waiting(SPACE.graph, path)
    else:
        assert waiting == policy.waiting(path)[0]


def test_simulated_tables_refuse_what_they_were_not_made_for():
    """Another capacity or an unknown type is named."""
    policy = Tabled(resolve(SPACE))
    with pytest.raises(InputError, match="computed for capacity 8, not 9"):
        simulate(Instance(9, [1], [2]), policy)
    with pytest.raises(InputError, match="request 0 with prompt 1 and predicted output 3"):
        simulate(Instance(8, [1], [3]), policy)


def test_study_on_common_paths():
    """finite-opt has least mean waiting, no regret is negative, a longer run only adds paths."""
    names = ["fcfs", "mc-sf", "resolve", "expected-hindsight", "finite-opt"]
    study = RegretStudy(TWO, Fraction(1, 2), [40, 160], names, seed=3)
    for _ in range(60):
        study.add_path()
    rows = {(row.policy, row.horizon): row for row in study.rows()}
    assert min(study.regret(name).min() for name in names) >= 0
    best = rows["finite-opt", 160]
    assert all(best.waiting <= rows[name, 160].waiting * 1.02 for name in names)
    assert rows["fcfs", 160].regret > 2 * rows["mc-sf", 160].regret
    first = study.regret("fcfs").copy()
    study.add_path()
    assert study.regret("fcfs")[:-1].tolist() == first.tolist()
    again = RegretStudy(TWO, Fraction(1, 2), [160], ["fcfs"], seed=3)
    again.add_path()
    assert again.regret("fcfs")[0, 0] == first[0, 1]


def test_regret_against_the_certified_bound_is_larger():
    """The certified bound lies below the optimum, so regret against it is an upper bound."""
    exact = RegretStudy(TWO, Fraction(2, 5), [30], ["mc-sf"], baseline="exact")
    bound = RegretStudy(TWO, Fraction(2, 5), [30], ["mc-sf"], baseline="bound")
    none = RegretStudy(TWO, Fraction(2, 5), [30], ["mc-sf"], baseline="none")
    for _ in range(3):
        for study in (exact, bound, none):
            study.add_path()
    assert (exact.regret("mc-sf") <= bound.regret("mc-sf")).all()
    assert (bound.regret("mc-sf") <= none.regret("mc-sf")).all()


def test_intervals():
    """The textbook formula, and no claim from a single path."""
    assert half_width(np.array([1.0, 3.0])) == pytest.approx(1.959964)
    assert half_width(np.array([1.0])) == float("inf")


def test_bad_studies():
    """Unknown names, missing horizons and sizes beyond the tables are refused with the reason."""
    with pytest.raises(UnknownNameError, match="finite-opt"):
        RegretStudy(TWO, Fraction(1, 4), [10], ["best"])
    with pytest.raises(UnknownNameError, match="exact, bound, none"):
        RegretStudy(TWO, Fraction(1, 4), [10], ["fcfs"], baseline="zero")
    with pytest.raises(InputError, match="at least one horizon"):
        RegretStudy(TWO, Fraction(1, 4), [], ["fcfs"])
    with pytest.raises(InputError, match="horizons must be an integer"):
        RegretStudy(TWO, Fraction(1, 4), [0], ["fcfs"])
    with pytest.raises(TooLargeError, match="GB"):
        RegretStudy(TWO, Fraction(1, 4), [10**6], ["finite-opt"])
    with pytest.raises(InputError, match="no path"):
        RegretStudy(TWO, Fraction(1, 4), [10], ["fcfs"]).rows()
    with pytest.raises(TooLargeError, match="states"):
        StateSpace(SPACE.graph, (1000, 1000))
    with pytest.raises(InputError, match="computed for 20 rounds"):
        finite_opt(SPACE, Fraction(1, 4), 20).waiting(draw_path(TWO, Fraction(1, 4), 30, 0, 0))
