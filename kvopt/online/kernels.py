"""The mechanics of batches, compiled: one iteration at a time, and whole runs of the list policies.

Every simulation, of a compiled rule or of a policy in Python, goes through `plan` and `apply`, so that both
give the same numbers to the last bit. A request is *fresh* until its prompt is processed. At rest it holds
prompt + generated tokens (the prompt's memory is taken at its start); in an iteration it also holds the token it
then generates. Time per iteration: O(running requests).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from kvopt.model import FloatArray, IntArray

#: Status of a request.
ABSENT, WAITING, RUNNING, COMPLETED = 0, 1, 2, 3

#: Places of `State.limits`: capacity; iterations of a prompt without a token; token budget and most running (0: none).
CAPACITY, SEPARATE, BUDGET, MOST_RUNNING = 0, 1, 2, 3

#: Places of `State.counts`.
(
    N_RUNNING,  # requests running
    N_ARRIVED,
    N_COMPLETED,
    N_QUEUED,  # size of the heap of waiting requests (compiled rules only)
    N_SORTED,  # size of `by_end`
    ITERATIONS,
    HELD,  # tokens at rest
    NEED,  # tokens in the planned iteration
    ACTIVE,  # requests that take part in it
    PREFILL,  # prompt tokens processed in it
    DECODES,  # requests that decode in it
    KV,  # tokens they hold
    PEAK,
    OVERFLOWS,
    EVICTIONS,
    FRUITLESS,  # overflows since a request last got further than ever before
    DRAWS,  # random numbers used
    PREFILLED,  # prompt tokens processed in all
    GENERATED,  # tokens generated in all
    COUNTS,
) = range(20)

#: Places of `State.sums`: clock; time of all iterations; time without; integral of the tokens held.
NOW, BUSY, IDLE, TOKEN_TIME = 0, 1, 2, 3

#: How a run of a rule ended.
DONE, MORE, STUCK = 0, 1, 2

#: Admission of a rule.
LOOK_AHEAD, THRESHOLD = 0, 1
#: What a rule evicts on overflow.
LAST_STARTED, EVERYTHING, AT_RANDOM, LEAST_PROGRESS = 0, 1, 2, 3

#: Order of the waiting requests: by a fixed key, by their bound, by volume at their bound.
BY_ARRIVAL, BY_BOUND, BY_VOLUME = 0, 1, 2

#: Overflows in a row without a token that is new after which a policy is taken to go round in circles.
MOST_FRUITLESS = 1000


class State(NamedTuple):
    """A simulation: columns with one entry for each request, and the totals."""

    prompt: IntArray
    output: IntArray
    arrival: FloatArray
    by_arrival: IntArray
    status: IntArray
    left: IntArray  # prompt tokens still to process
    fresh: IntArray
    generated: IntArray
    seen: IntArray  # most tokens ever generated: evictions do not take this knowledge away
    frozen: IntArray
    chunk: IntArray  # tokens in the planned iteration
    start: FloatArray
    start_iteration: IntArray
    first: FloatArray
    completion: FloatArray
    evictions: IntArray
    running: IntArray  # in order of admission
    limits: IntArray
    counts: IntArray
    coefficients: FloatArray
    sums: FloatArray
    # for compiled rules
    key: IntArray
    bound: IntArray
    heap: IntArray
    by_end: IntArray
    end: IntArray
    base: IntArray


def new_state(
    prompt: IntArray, output: IntArray, arrival: FloatArray, limits: IntArray, coefficients: FloatArray
) -> State:
    """A simulation before its first iteration."""
    n = len(output)

    def zeros() -> IntArray:
        return np.zeros(n, np.int64)

    def missing() -> FloatArray:
        return np.full(n, np.nan)

    return State(
        prompt=np.array(prompt, np.int64),
        output=np.array(output, np.int64),
        arrival=np.array(arrival, np.float64),
        by_arrival=np.argsort(arrival, kind="stable"),
        status=zeros(),
        left=np.array(prompt, np.int64),
        fresh=np.ones(n, np.int64),
        generated=zeros(),
        seen=zeros(),
        frozen=zeros(),
        chunk=zeros(),
        start=missing(),
        start_iteration=zeros(),
        first=missing(),
        completion=missing(),
        evictions=zeros(),
        running=zeros(),
        limits=limits,
        counts=np.zeros(COUNTS, np.int64),
        coefficients=coefficients,
        sums=np.zeros(4),
        key=zeros(),
        bound=zeros(),
        heap=zeros(),
        by_end=zeros(),
        end=zeros(),
        base=zeros(),
    )


@numba.njit(cache=True, nogil=True)
def start(state, i):
    """Put a waiting request into the running set."""
    counts = state.counts
    state.running[counts[N_RUNNING]] = i
    counts[N_RUNNING] += 1
    counts[HELD] += state.prompt[i]
    state.status[i] = RUNNING
    state.start[i] = state.sums[NOW]
    state.start_iteration[i] = counts[ITERATIONS]


@numba.njit(cache=True, nogil=True)
def evict(state, i):
    """Take a running request out: its cache is dropped, it waits again and starts from nothing."""
    counts = state.counts
    place = 0
    while state.running[place] != i:
        place += 1
    counts[N_RUNNING] -= 1
    for k in range(place, counts[N_RUNNING]):
        state.running[k] = state.running[k + 1]
    counts[HELD] -= state.prompt[i] + state.generated[i]
    counts[EVICTIONS] += 1
    state.evictions[i] += 1
    state.status[i] = WAITING
    state.left[i] = state.prompt[i]
    state.fresh[i] = 1
    state.generated[i] = 0
    state.start[i] = np.nan


@numba.njit(cache=True, nogil=True)
def plan(state):
    """Decide what each running request does in the next iteration; the tokens held in it."""
    counts, limits = state.counts, state.limits
    budget = limits[BUDGET] if limits[BUDGET] > 0 else np.int64(2**62)
    need = counts[HELD]
    active = prefill = decodes = kv = 0
    for place in range(counts[N_RUNNING]):
        i = state.running[place]
        state.chunk[i] = -1
        if not state.frozen[i] and not state.fresh[i] and budget > 0:
            state.chunk[i] = 1
            budget -= 1
            decodes += 1
            need += 1
            kv += state.prompt[i] + state.generated[i] + 1
    active = decodes
    for place in range(counts[N_RUNNING]):
        i = state.running[place]
        if state.fresh[i] and not state.frozen[i] and (budget > 0 or state.left[i] == 0):
            part = min(budget, state.left[i])
            state.chunk[i] = part
            budget -= part
            prefill += part
            active += 1
            if part == state.left[i]:
                need += 1 - limits[SEPARATE]
    counts[NEED], counts[ACTIVE], counts[PREFILL], counts[DECODES], counts[KV] = need, active, prefill, decodes, kv
    return need


@numba.njit(cache=True, nogil=True)
def apply(state):
    """Run the planned iteration."""
    counts, sums, cost = state.counts, state.sums, state.coefficients
    time = cost[0] + cost[1] * counts[PREFILL] + cost[2] * counts[DECODES] + cost[3] * counts[KV]
    now = sums[NOW] + time
    kept = 0
    for place in range(counts[N_RUNNING]):
        i = state.running[place]
        part = state.chunk[i]
        token = 0
        if part >= 0:
            if state.fresh[i]:
                state.left[i] -= part
                counts[PREFILLED] += part
                if state.left[i] == 0:
                    state.fresh[i] = 0
                    token = 1 - state.limits[SEPARATE]
            else:
                token = 1
        if token:
            state.generated[i] += 1
            counts[HELD] += 1
            counts[GENERATED] += 1
            if state.generated[i] > state.seen[i]:
                state.seen[i] = state.generated[i]
                counts[FRUITLESS] = 0
                if state.seen[i] == 1:
                    state.first[i] = now
            if state.generated[i] == state.output[i]:
                state.completion[i] = now
                state.status[i] = COMPLETED
                counts[HELD] -= state.prompt[i] + state.output[i]
                counts[N_COMPLETED] += 1
                continue
        state.running[kept] = i
        kept += 1
    counts[N_RUNNING] = kept
    counts[ITERATIONS] += 1
    counts[PEAK] = max(counts[PEAK], counts[NEED])
    sums[TOKEN_TIME] += counts[NEED] * time
    sums[BUSY] += time
    sums[NOW] = now


@numba.njit(cache=True, nogil=True)
def stay_idle(state, until):
    """Let time pass without an iteration; what is held stays held."""
    sums = state.sums
    sums[IDLE] += until - sums[NOW]
    sums[TOKEN_TIME] += (until - sums[NOW]) * state.counts[HELD]
    sums[NOW] = until


# ---------------------------------------------------------------- compiled rules


@numba.njit(cache=True, nogil=True)
def before(state, i, j):
    """Whether request i comes before j in the order of the rule."""
    return state.key[i] < state.key[j] or (state.key[i] == state.key[j] and i < j)


@numba.njit(cache=True, nogil=True)
def push(state, i):
    """Add a waiting request to the heap."""
    heap, k = state.heap, state.counts[N_QUEUED]
    state.counts[N_QUEUED] += 1
    while k > 0 and before(state, i, heap[(k - 1) // 2]):
        heap[k] = heap[(k - 1) // 2]
        k = (k - 1) // 2
    heap[k] = i


@numba.njit(cache=True, nogil=True)
def pop(state):
    """Take the first waiting request off the heap."""
    heap = state.heap
    state.counts[N_QUEUED] -= 1
    size = state.counts[N_QUEUED]
    i, k = heap[size], 0
    while True:
        child = 2 * k + 1
        if child >= size:
            break
        if child + 1 < size and before(state, heap[child + 1], heap[child]):
            child += 1
        if before(state, i, heap[child]):
            break
        heap[k] = heap[child]
        k = child
    heap[k] = i


@numba.njit(cache=True, nogil=True)
def fits_ahead(state, i):
    """Whether a request, started now, fits beside the running ones until all predicted completions."""
    counts, capacity, separate = state.counts, state.limits[CAPACITY], state.limits[SEPARATE]
    size = counts[N_SORTED]
    if state.limits[BUDGET] > 0:
        # Chunks shift growth in time, so room for all peaks at once is asked for.
        peaks = state.prompt[i] + state.bound[i]
        for k in range(size):
            j = state.by_end[k]
            peaks += state.prompt[j] + max(state.bound[j], state.seen[j] + 1)
        return peaks <= capacity
    now = counts[ITERATIONS]
    base = state.prompt[i] + 1 - separate - now
    last = now + state.bound[i] + separate - 1
    held, number = base, 1
    checked = False
    for k in range(size - 1, -1, -1):
        j = state.by_end[k]
        ends = max(state.end[j], now)
        if ends < last and not checked:
            if held + number * last > capacity:
                return False
            checked = True
        held += state.base[j]
        number += 1
        if ends <= last:
            checked = True
            if held + number * ends > capacity:
                return False
    return checked or held + number * last <= capacity


@numba.njit(cache=True, nogil=True)
def note_start(state, i):
    """Sort a started request in by its predicted last iteration."""
    counts = state.counts
    now, separate = counts[ITERATIONS], state.limits[SEPARATE]
    state.base[i] = state.prompt[i] + 1 - separate - now
    state.end[i] = now + state.bound[i] + separate - 1
    k = counts[N_SORTED]
    counts[N_SORTED] += 1
    while k > 0 and state.end[state.by_end[k - 1]] > state.end[i]:
        state.by_end[k] = state.by_end[k - 1]
        k -= 1
    state.by_end[k] = i


@numba.njit(cache=True, nogil=True)
def forget_ended(state):
    """Drop from `by_end` what does not run any more."""
    kept = 0
    for k in range(state.counts[N_SORTED]):
        i = state.by_end[k]
        if state.status[i] == RUNNING:
            state.by_end[kept] = i
            kept += 1
    state.counts[N_SORTED] = kept


@numba.njit(cache=True, nogil=True)
def uniform(seed, draw):
    """The draw-th number of a stream on [0, 1): splitmix64 (Steele, Lea, Flood, OOPSLA 2014), stateless."""
    z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(draw) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) / 9007199254740992.0


@numba.njit(cache=True, nogil=True)
def set_key(state, i, order):
    """Key of a request from its bound."""
    if order == BY_BOUND:
        state.key[i] = state.bound[i]
    elif order == BY_VOLUME:
        state.key[i] = state.prompt[i] * state.bound[i] + state.bound[i] * (state.bound[i] + 1) // 2


@numba.njit(cache=True, nogil=True)
def requeue(state, i, order):
    """Evict a request and let it wait by what is now known of its output."""
    evict(state, i)
    state.bound[i] = max(state.bound[i], state.seen[i] + 1)
    set_key(state, i, order)
    push(state, i)


@numba.njit(cache=True, nogil=True)
def make_room(state, order, overflow, beta, seed):
    """Evict by the rule until the next iteration fits."""
    counts, capacity = state.counts, state.limits[CAPACITY]
    counts[OVERFLOWS] += 1
    counts[FRUITLESS] += 1
    while counts[NEED] > capacity:
        if overflow == LAST_STARTED:
            requeue(state, state.running[counts[N_RUNNING] - 1], order)
        elif overflow == EVERYTHING:
            while counts[N_RUNNING] > 0:
                requeue(state, state.running[counts[N_RUNNING] - 1], order)
        elif overflow == AT_RANDOM:
            place = 0
            while place < counts[N_RUNNING]:
                counts[DRAWS] += 1
                if uniform(seed, counts[DRAWS]) < beta:
                    requeue(state, state.running[place], order)
                else:
                    place += 1
        else:
            i = state.running[0]
            for place in range(1, counts[N_RUNNING]):
                j = state.running[place]
                if state.generated[j] < state.generated[i]:
                    i = j
            requeue(state, i, order)
        plan(state)
    forget_ended(state)


@numba.njit(cache=True, nogil=True)
def run_rule(state, order, admission, least_free, overflow, beta, seed, iterations):
    """Run a list policy for some iterations.

    Waiting requests are taken by (key, index). LOOK_AHEAD starts the first as long as it fits until all predicted
    completions. THRESHOLD starts it as long as `least_free[0]` tokens are free in the coming iteration before it
    and `least_free[1]` after it; an empty worker takes it in any case. Overflow is handled before; in the same
    iteration nothing is then admitted, unless nothing is left running.
    """
    counts, limits, sums = state.counts, state.limits, state.sums
    n = len(state.output)
    for _ in range(iterations):
        if counts[N_COMPLETED] == n:
            return DONE
        if counts[N_RUNNING] + counts[N_QUEUED] == 0:
            stay_idle(state, max(sums[NOW], state.arrival[state.by_arrival[counts[N_ARRIVED]]]))
        while counts[N_ARRIVED] < n and state.arrival[state.by_arrival[counts[N_ARRIVED]]] <= sums[NOW]:
            i = state.by_arrival[counts[N_ARRIVED]]
            state.status[i] = WAITING
            push(state, i)
            counts[N_ARRIVED] += 1
        need = plan(state)
        overflowed = need > limits[CAPACITY]
        if overflowed:
            make_room(state, order, overflow, beta, seed)
            if counts[FRUITLESS] > MOST_FRUITLESS:
                return STUCK
            need = counts[NEED]
        admitted = False
        token = 1 - limits[SEPARATE]
        may_admit = not overflowed or counts[N_RUNNING] == 0
        while may_admit and counts[N_QUEUED] > 0:
            if limits[MOST_RUNNING] > 0 and counts[N_RUNNING] >= limits[MOST_RUNNING]:
                break
            i = state.heap[0]
            if admission == LOOK_AHEAD:
                if not fits_ahead(state, i):
                    break
            elif counts[N_RUNNING] > 0:
                free = limits[CAPACITY] - need
                if free < least_free[0] or free - state.prompt[i] - token < least_free[1]:
                    break
            pop(state)
            start(state, i)
            if admission == LOOK_AHEAD:
                note_start(state, i)
            need += state.prompt[i] + token
            admitted = True
        if admitted:
            plan(state)
        ended = counts[N_COMPLETED]
        apply(state)
        if counts[N_COMPLETED] > ended:
            forget_ended(state)
    return DONE if counts[N_COMPLETED] == n else MORE
