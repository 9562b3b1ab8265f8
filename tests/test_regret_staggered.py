"""Plans and staggered admission: within the capacity always, at least the planned starts, more load than greedy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance
from kvopt.errors import InputError, TooLargeError
from kvopt.model import Schedule
from kvopt.online import simulate
from kvopt.regret.effective_capacity import effective_capacity
from kvopt.regret.mix import Mix
from kvopt.regret.paths import draw_path
from kvopt.regret.pilot import piloted_plan
from kvopt.regret.plans import StartPlan, even_plan, packed_plan, staggering_plan, walk_plan
from kvopt.regret.simulated import Staggered
from kvopt.regret.staggered import staggered_schedule
from kvopt.regret.study import RegretStudy

TWO = Mix(8, [1, 1], [2, 6], [0.7, 0.3])
MEDIUM = Mix(30, [1, 3, 0], [2, 6, 9], [3, 1, 1])


def small_mixes() -> st.SearchStrategy[Mix]:
    """Mixes at capacities of 6 to 40."""

    @st.composite
    def draw_mix(draw: st.DrawFn) -> Mix:
        capacity = draw(st.integers(6, 40))
        pairs = st.tuples(st.integers(0, 3), st.integers(1, min(8, capacity - 3)))
        types = draw(st.lists(pairs, min_size=1, max_size=3, unique=True))
        return Mix(capacity, [s for s, _ in types], [o for _, o in types], [draw(st.integers(1, 4)) for _ in types])

    return draw_mix()


@given(small_mixes(), st.integers(0, 10**6), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_staggered_admission_is_feasible_and_keeps_its_promise(mix, seed, load):
    """No round exceeds the capacity, and each type's waiting never exceeds that of its own planned server."""
    plan = even_plan(mix)
    rounds = 40
    path = draw_path(mix, load * mix.volume_capacity / 2, rounds, seed, 0, "poisson")
    if len(path.arrival) == 0 or not (plan.quota.any(axis=0)).all():
        return
    inst = path.instance(mix)
    starts = staggered_schedule(inst, plan)
    assert (starts >= inst.arrival).all()
    assert Schedule(inst, starts).memory.max() <= mix.capacity
    waits = np.zeros(len(mix), np.int64)
    counts = path.counts(len(mix))
    for t in range(rounds):
        waits = np.maximum(waits + counts[t] - plan.quota[t % len(plan.quota)], 0)
        for k in range(len(mix)):
            mine = path.kind == k
            assert ((inst.arrival[mine] <= t) & (starts[mine] > t)).sum() <= waits[k]


@given(small_mixes())
@settings(max_examples=25, deadline=None)
def test_even_plans_reach_what_is_proved(mix):
    """Volume less the peaks always fits (docs/regret.md), up to the grid of the search."""
    promised = (mix.capacity - sum(s + o for s, o in zip(mix.prompt, mix.output, strict=True))) / mix.mean_volume
    grid = mix.volume_capacity / 2_000 + Fraction(2, 1_000) / min(mix.share)
    assert even_plan(mix).rate >= promised - grid
    assert even_plan(mix).rate <= mix.volume_capacity


def test_plan_memory_is_that_of_its_schedule():
    """Following a plan for many periods holds, once it has run in, what the plan says."""
    plan = packed_plan(MEDIUM, 10)
    period = len(plan.quota)
    kinds, starts = [], []
    for t in range(6 * period):
        for k, number in enumerate(plan.quota[t % period]):
            kinds += [k] * int(number)
            starts += [t] * int(number)
    prompt, output = MEDIUM.columns
    memory = Schedule(Instance(MEDIUM.capacity, prompt[kinds], output[kinds]), np.array(starts)).memory
    assert memory[3 * period : 4 * period].tolist() == plan.memory.tolist()


def test_walk_plans_approach_the_effective_capacity():
    """Longer walks lose less on the way between them."""
    found = effective_capacity(TWO)
    rates = [walk_plan(found, rounds).rate / found.lower for rounds in (10, 50, 800)]
    assert rates[0] < rates[1] < rates[2] <= 1
    assert rates[2] > 0.998


@pytest.mark.parametrize("mix", [TWO, TWO.scaled(8)])
def test_plans_at_a_known_rate(mix):
    """A piloted plan sustains the rate; beyond every plan's rate the largest is what remains."""
    best = staggering_plan(mix)
    rate = best.rate * Fraction(4, 5)
    assert rate < piloted_plan(mix, rate).rate <= best.rate
    assert piloted_plan(mix, best.rate).quota.tolist() == best.quota.tolist()


@pytest.mark.parametrize("plan", [even_plan(MEDIUM), packed_plan(MEDIUM, 10), walk_plan(effective_capacity(TWO), 50)])
def test_same_schedule_in_the_simulator(plan):
    """The kernel and the policy for the simulator are two programs; they must agree."""
    inst = draw_path(plan.mix, plan.rate, 60, 4, 0, "poisson").instance(plan.mix)
    shown = simulate(inst, Staggered(plan))
    assert int((shown.schedule.starts - inst.arrival).sum()) == int(
        (staggered_schedule(inst, plan) - inst.arrival).sum()
    )


def test_sustains_a_load_that_greedy_does_not():
    """At 90 % of the volume capacity greedy waiting grows with the horizon, staggered waiting does not."""
    mix = Mix(256, [1], [19], [1])
    study = RegretStudy(
        mix,
        Fraction(9, 10) * mix.volume_capacity,
        [400, 3200],
        ["mc-sf", "staggered"],
        process="poisson",
        baseline="none",
    )
    for _ in range(3):
        study.add_path()
    each = {(row.policy, row.horizon): row.per_request for row in study.rows()}
    assert each["mc-sf", 3200] > 3 * each["mc-sf", 400]
    assert each["staggered", 3200] < each["mc-sf", 3200] / 20


@pytest.mark.parametrize(("prompt", "output"), [(0, 2), (1, 6), (1, 19), (0, 100), (50, 3)])
def test_even_flow_is_unstable_under_greedy_admission(prompt, output):
    """The linear recursion of docs/regret.md: every mode grows."""
    assert np.abs(np.roots(np.arange(prompt + 1, prompt + output + 1))).min() > 1


def test_types_too_rare_for_a_plan():
    """Types that could start once in a million rounds get no starts of their own, and the message says so."""
    with pytest.raises(InputError, match="no plan starts each of the 14 types"):
        staggering_plan(Mix(256, [1] * 14, list(range(2, 16)), [10**8] + [1] * 13))


@pytest.mark.parametrize(
    "mix", [Mix(8, [1, 1], [2, 3], ["1e-12", 1]), Mix(10**6, [1, 1], [2, 10**6 - 1], [0.7, 0.3])], ids=["rare", "long"]
)
def test_plans_of_odd_mixes(mix):
    """A share beyond CP-SAT's integers, or an output of a million rounds, ends in the reason at once."""
    with pytest.raises(InputError, match="no plan starts each of the 2 types"):
        staggering_plan(mix)


def test_outputs_too_long_for_a_plan():
    """A type of two thousand million tokens is refused before 16 GB are asked for."""
    with pytest.raises(TooLargeError, match="an output of 2,147,483,000 tokens; plans are made for at most"):
        staggering_plan(Mix(2**31 - 1, [1, 1], [2, 2_147_483_000], [0.7, 0.3]))


def test_bad_plans_and_instances():
    """A plan beyond the capacity, and an instance the plan does not know, are refused."""
    with pytest.raises(InputError, match="tokens in its round"):
        StartPlan(TWO, np.array([[2, 1]]))
    with pytest.raises(InputError, match="2 columns"):
        StartPlan(TWO, np.array([[1], [0]]))
    with pytest.raises(InputError, match="tokens in its round"):
        even_plan(TWO, TWO.volume_capacity)
    plan = walk_plan(effective_capacity(TWO), 50)
    with pytest.raises(InputError, match="capacity 8 at capacity 9"):
        staggered_schedule(Instance(9, [1], [2]), plan)
    with pytest.raises(InputError, match="no type"):
        staggered_schedule(Instance(8, [1], [3]), plan)
    with pytest.raises(InputError, match="never started"):
        staggered_schedule(Instance(8, [1], [6]), StartPlan(TWO, np.array([[1, 0]])))
    with pytest.raises(InputError, match="no type of the mix"):
        simulate(Instance(8, [1], [3]), Staggered(plan))
