"""The simulator: mechanics of both clocks, the compiled rules against the same policies in Python, and bad policies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvopt import Instance
from kvopt.errors import ArgumentError, InputError, PolicyError
from kvopt.hardware import IterationTime, PowerModel, find_iteration_time
from kvopt.online import (
    Decision,
    Exact,
    Interval,
    Noisy,
    Over,
    Policy,
    Rounds,
    Seconds,
    Simulation,
    SimulationResult,
    Traffic,
    Unknown,
    simulate,
)
from kvopt.online.engine import is_its_rule
from kvopt.online.predictions import Predicted
from kvopt.policies import find_policy
from kvopt.policies.backlog import list_schedule
from kvopt.verify import schedule_violations

LIST_POLICIES = ["fcfs", "mc-sf", "svf"]
COMPILED = [
    *LIST_POLICIES,
    "a-max",
    "a-min",
    "vllm-fcfs",
    "alpha-greedy",
    "alpha-beta-clearing:alpha=0.1,beta=0.3",
]
TIME = find_iteration_time("llama-2-7b-a100")
CLOCKS = [
    Rounds(),
    Seconds(TIME),
    Seconds(TIME, token_budget=7, max_running=3),
    Seconds(TIME, separate_prefill=True),
]


@st.composite
def instances(draw, max_n=9, most=16):
    """Small instances with unequal prompts and arrivals."""
    capacity = draw(st.integers(2, most))
    n = draw(st.integers(1, max_n))
    output = draw(st.lists(st.integers(1, capacity), min_size=n, max_size=n))
    prompt = [draw(st.integers(0, capacity - o)) for o in output]
    arrival = draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))
    return Instance(capacity, prompt, output, arrival)


def for_clock(instance: Instance, clock: Rounds | Seconds) -> Instance | Traffic:
    """The requests in the form that a clock takes."""
    return Traffic.from_instance(instance, 0.013) if isinstance(clock, Seconds) else instance


def differences(one: SimulationResult, other: SimulationResult) -> list[str]:
    """Fields in which two results are not equal to the last bit."""
    found = []
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        same = np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a is b or a == b
        if not same:
            found.append(field.name)
    return found


@settings(deadline=None, max_examples=60)
@given(
    instances(),
    st.sampled_from(COMPILED),
    st.sampled_from([Exact(), Over(1.5), Interval(0.8), Noisy(0.7), Unknown()]),
    st.sampled_from(CLOCKS),
    st.integers(0, 5),
)
def test_compiled_rules_are_their_policies(instance, name, predictions, clock, seed):
    """A kernel that differs from the readable rule in any figure, evictions and random choices included, is wrong."""
    if isinstance(predictions, Unknown) and name in LIST_POLICIES:
        return
    source = for_clock(instance, clock)
    fast = simulate(source, find_policy(name), clock, predictions=predictions, seed=seed)
    if fast.overflows > 200:
        return  # a policy that goes round in circles is slow in Python; such a run is compared below
    slow = simulate(source, find_policy(name), clock, predictions=predictions, seed=seed, compiled=False)
    assert differences(fast, slow) == []
    assert fast.peak_memory <= instance.capacity


@settings(deadline=None, max_examples=60)
@given(instances(), st.sampled_from(LIST_POLICIES))
def test_rounds_are_the_model(instance, name):
    """On the clock of rounds the list policies give the schedules of the event-driven kernel, and these verify."""
    key = {"fcfs": instance.arrival, "mc-sf": instance.output, "svf": instance.volume}[name]
    result = simulate(instance, find_policy(name))
    starts = result.schedule.starts
    assert starts.tolist() == list_schedule(instance, np.argsort(key, kind="stable")).tolist()
    columns = (instance.prompt, instance.output, instance.arrival, starts)
    assert schedule_violations(instance.capacity, *(column.tolist() for column in columns)) == []
    assert result.total_latency == result.schedule.total_latency
    assert result.peak_memory == result.schedule.memory.max()
    assert result.first_token.tolist() == (starts + 1).tolist()


@settings(deadline=None, max_examples=80)
@given(
    instances(),
    st.sampled_from([*LIST_POLICIES, "a-max", "gba", "sorted-f"]),
    st.sampled_from([Exact(), Over(1.3), Interval(0.5)]),
    st.sampled_from(CLOCKS),
)
def test_upper_bounds_never_overflow(instance, name, predictions, clock):
    """Look-ahead by upper bounds is a promise: no eviction on any clock, everything completes, nothing stands still."""
    result = simulate(for_clock(instance, clock), find_policy(name), clock, predictions=predictions, seed=1)
    assert result.finished
    assert result.overflows == 0
    assert result.consecutive
    assert result.peak_memory <= instance.capacity


@settings(deadline=None, max_examples=40)
@given(instances(), st.sampled_from(["gsa", "a-min", "vllm-fcfs"]), st.sampled_from(CLOCKS))
def test_policies_without_predictions_complete_everything(instance, name, clock):
    """Evictions repeat work but never lose a request, even when nothing is known of outputs."""
    result = simulate(for_clock(instance, clock), find_policy(name), clock, predictions=Unknown())
    assert result.finished
    assert result.generated_tokens >= instance.output.sum()
    assert (result.generated_tokens == instance.output.sum()) == (result.evictions.sum() == 0)


def test_going_round_in_circles_is_noticed():
    """alpha-greedy without protection resets the same two requests for ever; both engines say so and keep the rest."""
    instance = Instance(10, [0, 0, 0], [2, 9, 9], [0, 5, 5])
    runs = [simulate(instance, find_policy("alpha-greedy:alpha=0"), compiled=compiled) for compiled in (True, False)]
    assert differences(*runs) == []
    assert "circles" in runs[0].stopped_by
    assert runs[0].done == 1
    with pytest.raises(InputError, match="finished"):
        _ = runs[0].schedule


def test_seconds_by_hand():
    """Two requests, every iteration computed with pen and paper: prefill, decode, late arrival, idle time."""
    model = IterationTime(10, 1, 2, 0.1)  # ms
    source = Traffic(100, [5, 3], [2, 2], [0.001, 0.5])
    result = simulate(source, find_policy("fcfs"), Seconds(model))
    # prefill 10 + 5; decode 10 + 2 + 0.1 * 7 with its second token
    assert result.first_token == pytest.approx([0.001 + 0.015, 0.5 + 0.013])
    assert result.completion == pytest.approx([0.016 + 0.0127, 0.513 + 0.0125])
    assert result.time_per_output_token == pytest.approx([0.0127, 0.0125])
    assert (result.iterations, result.peak_memory, result.prefill_tokens) == (4, 7, 8)
    assert result.busy == pytest.approx(0.0532)
    assert result.busy + result.idle == pytest.approx(0.5255 - 0.001)
    assert result.mean_memory == pytest.approx((6 * 0.015 + 7 * 0.0127 + 4 * 0.013 + 5 * 0.0125) / 0.5245)
    assert result.throughput == pytest.approx(4 / 0.5245)
    # 40 of 53.2 ms are overhead
    expected = 50 * 0.5245 + 350 * (0.0532 - 0.04)
    assert result.energy_j(PowerModel(50, 400)) == pytest.approx(expected)


def test_chunks_by_hand():
    """Budget 4: the second prompt shares iterations with the first one's decode, and its last chunk yields token 1."""
    model = IterationTime(1000, 0, 0, 0)
    source = Traffic(100, [4, 6], [3, 1], [0.0, 0.0])
    result = simulate(source, find_policy("fcfs"), Seconds(model, token_budget=4))
    # iteration 1: all of the first prompt; 2: one decode, 3 of 6; 3: one decode, 3 of 6
    assert result.first_token.tolist() == [1, 3]
    assert result.completion.tolist() == [3, 3]
    separate = simulate(source, find_policy("fcfs"), Seconds(model, token_budget=4, separate_prefill=True))
    assert separate.completion.tolist() == [4, 4]


class Scripted(Policy):
    """Does what a list says, iteration by iteration, then nothing."""

    name = "scripted"

    def __init__(self, *decisions):
        self.decisions = decisions

    def decide(self, view):
        """The next entry."""
        return self.decisions[view.iteration] if view.iteration < len(self.decisions) else None


SMALL = Instance(10, [2, 2, 8], [4, 4, 1], [0, 0, 3])


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([[2]], "policy 'scripted', round 0: starts request 2, which has not arrived"),
        ([[7]], "starts request 7, which does not exist"),
        ([[-1]], "starts request -1, which does not exist"),
        ([[0, 0]], "starts request 0 twice"),
        ([[0], [0]], "policy 'scripted', round 1: starts request 0, which runs already"),
        ([[0], None, None, [1, 2]], "round 3: starts request 2, which needs 18 tokens in all; the capacity is 10"),
        ([[0], None, None, None, [0]], "round 4: starts request 0, which is complete"),
        ([["0"]], "starts '0', which is no request"),
        ([[True]], "starts True, which is no request"),
        ([3], "decide returned 3, which is no decision"),
        (["01"], "decide returned '01'"),
        ([Decision(evict=[0])], "evicts request 0, which does not run"),
        ([[0], Decision(advance=[1])], "advances request 1, which does not run"),
        ([Decision(start=5)], "5 is no collection"),
        ([[0], Decision(advance=[], until=1)], "wants to stay idle until 1, which is not later"),
        ([[0]], "stays idle for ever; request 1 is not complete"),
    ],
)
def test_bad_decisions_are_named(decisions, message):
    """An error of a policy's author names policy, round and request, and never becomes a wrong figure."""
    with pytest.raises(PolicyError, match=message.replace("(", r"\(")):
        simulate(SMALL, Scripted(*decisions))


class Deciding:
    """Decides by the function that it is made with."""

    name = "deciding"

    def __init__(self, function):
        self.function = function

    def decide(self, view):
        return self.function(view)


@pytest.mark.parametrize(
    "field", ["capacity", "token_budget", "max_running", "separate_prefill", "overflowed", "ended", "room", "time"]
)
def test_views_are_read_only(field):
    """A policy that wrote a larger capacity into its view would hold more than M, and nobody would notice."""
    with pytest.raises(AttributeError):
        simulate(SMALL, Deciding(lambda view: setattr(view, field, 1000)))


@pytest.mark.parametrize("field", ["index", "arrival", "prompt", "generated", "predicted"])
def test_visible_requests_are_read_only(field):
    """A request that was renumbered could be started before it arrives."""
    with pytest.raises(AttributeError):
        simulate(SMALL, Deciding(lambda view: [setattr(request, field, 0) for request in view.waiting]))


def test_errors_inside_a_generator_say_where():
    """A decide that yields runs while it is read: its error needs the policy and the round as any other."""

    def decide(view):
        yield from view.waiting
        raise KeyError("mine")

    with pytest.raises(KeyError) as caught:
        simulate(SMALL, Deciding(decide))
    assert caught.value.__notes__ == ["in decide of policy 'deciding', round 0"]


def test_predictions_that_return_nonsense():
    """An object of one's own may predict; what is no prediction is named as such."""

    class Nonsense:
        def predict(self, output, longest, seed):
            return output

    with pytest.raises(InputError, match=r"predict must return Predicted\(point, low, high\), got"):
        simulate(SMALL, "fcfs", predictions=Nonsense())


def test_exceptions_of_a_policy_say_where():
    """A policy's own exception passes through with policy and round noted on it."""

    class Broken:
        def decide(self, view):
            return 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        simulate(SMALL, Broken())
    assert caught.value.__notes__ == ["in decide of policy 'Broken', round 0"]


def test_frozen_requests_keep_their_memory():
    """A request that stands still makes no progress and holds what it held; the run is then no schedule."""
    decisions = [[0], Decision(start=[1], advance=[]), None, None, None, [2]]
    result = simulate(Instance(12, [2, 2, 8], [4, 4, 1], [0, 0, 3]), Scripted(*decisions))
    assert result.completion.tolist() == [5, 5, 6]
    assert result.mean_memory == (3 + (3 + 3) + 8 + 10 + 12 + 9) / 6
    assert not result.consecutive
    with pytest.raises(InputError, match="schedule"):
        _ = result.schedule


def test_idle_until():
    """A policy may let the worker stand empty until a time of its own; arrivals end the wait."""

    class Late:
        name = "late"

        def decide(self, view):
            if view.time < 7 and not view.running:
                return Decision(until=7)
            return [next(iter(view.waiting))] if view.waiting and not view.running else None

    result = simulate(SMALL, Late())
    assert result.start.tolist() == [7, 11, 15]
    assert result.idle == 7


def test_the_end_is_told_to_who_would_wait_for_ever():
    """In seconds an idle policy is asked once more with `ended` set, so that it can flush."""

    class Pairs:
        name = "pairs"

        def decide(self, view):
            if len(view.waiting) >= 2 or view.ended:
                return list(view.waiting)
            return None if view.running else []

    source = Traffic(100, [5, 5, 5], [2, 2, 2], [0.0, 1.0, 2.0])
    result = simulate(source, Pairs(), Seconds(TIME))
    assert result.finished
    assert result.start[0] == result.start[1] == 1.0
    assert result.start[2] == 2.0


def test_overflow_goes_to_the_policy():
    """Evicted requests are those the policy names; they wait again, and their work is done anew."""

    class First:
        name = "first"

        def decide(self, view):
            return [] if view.overflowed or view.room < 6 else list(view.waiting)

        def overflow(self, view):
            return [next(iter(view.running))]

    instance = Instance(10, [2, 2], [6, 6])
    result = simulate(instance, First(), predictions=Unknown())
    assert result.evictions.tolist() == [1, 0]
    assert result.overflows == 1
    assert result.completion[1] == 6
    assert result.generated_tokens == 12 + 3

    class Stubborn(First):
        def overflow(self, view):
            return []

    with pytest.raises(PolicyError, match="evicts nothing though 12 tokens exceed the capacity 10"):
        simulate(instance, Stubborn())


def test_the_view_hides_outputs_and_the_future():
    """What a policy can reach: arrived requests and predictions only."""
    seen = []

    class Curious:
        name = "curious"

        def decide(self, view):
            seen.append((view.time, [(r.index, r.predicted, r.low, r.high) for r in view.waiting]))
            return list(view.waiting)[:1] if not view.running else []

    simulate(Instance(20, [1, 2], [3, 4], [0, 2]), Curious(), predictions=Over(2))
    assert seen[0] == (0, [(0, 6, 1, 6)])
    assert seen[2] == (2, [(1, 8, 1, 8)])


def test_steps_show_what_happens_between():
    """`Simulation.step` is for programs that look in between (an adversary, a teaching notebook)."""
    run = Simulation(SMALL, find_policy("fcfs"), Rounds(), Exact(), 0)
    run.prepare_view()
    memory = []
    while run.step():
        memory.append(run.view.memory)
    assert memory == [3, 4, 8, 4, 5, 0, 0]
    assert run.result().finished


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ([4, 9, 1], "point of request 1 is 9, not within 1..8"),
        ([0, 4, 1], "point of request 0 is 0"),
        ([4, 4], "one for each of the 3 requests"),
        ([4.5, 4.0, 1.0], "must be integers"),
    ],
)
def test_predictions_of_ones_own_are_checked(point, message):
    """A length that could never run would keep its request waiting for ever."""

    class Own:
        def predict(self, output, longest, seed):
            return Predicted(np.array(point), None, None)

    with pytest.raises(InputError, match=message):
        simulate(SMALL, "mc-sf", predictions=Own())


def test_names_stand_for_objects():
    """In a notebook texts are enough, and what comes back fits on a line."""
    result = simulate(SMALL, "vllm-fcfs:watermark=0.2", predictions="none")
    assert differences(result, simulate(SMALL, find_policy("vllm-fcfs:watermark=0.2"), predictions=Unknown())) == []
    assert repr(result) == "<vllm-fcfs on 'instance': 3 of 3 requests, mean latency 6 rounds>"  # 4, 8, 6
    with pytest.raises(ValueError, match="read-only"):
        result.completion[0] = 0


def test_interruption_keeps_what_there_is():
    """Ctrl-C in the middle gives a partial result that says so."""

    class Slow(Policy):
        name = "slow"

        def decide(self, view):
            if view.iteration == 2:
                raise KeyboardInterrupt
            return list(view.waiting)

    result = simulate(Instance(100, [1, 1], [1, 9]), Slow())
    assert result.stopped_by == "interrupted"
    assert result.done == 1
    assert result.summary()["completed"] == 1
    assert result.as_dict()["per_request"]["completion"] == [1, None]


def test_an_overridden_method_is_what_runs():
    """A class that changes one method of a compiled policy must not silently get the compiled original."""

    class OneAtATime(type(find_policy("mc-sf"))):
        def decide(self, view):
            return [] if view.running else list(super().decide(view))[:1]

    class Renamed(type(find_policy("alpha-greedy"))):
        name = "renamed"

    instance = Instance(50, [1] * 4, [3] * 4)
    assert simulate(instance, OneAtATime()).start.tolist() == [0, 3, 6, 9]
    assert is_its_rule(Renamed())
    assert not is_its_rule(OneAtATime())
    patched = find_policy("fcfs")
    patched.decide = lambda view: None if view.running else list(view.waiting)[-1:]
    assert simulate(instance, patched).start.tolist() == [9, 6, 3, 0]


def test_seeds_decide_everything():
    """The same seed gives the same figures, another seed others (random clearing and noisy predictions)."""
    rng = np.random.default_rng(3)
    instance = Instance(60, rng.integers(0, 10, 60), rng.integers(1, 40, 60), rng.integers(0, 60, 60))
    policy = find_policy("alpha-beta-clearing")
    runs = [simulate(instance, policy, seed=seed) for seed in (1, 1, 2)]
    assert differences(runs[0], runs[1]) == []
    assert differences(runs[0], runs[2]) != []
    noisy = [simulate(instance, find_policy("mc-sf"), predictions=Noisy(0.5), seed=seed) for seed in (1, 1, 2)]
    assert differences(noisy[0], noisy[1]) == []
    assert differences(noisy[0], noisy[2]) != []


def test_sources_and_clocks_must_go_together():
    """Rounds are no seconds: mixing them is refused, not converted silently."""
    traffic = Traffic.from_instance(SMALL, 0.1)
    with pytest.raises(InputError, match="arrivals in seconds"):
        simulate(SMALL, find_policy("fcfs"), Seconds(TIME))
    with pytest.raises(InputError, match="needs an Instance"):
        simulate(traffic, find_policy("fcfs"))
    with pytest.raises(InputError, match="needs predicted outputs"):
        simulate(SMALL, find_policy("mc-sf"), predictions=Unknown())
    with pytest.raises(ArgumentError, match="policy must be an object with a method decide"):
        simulate(SMALL, object())
    with pytest.raises(ArgumentError, match="policy must be an object with a method decide"):
        simulate(SMALL, Scripted)
    with pytest.raises(ArgumentError, match="clock must be Rounds"):
        simulate(traffic, find_policy("fcfs"), TIME)
    with pytest.raises(ArgumentError, match="source must be an Instance or Traffic"):
        simulate("small.json", find_policy("fcfs"))
    with pytest.raises(ArgumentError, match="predictions must be"):
        simulate(SMALL, find_policy("fcfs"), predictions=1.5)
    with pytest.raises(ArgumentError, match="seed must be an integer"):
        simulate(SMALL, find_policy("fcfs"), seed=0.5)
    with pytest.raises(InputError, match="request 1: arrival nan"):
        Traffic(10, [1, 1], [1, 1], [0.0, float("nan")])
    with pytest.raises(InputError, match="request 0: arrival -1"):
        Traffic(10, [1, 1], [1, 1], [-1.0, 0.0])
    with pytest.raises(InputError, match="rounds have no length"):
        simulate(SMALL, find_policy("fcfs")).energy_j(PowerModel(1, 2))
