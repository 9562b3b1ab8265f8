"""Online scheduling: requests arrive over time, and a policy decides before every batch iteration.

A policy is any object with a method ``decide(view)``; this one is shortest-first:

>>> class ShortestFirst:
...     name = "mine"
...
...     def decide(self, view):
...         waiting = sorted(view.waiting, key=lambda request: (request.predicted, request.index))
...         return view.look_ahead().longest_prefix(waiting)
>>> from kvopt import Instance
>>> from kvopt.online import simulate
>>> result = simulate(Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3]), ShortestFirst())
>>> result.total_latency, result.schedule.starts.tolist()
(13, [0, 0, 1, 4])

The call
    ``simulate(source, policy, clock=None, *, predictions=None, seed=0, compiled=True, on_progress=None)``
    returns a `SimulationResult`: columns ``arrival``, ``start``, ``first_token``, ``completion``, ``evictions``,
    derived ``latency``, ``time_to_first_token``, ``time_per_output_token``, ``schedule`` (rounds), ``energy_j``,
    ``summary()``, ``to_dataframe()``, ``as_dict()``.

Clocks
    `Rounds` (default) takes an `Instance`; every iteration is one round. `Seconds(iteration_time, token_budget=None,
    max_running=256, separate_prefill=False)` takes a `Traffic(capacity, prompt, output, arrival_s)`; an
    iteration takes the model's time. ``token_budget`` switches chunked prefill on; ``separate_prefill`` gives the
    prompt an iteration that yields no token (the l' + 1 iterations of the fluid model). On both clocks a
    running request holds ``prompt + generated`` tokens at rest and one more in the iteration that generates it.

View (before each iteration)
    ``time``, ``iteration``, ``capacity``, ``memory`` (held now), ``need`` (in the coming iteration if all running
    requests take part and none starts), ``room`` (capacity - need), ``slots``, ``waiting`` (by arrival),
    ``running`` (by start), ``overflowed``, ``ended``, ``look_ahead()``. A request shows ``index``, ``arrival``,
    ``prompt``, ``predicted``, ``low``, ``high``, ``least``, ``generated``, ``held``, ``fresh``, ``prompt_left``,
    ``evictions``. The true output is not there.

Decision
    A list of requests (or indices) to start, None for nothing, or ``Decision(start, evict, advance, until)``:
    evict resets running requests first; advance names the running requests that take part, the others stand still
    with their memory (None: all); if nobody takes part the worker is idle ``until`` then, at most until the next
    arrival (None: one round, or until the next arrival).

Overflow
    Before `decide`, if the running requests alone do not fit the coming iteration, ``overflow(view)`` names
    requests to evict and is asked again until the rest fits; default: the last started. Evicted requests
    wait again and are recomputed. A decision itself must fit: else `PolicyError`, with policy, time and request.

Requests
    Traces come from `kvopt.io.traces`; `poisson_seconds`, `resampled_seconds`, `poisson_rounds`,
    `bernoulli_rounds` and `resampled_rounds` draw streams. ``predictions`` is one of `Exact()`, `Over(factor)`,
    `Interval(width)`, `Noisy(sigma)`, `Unknown()`, or any object with their method ``predict``.

A policy that keeps state over time forgets it in ``begin(seed)``, called before each simulation.
`Simulation` with its method ``step()`` lets a program look (``.view``) between two iterations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvopt.lazy import lazy_names

if TYPE_CHECKING:
    from kvopt.online.arrivals import (
        bernoulli_rounds,
        poisson_rounds,
        poisson_seconds,
        resampled_rounds,
        resampled_seconds,
    )
    from kvopt.online.clock import Clock, Rounds, Seconds
    from kvopt.online.engine import Simulation, simulate
    from kvopt.online.policy import ListPolicy, Policy, Rule
    from kvopt.online.predictions import Exact, Interval, Noisy, Over, Unknown, find_predictions
    from kvopt.online.result import SimulationResult
    from kvopt.online.traffic import Traffic
    from kvopt.online.view import Decision, LookAhead, View, VisibleRequest

#: Public name -> module; loaded on first use, because the engine takes a moment to load.
_HOMES = {
    "Clock": "clock",
    "Rounds": "clock",
    "Seconds": "clock",
    "ListPolicy": "policy",
    "Policy": "policy",
    "Rule": "policy",
    "Exact": "predictions",
    "Interval": "predictions",
    "Noisy": "predictions",
    "Over": "predictions",
    "Unknown": "predictions",
    "SimulationResult": "result",
    "Simulation": "engine",
    "simulate": "engine",
    "bernoulli_rounds": "arrivals",
    "poisson_rounds": "arrivals",
    "poisson_seconds": "arrivals",
    "resampled_rounds": "arrivals",
    "resampled_seconds": "arrivals",
    "find_predictions": "predictions",
    "Traffic": "traffic",
    "Decision": "view",
    "LookAhead": "view",
    "View": "view",
    "VisibleRequest": "view",
}

__all__ = [
    "Clock",
    "Decision",
    "Exact",
    "Interval",
    "ListPolicy",
    "LookAhead",
    "Noisy",
    "Over",
    "Policy",
    "Rounds",
    "Rule",
    "Seconds",
    "Simulation",
    "SimulationResult",
    "Traffic",
    "Unknown",
    "View",
    "VisibleRequest",
    "bernoulli_rounds",
    "find_predictions",
    "poisson_rounds",
    "poisson_seconds",
    "resampled_rounds",
    "resampled_seconds",
    "simulate",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
