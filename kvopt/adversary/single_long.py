"""The exact optimum of instances with one long request among identical requests of one round.

Given the start p of the long request, a round has room for a known number of the others, and they are
interchangeable and leave after their round: starting as many as are waiting and fit, in every round, is optimal. So
the least value over all p is the optimum. A start later than the round in which the others would be done without
the long request only adds latency.
"""

from __future__ import annotations

import numba
import numpy as np

from kvopt.errors import InputError
from kvopt.model import Instance, IntArray


def optimum(instance: Instance) -> IntArray:
    """Starts of an optimal schedule, shape (n,).

    Parameters
    ----------
    instance : Instance
        One request of any output and n - 1 requests of output 1 and equal prompt, any arrivals.

    Returns
    -------
    int64 array of shape (n,)
        O(P (P + R)) for P rounds until the others are done and R rounds of the long request at most.

    Raises
    ------
    InputError
        If the instance is not of that form.

    Examples
    --------
    >>> inst = Instance.from_rows(8, [(1, 7, 1, 0), (1, 1, 4, 6)])
    >>> starts = optimum(inst)
    >>> int((starts + inst.output - inst.arrival).sum())
    15
    """
    long_ = int(np.argmax(instance.output))
    others = np.delete(np.arange(instance.n), long_)
    if len(others) == 0:
        return instance.arrival.copy()
    if (instance.output[others] != 1).any() or len(set(instance.prompt[others].tolist())) > 1:
        raise InputError("the optimum by enumeration takes one long request and identical requests of one round")
    others = others[np.argsort(instance.arrival[others], kind="stable")]
    each = int(instance.prompt[others[0]]) + 1
    arrived = np.bincount(instance.arrival[others]).astype(np.int64)
    room = instance.capacity // each
    # Without the long request they are done by then.
    last = len(arrived) + -(-len(others) // room)
    prompt, output, arrival = (int(c[long_]) for c in (instance.prompt, instance.output, instance.arrival))
    start = int(_best_start(instance.capacity, each, arrived, prompt, output, arrival, max(last, arrival)))
    starts = np.empty(instance.n, dtype=np.int64)
    starts[long_] = start
    starts[others] = _fill(instance.capacity, each, arrived, prompt, output, start, len(others))
    return starts


@numba.njit(cache=True, nogil=True)
def _room(capacity, each, prompt, output, start, t):
    """How many of the others fit in round t."""
    if start <= t < start + output:
        return (capacity - prompt - (t - start + 1)) // each
    return capacity // each


@numba.njit(cache=True, nogil=True)
def latency(capacity, each, arrived, begin, prompt, output, arrival, start, enough):
    """Least total latency if the long request begins in round `start`; may stop counting at `enough` or above.

    ``arrived[t]`` of the others arrive in round t, none before `begin`, and hold `each` tokens.
    """
    waiting, t = 0, begin
    value = start + output - arrival
    while (t < len(arrived) or waiting > 0) and value < enough:
        if t < len(arrived):
            waiting += arrived[t]
        value += waiting
        waiting -= min(waiting, _room(capacity, each, prompt, output, start, t))
        t += 1
    return value


@numba.njit(cache=True, nogil=True)
def _best_start(capacity, each, arrived, prompt, output, arrival, last):
    """The start of the long request with the least total latency."""
    best, best_start = 2**62, -1
    begin = 0
    while arrived[begin] == 0:
        begin += 1
    for start in range(arrival, last + 1):
        value = latency(capacity, each, arrived, begin, prompt, output, arrival, start, best)
        if value < best:
            best, best_start = value, start
    return best_start


@numba.njit(cache=True, nogil=True)
def _fill(capacity, each, arrived, prompt, output, start, n):
    """Starts of the others, by arrival."""
    starts = np.empty(n, np.int64)
    served, seen, t = 0, 0, 0
    while served < n:
        if t < len(arrived):
            seen += arrived[t]
        for _ in range(min(seen - served, _room(capacity, each, prompt, output, start, t))):
            starts[served] = t
            served += 1
        t += 1
    return starts
