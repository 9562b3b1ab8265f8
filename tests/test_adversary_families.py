"""Families that are bad for every policy, measured by an exact optimum."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance, Schedule, solve
from kvopt.adversary import single_long
from kvopt.adversary.curve import against, exponent, yardstick
from kvopt.adversary.families import FAMILIES, Burst, LargePrompts, ShortestFirst, Stream
from kvopt.adversary.play import play, require_same
from kvopt.errors import InputError, SolverError
from kvopt.online import Policy, simulate
from kvopt.policies import find_policy

LIST_POLICIES = ("fcfs", "mc-sf", "svf")


class Patient(Policy):
    """Starts nothing before round 5, then like mc-sf: the adversary has to wait for it."""

    name = "patient"

    def decide(self, view):
        """The longest prefix that fits, from round 5 on."""
        return view.look_ahead().longest_prefix(view.waiting) if view.time >= 5 else []


@pytest.mark.parametrize("time_limit_s", [0, -1, float("nan"), "x"])
def test_time_limits_are_checked(time_limit_s):
    """A limit out of range is refused for every family, also for those whose optimum takes no search."""
    with pytest.raises(InputError, match="time_limit_s must be a number above 0"):
        against(Burst(16), find_policy("mc-sf"), time_limit_s=time_limit_s)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 8),
    st.integers(0, 2),
    st.integers(2, 6),
    st.integers(0, 3),
    st.lists(st.integers(0, 8), min_size=1, max_size=6),
)
def test_enumeration_is_the_optimum(capacity, prompt, output, arrival, others):
    """The optimum of these families rests on this enumeration, so an exact solver must agree."""
    output = min(output, capacity - prompt)
    rows = [(prompt, output, 1, arrival), *((prompt, 1, 1, a) for a in others)]
    instance = Instance.from_rows(capacity, rows)
    schedule = Schedule(instance, single_long.optimum(instance))
    assert (schedule.starts >= instance.arrival).all()
    assert schedule.memory.max() <= capacity
    assert schedule.total_latency == solve(instance, "dp").total_latency


def test_enumeration_refuses_other_instances():
    """Two long requests, or unequal short ones, are not its case."""
    for rows in ([(1, 2, 2)], [(1, 3, 1), (1, 1, 1), (2, 1, 1)]):
        with pytest.raises(InputError, match="one long request"):
            single_long.optimum(Instance.from_rows(5, rows))


@pytest.mark.parametrize(
    ("capacity", "total", "optimum"),
    [(64, 269, 138), (256, 1771, 562), (1024, 12567, 2274), (4096, 93999, 9154)],
)
@pytest.mark.parametrize("policy", LIST_POLICIES)
def test_burst(policy, capacity, total, optimum):
    """The three list policies coincide; the optimum starts the long request in time for the burst to fit beside it."""
    point = against(Burst(capacity), find_policy(policy))
    assert (point.total_latency, point.yardstick.upper) == (total, optimum)


def test_burst_in_the_literature():
    """Ratios of 1.770, 2.838, 4.971 and 9.237 are quoted; their hindsight schedule runs the long request last."""
    for capacity, quoted in ((64, 1.770), (256, 2.838), (1024, 4.971), (4096, 9.237)):
        point = against(Burst(capacity), find_policy("mc-sf"))
        burst = int(point.instance.arrival.max())
        last = Schedule(point.instance, np.where(point.instance.output == 1, burst, burst + 1))
        assert last.memory.max() <= capacity
        assert point.total_latency / last.total_latency == pytest.approx(quoted, abs=5e-4)
        assert point.yardstick.upper < last.total_latency


@pytest.mark.parametrize(
    ("capacity", "delay", "long_output", "quoted"),
    [
        (16, Fraction(1, 5), None, 6.2),
        (64, Fraction(3, 10), None, 23.8),
        (256, Fraction(3, 10), None, 95.0),
        (16, Fraction(1, 5), 7, 2.51),
        (64, Fraction(1, 5), 31, 7.28),
        (256, Fraction(1, 5), 127, 26.1),
    ],
)
def test_stream(capacity, delay, long_output, quoted):
    """Published ratios; here the optimum is exact, and equals the hindsight schedule they were divided by."""
    point = against(Stream(capacity, delay=delay, long_output=long_output), find_policy("mc-sf"))
    assert point.instance.n == capacity**2 // 2 + 1
    assert float(point.ratio) == pytest.approx(quoted, abs=0.051 if quoted > 90 or long_output is None else 0.006)
    assert point.ratio == point.ratio_at_most


@pytest.mark.parametrize(("capacity", "quoted"), [(64, 10.9), (256, 42.9), (1024, 170.9)])
def test_large_prompts(capacity, quoted):
    """Linear in the number of requests."""
    point = against(LargePrompts(capacity), find_policy("fcfs"))
    assert float(point.ratio) == pytest.approx(quoted, abs=0.05)


def test_exponents():
    """Square root for the stream, linear for large prompts, over the number of requests."""
    for make, expected in ((Stream, 0.5), (LargePrompts, 1.0)):
        points = [against(make(m), find_policy("mc-sf")) for m in (16, 64, 256)]
        slope = exponent([p.instance.n for p in points], [p.ratio for p in points])
        assert slope == pytest.approx(expected, abs=0.03)


def test_shortest_first_family():
    """Bad for the order by output, harmless for the order by volume; the optimum is proved."""
    point = against(ShortestFirst(400), find_policy("mc-sf"))
    assert point.yardstick.proof == "dp"
    assert point.ratio > 3
    assert against(ShortestFirst(400), find_policy("svf")).ratio == 1


def test_large_backlogs_are_bracketed():
    """Beyond the exact search the ratio is given from both sides."""
    point = against(ShortestFirst(10_000), find_policy("mc-sf"))
    assert point.yardstick.proof == "volume bound"
    assert 16 < point.ratio < point.ratio_at_most < 17


def test_adversary_adapts():
    """The burst hits a policy that waits before it starts the long request as well, five rounds later."""
    run = play(Burst(64), Patient())
    assert run.start[0] == 5
    assert set(run.source.arrival[1:].tolist()) == {5 + 64 - 8}


@pytest.mark.parametrize("policy", ["sorted-f", "alpha-greedy:alpha=0.2", "a-min", "gsa", "vllm-fcfs"])
@pytest.mark.parametrize("family", FAMILIES)
def test_other_policies(policy, family):
    """Any online policy can be played against, also one that evicts and restarts."""
    point = against(FAMILIES[family](16), find_policy(policy))
    assert point.total_latency >= point.yardstick.lower


def test_policies_that_look_ahead_are_caught():
    """The adversary's releases are answers only if the policy did not know them."""

    class Oracle(Policy):
        name = "oracle"

        def __init__(self):
            self.runs = 0

        def begin(self, seed):
            self.runs += 1

        def decide(self, view):
            """Waits in the second run only, as if it knew what comes."""
            return view.look_ahead().longest_prefix(view.waiting) if self.runs == 1 or view.time > 3 else []

    with pytest.raises(SolverError, match="looks ahead"):
        play(Burst(16), Oracle())


def test_equal_runs_pass():
    """A run is the same as itself."""
    run = simulate(Instance.from_rows(8, [(1, 3, 2)]), find_policy("fcfs"))
    require_same(run, run, 100)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Burst(3), "capacity"),
        (lambda: LargePrompts(65), "even"),
        (lambda: Stream(16, delay=Fraction(1)), "delay"),
        (lambda: Stream(16, long_output=16), "long_output"),
        (lambda: ShortestFirst(16, copies=0), "copies"),
        (lambda: Stream(10**6), "capacity"),
        (lambda: LargePrompts(10**6), "capacity"),
        (lambda: play(ShortestFirst(10**9), find_policy("fcfs")), "at most 10,000,000"),
        (lambda: exponent([4], [Fraction(1)]), "two sizes"),
    ],
)
def test_bad_arguments(make, says):
    """Each bad argument is named, the latest when the adversary has to release."""
    with pytest.raises(InputError, match=says):
        make().respond(None)


def test_yardstick_of_an_ordinary_instance():
    """Where no enumeration applies the exact programme does."""
    known = yardstick(Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)]))
    assert (known.lower, known.upper, known.proof) == (12, 12, "dp")
