"""Running a policy: the compiled engine for list policies, the same mechanics step by step for any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from kvopt.arguments import whole_number
from kvopt.errors import ArgumentError, InputError, PolicyError
from kvopt.model import Instance, volume
from kvopt.online import kernels
from kvopt.online.clock import Clock, Rounds, Seconds
from kvopt.online.policy import Policy, Rule
from kvopt.online.predictions import Exact, Predicted, Predictions, find_predictions
from kvopt.online.result import SimulationResult
from kvopt.online.traffic import Traffic
from kvopt.online.view import Decision, Named, View, VisibleRequest

#: Called with elapsed_s, completed and requests.
Progress = Callable[[dict[str, Any]], None]

#: Key of a rule -> order of the compiled engine.
ORDERS = {"arrival": kernels.BY_ARRIVAL, "bound": kernels.BY_BOUND, "volume": kernels.BY_VOLUME}
FRUITLESS = f"the policy goes round in circles: {kernels.MOST_FRUITLESS} overflows without a new token"

#: What makes up a policy.
METHODS = ("decide", "overflow", "rule")

#: Iterations between two looks at progress and interruption.
SLICE = 20_000
REPORT_EVERY_S = 0.2
#: The compiled engine takes seeds as 64-bit integers.
MAX_SEED = 2**63 - 1
#: Rounds in a row in which a policy may leave the worker empty while requests wait and none is to come.
MOST_IDLE_ROUNDS = 10_000


def simulate(
    source: Instance | Traffic,
    policy: Any,
    clock: Clock | None = None,
    *,
    predictions: Predictions | str | None = None,
    seed: int = 0,
    compiled: bool = True,
    on_progress: Progress | None = None,
) -> SimulationResult:
    """Run a policy on requests that arrive over time.

    Parameters
    ----------
    source : Instance or Traffic
        Requests with arrival rounds (clock `Rounds`) or arrival times (clock `Seconds`).
    policy : Policy, any object with a method ``decide(view)``, or str
        See `kvopt.online`; a text such as ``"alpha-greedy:alpha=0.25"`` names one of `kvopt.policies.POLICIES`.
    clock : Rounds or Seconds, optional
        Default `Rounds`.
    predictions : Predictions or str, optional
        What the policy is told about outputs, as an object or as a text such as ``"over:1.5"``; default `Exact`.
    seed : int
        Seed of predictions and of the policy's random choices, within 0..2^63 - 1.
    compiled : bool
        Use the compiled form of the policy if it has one; False runs its `decide` (same result, slower).
    on_progress : callable, optional
        Called a few times a second with ``elapsed_s``, ``completed`` and ``requests``.

    Returns
    -------
    SimulationResult
        After Ctrl-C (KeyboardInterrupt) what was measured so far, with ``stopped_by = "interrupted"``.

    Raises
    ------
    InputError
        If an argument is of the wrong kind, source and clock do not go together, or the policy needs predictions and
        there are none.
    PolicyError
        If the policy does what it must not; the message names policy, round or second, and request.

    Examples
    --------
    >>> instance = Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3])
    >>> simulate(instance, "mc-sf").total_latency, simulate(instance, "mc-sf", predictions="over:2").total_latency
    (13, 16)
    """
    if isinstance(policy, str):
        from kvopt.policies import find_policy

        policy = find_policy(policy)
    if isinstance(predictions, str):
        predictions = find_predictions(predictions)
    run = Simulation(source, policy, Rounds() if clock is None else clock, predictions or Exact(), seed)
    rule = policy.rule(source.capacity) if compiled and is_its_rule(policy) else None
    if rule is None:
        run.prepare_view()

        def advance() -> bool:
            return run.step_often(SLICE // 20)
    else:
        run.prepare_rule(rule)

        def advance() -> bool:
            return run.run_rule(rule, SLICE)

    begun = last = time.perf_counter()
    try:
        while advance():
            now = time.perf_counter()
            if on_progress is not None and now - last >= REPORT_EVERY_S:
                last = now
                completed = int(run.state.counts[kernels.N_COMPLETED])
                on_progress({"elapsed_s": now - begun, "completed": completed, "requests": source.n})
    except KeyboardInterrupt:
        run.stopped_by = "interrupted"
    return run.result()


def is_its_rule(policy: Any) -> bool:
    """Whether the compiled form of a policy belongs to its `decide` and `overflow`.

    A class that overrides one of these but inherits `rule` means its own code to be run.
    """
    if not isinstance(policy, Policy):
        return False
    order = type(policy).__mro__
    defined = {name: next(k for k, kind in enumerate(order) if name in vars(kind)) for name in METHODS}
    return defined["rule"] == min(defined.values()) and not any(name in vars(policy) for name in METHODS)


def last_started(view: View) -> Iterable[Named]:
    """The overflow rule of policies that have none."""
    return [view.last_started]


class Simulation:
    """A simulation under way; `simulate` is the usual way in, `step` the way to look in between.

    Parameters
    ----------
    source, policy, clock, predictions, seed
        See `simulate`.
    """

    def __init__(
        self, source: Instance | Traffic, policy: Any, clock: Clock, predictions: Predictions, seed: int
    ) -> None:
        if not isinstance(source, Instance | Traffic):
            raise ArgumentError("source", "must be an Instance or Traffic", source)
        if not callable(getattr(policy, "decide", None)) or isinstance(policy, type):
            raise ArgumentError("policy", "must be an object with a method decide(view)", policy)
        if not isinstance(clock, Rounds | Seconds):
            raise ArgumentError("clock", "must be Rounds() or Seconds(...)", clock)
        if not callable(getattr(predictions, "predict", None)):
            raise ArgumentError("predictions", "must be Exact(), Over(...) or the like", predictions)
        seed = whole_number("seed", seed, 0, MAX_SEED)
        self.source, self.policy, self.clock, self.predictions, self.seed = source, policy, clock, predictions, seed
        self.name = str(getattr(policy, "name", "") or type(policy).__name__)
        limits = np.zeros(4, np.int64)
        limits[kernels.CAPACITY] = source.capacity
        if isinstance(clock, Seconds):
            if not isinstance(source, Traffic):
                raise InputError("the seconds clock needs arrivals in seconds: use Traffic, or Traffic.from_instance")
            arrival = source.arrival_s
            limits[kernels.SEPARATE] = clock.separate_prefill
            limits[kernels.BUDGET] = clock.token_budget or 0
            limits[kernels.MOST_RUNNING] = clock.max_running or 0
            model = clock.iteration_time
            cost = np.array([model.d0_ms, model.prefill_ms, model.decode_ms, model.kv_ms]) / 1000
        else:
            if not isinstance(source, Instance):
                raise InputError("the clock of rounds needs an Instance, whose arrivals are rounds")
            arrival = source.arrival.astype(np.float64)
            cost = np.array([1.0, 0.0, 0.0, 0.0])
        said = predictions.predict(source.output, source.capacity - source.prompt, seed)
        if not isinstance(said, Predicted):
            raise InputError(f"predictions: predict must return Predicted(point, low, high), got {said!r}")
        self.predicted = checked(said, source)
        if self.predicted.point is None and getattr(policy, "needs_prediction", False):
            raise InputError(f"policy {self.name!r} needs predicted outputs, which these predictions do not give")
        self.state = kernels.new_state(source.prompt, source.output, arrival, limits, cost)
        self.state.sums[kernels.NOW] = arrival.min()
        self.stopped_by: str | None = None
        self.paused = False
        self._idle_rounds = 0
        if hasattr(policy, "begin"):
            policy.begin(seed)

    # ------------------------------------------------------------ compiled rules

    def prepare_rule(self, rule: Rule) -> None:
        """Keys and bounds of a compiled rule."""
        state = self.state
        if rule.bound == "predicted":
            state.bound[:] = 1 if self.predicted.point is None else self.predicted.point
        elif rule.bound == "low":
            state.bound[:] = 1 if self.predicted.low is None else self.predicted.low
        else:
            longest = self.source.capacity - state.prompt
            state.bound[:] = longest if self.predicted.high is None else self.predicted.high
        if rule.key == "arrival":
            state.key[state.by_arrival] = np.arange(self.source.n)
        elif rule.key == "volume":
            state.key[:] = volume(state.prompt, state.bound)
        else:
            state.key[:] = state.bound

    def run_rule(self, rule: Rule, iterations: int) -> bool:
        """Run some iterations; whether there are more."""
        ended = kernels.run_rule(
            self.state,
            ORDERS[rule.key],
            rule.admission,
            np.array(rule.least_free, np.int64),
            rule.overflow,
            rule.beta,
            self.seed,
            iterations,
        )
        if ended == kernels.STUCK:
            self.stopped_by = FRUITLESS
        return ended == kernels.MORE

    # ------------------------------------------------------------ policies in Python

    def prepare_view(self) -> None:
        """What a policy in Python sees."""
        self.view = View(self.state, isinstance(self.clock, Rounds))

    @property
    def place(self) -> str:
        """Policy and time, for messages."""
        word = "round" if isinstance(self.clock, Rounds) else "second"
        return f"policy {self.name!r}, {word} {self.view.time:g}"

    def step_often(self, steps: int) -> bool:
        """Take some steps; whether there are more."""
        for _ in range(steps):
            if not self.step():
                return False
        return True

    def step(self) -> bool:
        """Let requests arrive, ask the policy, run an iteration or stay idle; whether there is more to do."""
        state, view = self.state, self.view
        counts, sums = state.counts, state.sums
        if counts[kernels.N_COMPLETED] == self.source.n or self.stopped_by is not None:
            return False
        if not view._running and not view._waiting:
            kernels.stay_idle(state, max(sums[kernels.NOW], self.next_arrival()))
        self.receive()
        kernels.plan(state)
        view._overflowed = False
        if view.need > view.capacity:
            self.make_room()
            if counts[kernels.FRUITLESS] > kernels.MOST_FRUITLESS:
                self.stopped_by = FRUITLESS
                return False
        decision = self.ask()
        evicted = self.named(decision.evict, view._running, "evicts")
        for request in evicted:
            self.evict(request)
        self.freeze(decision.advance)
        for request in self.named(decision.start, view._waiting, "starts"):
            self.start(request)
        need = int(kernels.plan(state))
        if need > view.capacity:
            raise PolicyError(f"{self.place}: {need} tokens in this iteration exceed the capacity {view.capacity}")
        if counts[kernels.ACTIVE] == 0:
            if not evicted:  # otherwise the policy is asked again with the evicted among the waiting
                self.idle(decision.until)
        else:
            kernels.apply(state)
            self._idle_rounds = 0
            if counts[kernels.N_RUNNING] < len(view._running):
                view._running = {i: r for i, r in view._running.items() if state.status[i] == kernels.RUNNING}
        if decision.advance is not None:
            state.frozen[:] = 0
        return True

    def next_arrival(self) -> float:
        """Time of the next arrival, infinite after the last."""
        arrived = int(self.state.counts[kernels.N_ARRIVED])
        if arrived == self.source.n:
            return float("inf")
        return float(self.state.arrival[self.state.by_arrival[arrived]])

    def receive(self) -> None:
        """Make the requests that have arrived by now visible."""
        state, now = self.state, self.state.sums[kernels.NOW]
        rounds = isinstance(self.clock, Rounds)
        point, low, high = self.predicted.point, self.predicted.low, self.predicted.high
        while (arrival := self.next_arrival()) <= now:
            i = int(state.by_arrival[state.counts[kernels.N_ARRIVED]])
            self.view._waiting[i] = VisibleRequest(
                state,
                i,
                int(arrival) if rounds else arrival,
                None if point is None else int(point[i]),
                1 if low is None else int(low[i]),
                self.source.capacity - int(state.prompt[i]) if high is None else int(high[i]),
            )
            state.status[i] = kernels.WAITING
            state.counts[kernels.N_ARRIVED] += 1

    def ask(self) -> Decision:
        """The policy's decision, checked for its form."""
        try:
            answer = self.policy.decide(self.view)
            if isinstance(answer, Iterator):  # a generator decides while it is read
                answer = tuple(answer)
        except Exception as error:
            error.add_note(f"in decide of {self.place}")
            raise
        if answer is None:
            return Decision()
        if isinstance(answer, Decision):
            return answer
        if isinstance(answer, Iterable) and not isinstance(answer, str | bytes):
            return Decision(start=tuple(answer))
        raise PolicyError(f"{self.place}: decide returned {answer!r}, which is no decision and no list of requests")

    def named(self, named: Any, among: dict[int, VisibleRequest], does: str) -> list[VisibleRequest]:
        """The requests that a policy names, each once and each where it must be."""
        if not isinstance(named, Iterable):
            raise PolicyError(f"{self.place}: {named!r} is no collection of requests")
        found: dict[int, VisibleRequest] = {}
        for one in named:
            index = one.index if isinstance(one, VisibleRequest) else one
            if isinstance(index, bool) or not isinstance(index, int | np.integer):
                raise PolicyError(f"{self.place}: {does} {one!r}, which is no request")
            index = int(index)
            if index in found:
                raise PolicyError(f"{self.place}: {does} request {index} twice")
            if index not in among:
                raise PolicyError(f"{self.place}: {does} request {index}, which {self.whereabouts(index)}")
            found[index] = among[index]
        return list(found.values())

    def whereabouts(self, index: int) -> str:
        """What is wrong with a request, for messages."""
        if not 0 <= index < self.source.n:
            return "does not exist"
        words = {
            kernels.ABSENT: "has not arrived",
            kernels.WAITING: "does not run",
            kernels.RUNNING: "runs already",
            kernels.COMPLETED: "is complete",
        }
        return words[int(self.state.status[index])]

    def start(self, request: VisibleRequest) -> None:
        """Start a waiting request, or say why not."""
        view = self.view
        if view.slots < 1:
            raise PolicyError(
                f"{self.place}: starts request {request.index} beside {len(view.running)} running; "
                f"the clock allows {view.max_running}"
            )
        del view._waiting[request.index]
        view._running[request.index] = request
        kernels.start(self.state, request.index)
        need = int(kernels.plan(self.state))
        if need > view.capacity:
            raise PolicyError(
                f"{self.place}: starts request {request.index}, which needs {need} tokens in all; "
                f"the capacity is {view.capacity}"
            )

    def evict(self, request: VisibleRequest) -> None:
        """Reset a running request; it waits again in its place by arrival."""
        view = self.view
        del view._running[request.index]
        kernels.evict(self.state, request.index)
        waiting = {**view._waiting, request.index: request}
        view._waiting = dict(sorted(waiting.items(), key=lambda pair: (pair[1].arrival, pair[0])))

    def make_room(self) -> None:
        """Have the policy evict until the coming iteration fits."""
        state, view = self.state, self.view
        state.counts[kernels.OVERFLOWS] += 1
        state.counts[kernels.FRUITLESS] += 1
        view._overflowed = True
        rule = getattr(self.policy, "overflow", None) or last_started
        while view.need > view.capacity:
            try:
                answer = rule(view)
            except Exception as error:
                error.add_note(f"in overflow of {self.place}")
                raise
            chosen = self.named(answer, view._running, "evicts")
            if not chosen:
                raise PolicyError(
                    f"{self.place}: evicts nothing though {view.need} tokens exceed the capacity {view.capacity}"
                )
            for request in chosen:
                self.evict(request)
            kernels.plan(state)

    def freeze(self, advance: Any) -> None:
        """Let only the named running requests take part."""
        if advance is None:
            return
        chosen = {request.index for request in self.named(advance, self.view._running, "advances")}
        for i in self.view._running:
            self.state.frozen[i] = i not in chosen
        self.paused |= len(chosen) < len(self.view._running)

    def idle(self, until: Any) -> None:
        """Let time pass until the policy is to be asked again."""
        now, arrival = float(self.state.sums[kernels.NOW]), self.next_arrival()
        if until is not None:
            if not isinstance(until, int | float) or not until > now:
                raise PolicyError(f"{self.place}: wants to stay idle until {until!r}, which is not later")
            wake = float(until)
            if isinstance(self.clock, Rounds):
                wake = float(np.ceil(wake))
        else:
            wake = now + 1 if isinstance(self.clock, Rounds) else arrival
        wake = min(wake, arrival)
        if arrival == float("inf"):
            self._idle_rounds += 1
            if wake == float("inf") or self._idle_rounds > MOST_IDLE_ROUNDS:
                if self.view.ended:
                    first = next(iter([*self.view.waiting, *self.view.running]))
                    raise PolicyError(f"{self.place}: stays idle for ever; request {first.index} is not complete")
                self.view._ended, self._idle_rounds = True, 0
                return
        kernels.stay_idle(self.state, wake)

    def result(self) -> SimulationResult:
        """What was measured so far."""
        state, counts, sums = self.state, self.state.counts, self.state.sums
        rounds = isinstance(self.clock, Rounds)
        duration = float(sums[kernels.BUSY] + sums[kernels.IDLE])
        settings: dict[str, Any] = {"predictions": repr(self.predictions)}
        if isinstance(self.clock, Seconds):
            settings |= {
                "iteration_time": asdict(self.clock.iteration_time),
                "token_budget": self.clock.token_budget,
                "max_running": self.clock.max_running,
                "separate_prefill": self.clock.separate_prefill,
            }
        return SimulationResult(
            source=self.source,
            policy=self.name,
            clock="rounds" if rounds else "seconds",
            arrival=kept(state.arrival),
            start=kept(state.start),
            first_token=kept(state.first),
            completion=kept(state.completion),
            evictions=kept(state.evictions),
            stopped_by=self.stopped_by,
            consecutive=not self.paused and not counts[kernels.EVICTIONS],
            iterations=int(counts[kernels.ITERATIONS]),
            overflows=int(counts[kernels.OVERFLOWS]),
            prefill_tokens=int(counts[kernels.PREFILLED]),
            generated_tokens=int(counts[kernels.GENERATED]),
            peak_memory=int(counts[kernels.PEAK]),
            mean_memory=float(sums[kernels.TOKEN_TIME]) / duration if duration else 0.0,
            busy=float(sums[kernels.BUSY]),
            idle=float(sums[kernels.IDLE]),
            overhead=float(state.coefficients[0] * counts[kernels.ITERATIONS]),
            seed=self.seed,
            settings=settings,
        )


def checked(predicted: Predicted, source: Instance | Traffic) -> Predicted:
    """Predictions that are lengths which can run; a request taken to be longer would never be started."""
    longest = source.capacity - source.prompt
    for name in ("point", "low", "high"):
        values = getattr(predicted, name)
        if values is None:
            continue
        if np.shape(values) != (source.n,) or np.asarray(values).dtype.kind not in "iu":
            raise InputError(f"predictions: {name} must be integers, one for each of the {source.n} requests")
        bad = np.flatnonzero((values < 1) | (values > longest))
        if len(bad):
            i = int(bad[0])
            raise InputError(
                f"predictions: {name} of request {i} is {values[i]}, not within 1..{longest[i]} (capacity - prompt)"
            )
    return predicted


def kept(column: Any) -> Any:
    """A read-only copy: the simulation may go on."""
    column = column.copy()
    column.setflags(write=False)
    return column
