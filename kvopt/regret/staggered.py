"""``staggered``: admission that reserves the memory of a periodic plan of starts, so that requests stay out of step.

Look-ahead greedy admission synchronises: whatever starts in one round grows, and ends, together. With a backlog of
one type its number x_t of starts obeys, near the even flow, ``sum_j x_{t-j} (s + 1 + j) = M`` over the ages j. These
coefficients increase, so all roots of the characteristic polynomial lie outside the unit circle (Enestroem and
Kakeya): the even flow is a fixed point that greedy admission leaves (docs/regret.md). Here a plan
(`kvopt.regret.plans`) fixes for each round how many requests of each type may start whatever happens; the memory of
its *future* starts is kept free, and only what is left is given away by look-ahead, shortest output first.

Two properties, by induction over the rounds: running requests and all future planned starts together never exceed
the capacity, so a planned start always fits; and in every round at least ``min(waiting, planned)`` requests of each
type start. Each type's queue is therefore never longer than that of a server of its own that takes the planned
number each round: with stationary ergodic arrivals the policy is stable at every rate below the plan's.
"""

from __future__ import annotations

import numba
import numpy as np

from kvopt.errors import InputError
from kvopt.model import Instance, IntArray
from kvopt.regret.plans import StartPlan


def staggered_schedule(instance: Instance, plan: StartPlan) -> IntArray:
    """Start rounds of staggered admission: non-anticipative, outputs known at arrival.

    Within a type the request that arrived first starts first.

    Parameters
    ----------
    instance : Instance
        All of whose requests are of types of the plan's mix, at its capacity.
    plan : StartPlan

    Returns
    -------
    int64 array of shape (n,)
        A feasible schedule. Time O(n + rounds * K * max output), whatever the capacity.

    Raises
    ------
    InputError
        For another capacity, a request of no type of the mix, or a waiting type that the plan never starts.

    Examples
    --------
    The optimum of this backlog has total latency 25; shortest-first, which starts three at once, needs 27.

    >>> from kvopt.regret.mix import Mix
    >>> from kvopt.regret.plans import even_plan
    >>> plan = even_plan(Mix(9, [1], [3], [1]))
    >>> staggered_schedule(Instance(9, [1] * 5, [3] * 5), plan).tolist()
    [0, 1, 2, 3, 4]
    """
    mix = plan.mix
    if instance.capacity != mix.capacity:
        raise InputError(f"a plan for capacity {mix.capacity} at capacity {instance.capacity}")
    number = {lengths: k for k, lengths in enumerate(zip(mix.prompt, mix.output, strict=True))}
    kind = np.empty(instance.n, np.int64)
    for i, lengths in enumerate(zip(instance.prompt.tolist(), instance.output.tolist(), strict=True)):
        if lengths not in number:
            raise InputError(f"request {i}: prompt {lengths[0]} and output {lengths[1]} are no type of the plan's mix")
        kind[i] = number[lengths]
    by_arrival = np.argsort(instance.arrival, kind="stable")
    members = [by_arrival[kind[by_arrival] == k] for k in range(len(mix))]
    if any(len(requests) and not plan.quota[:, k].any() for k, requests in enumerate(members)):
        raise InputError("a type of the instance is never started by the plan")
    prompt, output = mix.columns
    return _staggered(
        mix.capacity,
        prompt,
        output,
        np.lexsort((prompt, output)),
        plan.quota,
        plan.memory,
        instance.arrival,
        np.concatenate(members),
        np.cumsum([0, *(len(requests) for requests in members)]),
    )


@numba.njit(cache=True, nogil=True)
def _staggered(capacity, prompt, output, order, quota, memory, arrival, members, first):
    """`members[first[k]:first[k+1]]` are the requests of type k by arrival."""
    types, period = len(prompt), len(quota)
    window = output.max()
    starts = np.empty(len(members), np.int64)
    head, tail = first[:-1].copy(), first[:-1].copy()
    # held[r % window]: tokens in round r of the running requests and of all planned starts from now on.
    held = np.zeros(window, np.int64)
    for r in range(window):
        for k in range(types):
            for age in range(min(output[k], r + 1)):
                held[r] += quota[(r - age) % period, k] * (prompt[k] + 1 + age)
    left = len(members)
    t = 0
    while left > 0:
        for k in range(types):
            while tail[k] < first[k + 1] and arrival[members[tail[k]]] <= t:
                tail[k] += 1
            planned = quota[t % period, k]
            taken = min(planned, tail[k] - head[k])
            for _ in range(taken):
                starts[members[head[k]]] = t
                head[k] += 1
            left -= taken
            if taken < planned:
                for age in range(output[k]):
                    held[(t + age) % window] -= (planned - taken) * (prompt[k] + 1 + age)
        for place in range(types):
            k = order[place]
            more = tail[k] - head[k]
            for age in range(output[k]):
                if more == 0:
                    break
                more = min(more, (capacity - held[(t + age) % window]) // (prompt[k] + 1 + age))
            if more > 0:
                for age in range(output[k]):
                    held[(t + age) % window] += more * (prompt[k] + 1 + age)
                for _ in range(more):
                    starts[members[head[k]]] = t
                    head[k] += 1
                left -= more
        held[t % window] = memory[(t + window) % period]  # its planned starts all lie after round t
        t += 1
    return starts
