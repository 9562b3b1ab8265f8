"""Search certificates followed by kernels: labels, their children, and the rules that exclude these."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kvopt import verify
from kvopt.replay.limits import Unfit, cell_type, require_small
from kvopt.replay.packings import swept
from kvopt.replay.profiles import costs_of, graph_of

#: Columns of a label: what remains (a number in mixed radix), its round, and the rest as in `kvopt.verify.Label`.
KEY, ROUND, LATENCY, COST, DUE, MARK, NODE, LAG, GAIN, PLACE, LOST, RUNS, COLUMNS = range(13)
#: How `follow` ended: all labels followed; no room for more labels, or more children aside; not to be accepted.
DONE, NO_ROOM, NO_ROOM_ASIDE, REFUSED = range(4)
#: Counters kept between calls: next label, bytes of codes read, children kept and set aside, runs of earlier layers.
LABEL, CODE, KEPT, ASIDE, RUN = range(5)
NEVER, UNKNOWN = verify.NEVER, np.iinfo(np.int64).min
#: Most types (bits of a set), most rounds of a table.
MOST_TYPES, MOST_ROUNDS = 62, 1 << 22


class Shapes(NamedTuple):
    """The types: `radix` and `base` of their digit in a key, `smaller` the set of types that fit wherever one fits."""

    prompt: np.ndarray
    output: np.ndarray
    arrival: np.ndarray
    radix: np.ndarray
    base: np.ndarray
    smaller: np.ndarray
    follows: np.ndarray
    capacity: int
    width: int


class Prices(NamedTuple):
    """Prices and their sums before each round; by round and type the cost of a start and the least of later ones."""

    price: np.ndarray
    priced: np.ndarray
    cost: np.ndarray
    least: np.ndarray
    scale: int
    offset: int
    limit: int
    most: int
    rounds: int


class Relaxed(NamedTuple):
    """The relaxation: columns of `kvopt.replay.profiles.Graph`; by number of starts and node the costs to go."""

    present: bool
    class_of: np.ndarray
    reward: np.ndarray
    later: np.ndarray
    profile: np.ndarray
    to: np.ndarray
    moved: np.ndarray
    cost: np.ndarray


class Packed(NamedTuple):
    """The packing: columns of `kvopt.replay.packings.Tree`; rounds that have candidates; sums of prices before each."""

    present: bool
    total: int
    reward: np.ndarray
    unit: int
    next_place: np.ndarray
    to_come: np.ndarray
    first: np.ndarray
    kind: np.ndarray
    child: np.ndarray
    has: np.ndarray
    price_before: np.ndarray
    timed_before: np.ndarray


class Labels(NamedTuple):
    """Labels as rows: the columns above, and the tokens held in the `width` rounds before and after their round."""

    rows: np.ndarray
    cells: np.ndarray


@njit(cache=True, nogil=True, inline="always")
def number_at(codes, at):
    """The number that begins at a byte of the codes, and where the next one begins; -1 where there is none."""
    number, shift = np.int64(0), 0
    while at < len(codes) and shift < 56:
        byte = np.int64(codes[at])
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
    return np.int64(-1), at


@njit(cache=True, nogil=True, inline="always")
def unzigzag(number):
    """0, 1, 2, 3, ... become 0, -1, 1, -2, ..."""
    return -(number >> 1) - 1 if number & 1 else number >> 1


@njit(cache=True, nogil=True)
def read_gaps(codes, at, gaps, kinds):
    """Fill the rows of `gaps` as `kvopt.verify.Replay.read_gap` does; the next byte, or -1 for too few codes."""
    for i in range(len(gaps)):
        k, at = number_at(codes, at)
        x, at = number_at(codes, at)
        if k < 0 or x < 0:
            return -1
        back, q = np.int64(-1), np.int64(0)
        if k >= kinds:
            k -= kinds
            back, at = number_at(codes, at)
            q, at = number_at(codes, at)
            if back < 0 or q < 0:
                return -1
        gaps[i, 0], gaps[i, 1], gaps[i, 2], gaps[i, 3] = k, unzigzag(x), back, unzigzag(q)
    return at


@njit(cache=True, nogil=True, inline="always")
def first_start(first, output, capacity, cells, at, end):
    """The first cell from `at` on, before `end`, where a request fits that holds `first` tokens in its first round;
    `end` if there is none.

    Calls that hand over arrays, and every array taken out of a tuple, cost more than such a search: both are counted.
    So it is part of its callers, which take arrays out once.
    """
    while at < end:
        later = 0
        for j in range(min(output, len(cells) - at) - 1, -1, -1):
            short = cells[at + j] + first + j - capacity
            if short > 0:
                # That cell has room for a run that starts so much later, or that is over by then.
                later = min(short, j + 1)
                break
        if later == 0:
            return at
        at += later
    return end


@njit(cache=True, nogil=True, inline="always")
def fits(first, output, capacity, cells, at):
    """Whether such a request fits from cell `at` on."""
    return first_start(first, output, capacity, cells, at, at + 1) == at


@njit(cache=True, nogil=True, inline="always")
def add_run(first, output, cells, at, sign):
    """Add the tokens of such a run from cell `at` on, or take them away."""
    for j in range(output):
        cells[at + j] += sign * (first + j)


@njit(cache=True, nogil=True, inline="always")
def remaining(radix, base, key, left):
    """Enter how many requests of each type remain."""
    for k in range(len(left)):
        left[k] = key // radix[k] % base[k]


@njit(cache=True, nogil=True, inline="always")
def last_wait(shapes, label, window, gap, left, runs, cells):
    """`kvopt.verify.Replay.last_wait`; `UNKNOWN` if the gap does not hold."""
    width, capacity, t = shapes.width, shapes.capacity, label[ROUND]
    prompt, output, arrival = shapes.prompt, shapes.output, shapes.arrival
    k, x, back, q = gap[0], gap[1], gap[2], gap[3]
    if k >= len(left) or left[k] == 0 or abs(x) > width or abs(q) > width or t + x < arrival[k]:
        return UNKNOWN
    cells[: 2 * width] = window
    cells[2 * width :] = 0
    p, i = t, np.int64(-1)
    if back >= 0:
        run = label[RUNS]
        while back > 0 and run >= 0:
            run, back = runs[run, 2], back - 1
        if run < 0 or runs[run, 1] < t - width:
            return UNKNOWN
        i, p = runs[run, 0], runs[run, 1]
        add_run(prompt[i] + 1, output[i], cells, width + p - t, -1)
    if not fits(prompt[k] + 1, output[k], capacity, cells, width + x):
        return UNKNOWN
    end = x + output[k] - 1
    if i < 0:
        return end
    add_run(prompt[k] + 1, output[k], cells, width + x, 1)
    if t + q < arrival[i] or not fits(prompt[i] + 1, output[i], capacity, cells, width + q):
        return UNKNOWN
    return max(end, q + output[i] - 1, x + q + t - p)


@njit(cache=True, nogil=True, inline="always")
def least_cost(outputs, arrival, least, scale, k, t):
    """Least priced cost of a start of type k from round t on."""
    if t < len(least):
        value = least[t, k]
    else:
        value = scale * (max(t, arrival[k]) + outputs[k] - arrival[k])
    return value


@njit(cache=True, nogil=True, inline="always")
def future(outputs, arrival, least, scale, left, t):
    """Sum over the remaining requests of their least priced cost from round t on."""
    value = np.int64(0)
    for k in range(len(left)):
        value += left[k] * least_cost(outputs, arrival, least, scale, k, t)
    return value


@njit(cache=True, nogil=True, inline="always")
def packing_bound(packed, place, lost):
    """`kvopt.verify.Packing.bound`."""
    return packed.total + lost - packed.to_come[place]


@njit(cache=True, nogil=True, inline="always")
def packing_after(packed, place, t):
    """`kvopt.verify.Packing.after`."""
    return packed.next_place[place] if packed.has[t] else place


@njit(cache=True, nogil=True, inline="always")
def packing_idle(packed, first, end, tokens):
    """`kvopt.verify.Packing.idle`."""
    return tokens * (packed.price_before[end] - packed.price_before[first])


@njit(cache=True, nogil=True, inline="always")
def packing_start(shapes, packed, place, r, k):
    """`kvopt.verify.Packing.start`."""
    end = r + shapes.output[k]
    memory = (shapes.prompt[k] + 1 - r) * (packed.price_before[end] - packed.price_before[r])
    memory += packed.timed_before[end] - packed.timed_before[r]
    gain = packed.unit * (shapes.arrival[k] - end) + packed.reward[k] - memory
    if packed.has[r]:
        for x in range(packed.first[place], packed.first[place + 1]):
            if packed.kind[x] == k:
                return packed.child[x], gain
    return place, gain


@njit(cache=True, nogil=True, inline="always")
def forward(prompt, outputs, arrival, smaller, capacity, width, price, priced, packed, child, left, cells, most):
    """`kvopt.verify.Replay.forward`: move a child on, its `cells` staying where they are; False if a rule drops it."""
    r, mark = child[ROUND], child[MARK]
    there = np.int64(0)
    for k in range(len(left)):
        if left[k]:
            there |= np.int64(1) << k
    after = there >> mark << mark
    for k in range(mark, len(left)):
        if left[k] and not smaller[k] & after:
            if prompt[k] + 1 + cells[width] > capacity:
                break
            if arrival[k] <= r and fits(prompt[k] + 1, outputs[k], capacity, cells, width):
                return True
    end = r + width
    last = full = end
    due = child[DUE]
    if due != NEVER:
        for j in range(width):
            if cells[width + j] >= capacity:
                full = r + j
                break
        if due < full and due < end:
            last = due
    now = last + 1
    for k in range(len(left)):
        if left[k] and not smaller[k] & there:
            at = max(arrival[k], r + 1)
            if at < now:
                offset = r - width
                now = offset + first_start(prompt[k] + 1, outputs[k], capacity, cells, at - offset, now - offset)
    if now > last:
        if last < end:
            return False
        now = end
    cost = child[COST]
    for t in range(r, min(now, len(price))):
        cost += price[t] * (capacity - cells[width + t - r])
    if cost > most:
        return False
    for k in range(len(left)):
        if left[k] and not smaller[k] & there:
            # Starts after this round have been tried.
            output = outputs[k]
            at = r - output + (1 if prompt[k] + output + cells[width] <= capacity else 2)
            at, stop = width - r + max(at, arrival[k]), width - r + min(r, now - output) + 1
            if at < stop and first_start(prompt[k] + 1, output, capacity, cells, at, stop) < stop:
                # A run could end before the next start.
                return False
    if full < now:
        due = NEVER
    if packed.present:
        for t in range(r, now):
            child[PLACE] = packing_after(packed, child[PLACE], t)
            child[LOST] += packing_idle(packed, t, t + 1, capacity - cells[width + t - r])
    if now == end:
        # The worker is empty: on to the next arrival.
        first = NEVER
        for k in range(len(left)):
            if left[k]:
                first = min(first, arrival[k])
        now = max(end, first)
        if due < now:
            return False
        horizon = len(price)
        cost += capacity * (priced[min(now, horizon)] - priced[min(end, horizon)])
        if packed.present:
            child[LOST] += packing_idle(packed, end, now, capacity)
            for t in range(end, now):
                child[PLACE] = packing_after(packed, child[PLACE], t)
    child[ROUND], child[COST], child[DUE], child[MARK] = now, cost, due, 0
    child[LAG] += now - r
    return True


@njit(cache=True, nogil=True, inline="always")
def dominates(arrival, width, rows, memory, better, worse, cells, at, wait, left, left_now):
    """Whether `kvopt.verify.Replay.require_dominance` holds for a label that has been kept, and a child that holds what
    is in `cells` from `at` on."""
    now = rows[better, ROUND] + wait
    if rows[better, KEY] != worse[KEY] or rows[better, LATENCY] + left * now > worse[LATENCY] + left * worse[ROUND]:
        return False
    if wait == 0 and rows[better, MARK] > worse[MARK]:
        return False
    if now < worse[ROUND]:
        for k in range(len(left_now)):
            if left_now[k] and arrival[k] > now:
                return False
    for j in range(wait, width):
        if memory[better, width + j] > cells[at + width + j - wait]:
            return False
    return True


@njit(cache=True, nogil=True)
def follow(shapes, prices, relaxed, packed, labels, gaps, left_after, codes, runs, kept, aside, named, state):
    """Follow the children of labels, from ``state[LABEL]`` on, as `kvopt.verify.next_layer` does.

    Parameters
    ----------
    labels, kept, aside : Labels
        The layer, the next one, and children whose dominator comes later; `named` are its number and wait.
    gaps : int64 array of shape (labels, 4)
        See `kvopt.verify.Gap`.
    left_after : int
        Requests to start after a start.
    runs : int64 array of shape (R, 3)
        Type, round and row before of the runs of all labels so far; those of `kept` begin at ``state[RUN]``.
    state : int64 array of shape (5,)
        Where `LABEL`, `CODE`, `KEPT` and `ASIDE` stand: at a label's beginning.

    Returns
    -------
    status, int
        One of the four; least total latency of a schedule, where `left_after` is 0.
    """
    # Arrays are taken out of tuples once: taking one out is counted each time.
    prompt, outputs, arrival, radix, base, smaller, follows, capacity, width = shapes
    price, priced, start_cost, least, scale, offset, limit, most_packed, rounds = prices
    relaxation, class_of, reward, later, profile_at, to, moved_by, to_go = relaxed
    kept_rows, kept_cells = kept
    aside_rows, aside_cells = aside
    kinds, horizon = len(prompt), len(price)
    cells, window = np.zeros(4 * width, np.int64), np.zeros(2 * width, np.int64)
    child, left = np.zeros(COLUMNS, np.int64), np.zeros(kinds, np.int64)
    best = NEVER
    while state[LABEL] < len(gaps):
        i = state[LABEL]
        label = labels.rows[i]
        window[:] = labels.cells[i]
        if label[ROUND] + 8 * width > rounds:
            return REFUSED, best
        code, new, waiting = state[CODE], state[KEPT], state[ASIDE]
        remaining(radix, base, label[KEY], left)
        wait_most = last_wait(shapes, label, window, gaps[i], left, runs, cells)
        if wait_most == UNKNOWN:
            return REFUSED, best
        profile = profile_at[label[NODE]]
        for _ in range(label[LAG]):
            profile = later[profile]
        t, cost, due, place, lost = label[ROUND], label[COST], label[DUE], label[PLACE], label[LOST]
        for w in range(wait_most + 1):
            r = t + w
            at = width + w
            before = window[at - 1] if at - 1 < 2 * width else 0
            if w > 0:
                # Round r - 1 passes: no later start touches it, its memory is final.
                profile = later[profile]
                if before == capacity:
                    due = NEVER
                elif r - 1 >= due:
                    break
                if r - 1 < horizon:
                    cost += price[r - 1] * (capacity - before)
            ahead = future(outputs, arrival, least, scale, left, r)
            if w > 0:
                if cost + ahead > limit:
                    break
                if packed.present:
                    place = packing_after(packed, place, r - 1)
                    lost += packing_idle(packed, r - 1, r, capacity - before)
                    if packing_bound(packed, place, lost) > most_packed:
                        break
            now = window[at] if at < 2 * width else 0
            for k in range(kinds):
                if not left[k]:
                    continue
                first, output = prompt[k] + 1, outputs[k]
                if first + now > capacity:
                    break  # all others have prompts at least as long
                if arrival[k] > r or (w == 0 and k < label[MARK]) or (follows[k] and left[k - 1]):
                    continue
                if not fits(first, output, capacity, window, at):
                    continue
                child[DUE] = due
                if r > arrival[k] and before + first <= capacity:
                    # Shift rule: it could start a round earlier unless its run, but for the last round,
                    # meets a round that is exactly full.
                    child[DUE] = min(due, r + output - 2)
                    if child[DUE] < r:
                        continue
                alone = output - arrival[k] + r
                child[LATENCY] = label[LATENCY] + alone
                if left_after == 0:
                    if scale * child[LATENCY] + offset <= limit:
                        best = min(best, child[LATENCY])
                    continue
                child[COST] = cost + (start_cost[r, k] if r < horizon else scale * alone)
                child[NODE], child[LAG], child[GAIN] = 0, 0, 0
                if relaxation:
                    c = class_of[k]
                    reached, moved = to[profile, c], moved_by[profile, c]
                    if reached < 0:
                        return REFUSED, best
                    child[NODE], child[LAG], child[GAIN] = reached, -moved, label[GAIN] - reward[k]
                    bound = scale * (child[LATENCY] + left_after * (r + moved)) + child[GAIN] + offset
                    if bound + to_go[left_after, reached] > limit:
                        continue
                child[PLACE], child[LOST] = 0, 0
                if packed.present:
                    child[PLACE], gained = packing_start(shapes, packed, place, r, k)
                    child[LOST] = lost - gained
                    if packing_bound(packed, child[PLACE], child[LOST]) > most_packed:
                        continue
                most = limit - (ahead - least_cost(outputs, arrival, least, scale, k, r))
                if child[COST] > most:
                    continue
                for u in range(len(cells)):
                    cells[u] = window[w + u] if w + u < 2 * width else 0
                add_run(first, output, cells, width, 1)
                child[KEY], child[ROUND], child[MARK] = label[KEY] - radix[k], r, k
                left[k] -= 1
                fine = forward(
                    prompt, outputs, arrival, smaller, capacity, width, price, priced, packed, child, left, cells, most
                )
                fine = fine and child[COST] + future(outputs, arrival, least, scale, left, child[ROUND]) <= limit
                fine = fine and (not packed.present or packing_bound(packed, child[PLACE], child[LOST]) <= most_packed)
                if fine:
                    code_read, code = number_at(codes, code)
                    on = min(child[ROUND] - r, 2 * width)
                    if code_read == 0:
                        if new == len(kept_rows):
                            return NO_ROOM, best
                        child[RUNS] = state[RUN] + new
                        runs[child[RUNS], 0], runs[child[RUNS], 1], runs[child[RUNS], 2] = k, r, label[RUNS]
                        for u in range(COLUMNS):
                            kept_rows[new, u] = child[u]
                        for u in range(2 * width):
                            kept_cells[new, u] = cells[on + u]
                        new += 1
                    else:
                        wait, code = number_at(codes, code)
                        if code_read < 0 or wait < 0 or wait > rounds:
                            return REFUSED, best
                        dominator = new - 1 - unzigzag(code_read - 1)
                        if dominator < 0:
                            return REFUSED, best
                        if dominator < new:
                            if not dominates(
                                arrival, width, kept_rows, kept_cells, dominator, child, cells, on, wait, left_after,
                                left
                            ):  # fmt: skip
                                return REFUSED, best
                        else:
                            if waiting == len(aside_rows):
                                return NO_ROOM_ASIDE, best
                            aside_rows[waiting], aside_cells[waiting] = child, cells[on : on + 2 * width]
                            named[waiting, 0], named[waiting, 1] = dominator, wait
                            waiting += 1
                left[k] += 1
        state[LABEL], state[CODE], state[KEPT], state[ASIDE] = i + 1, code, new, waiting
    return DONE, best


@njit(cache=True, nogil=True)
def all_dominated(shapes, kept, aside, named, state, left_after):
    """Whether the children set aside are dominated by the labels named."""
    left = np.zeros(len(shapes.prompt), np.int64)
    for x in range(state[ASIDE]):
        dominator, child = named[x, 0], aside.rows[x]
        if dominator >= state[KEPT]:
            return False
        remaining(shapes.radix, shapes.base, child[KEY], left)
        cells, wait = aside.cells[x], named[x, 1]
        if not dominates(
            shapes.arrival, shapes.width, kept.rows, kept.cells, dominator, child, cells, 0, wait, left_after, left
        ):
            return False
    return True


@njit(cache=True, nogil=True)
def least_bound(shapes, prices, relaxed, packed, labels, size, left_after):
    """Least total latency of what open labels may become: of each `kvopt.verify.Replay.bound`."""
    left = np.zeros(len(shapes.prompt), np.int64)
    least = NEVER
    for i in range(size):
        label = labels.rows[i]
        remaining(shapes.radix, shapes.base, label[KEY], left)
        ahead = future(shapes.output, shapes.arrival, prices.least, prices.scale, left, label[ROUND])
        best = label[COST] + ahead
        if relaxed.present:
            to_go = relaxed.cost[left_after, label[NODE]]
            waited = prices.scale * (label[LATENCY] + left_after * (label[ROUND] - label[LAG]))
            best = max(best, waited + to_go + label[GAIN] + prices.offset)
        if packed.present:
            best = max(best, packing_bound(packed, label[PLACE], label[LOST]) + prices.offset)
        least = min(least, -((prices.offset - best) // prices.scale))
    return least


class Tables(NamedTuple):
    """All that labels are held against."""

    shapes: Shapes
    prices: Prices
    relaxed: Relaxed
    packed: Packed


def followed(problem: verify.Problem, certificate: Mapping[str, Any]) -> int | None:
    """The bound that the certificate proves, or None if a rule does not hold.

    Raises
    ------
    kvopt.verify.Refusal, Unfit
        The first if something is malformed.
    """
    replay, best, layers = verify.opened(problem, certificate)
    codes = np.frombuffer(verify.unpacked(certificate.get("codes")), np.uint8)
    try:
        tables = tables_of(replay, problem, certificate)
    except OverflowError:
        raise Unfit from None
    if tables is None:
        return None
    labels, size, requests = root(replay, tables.shapes), 1, len(problem.output)
    runs, state = np.empty((1000, 3), np.int64), np.zeros(5, np.int64)
    for left in range(requests - 1, requests - 1 - layers, -1):
        gaps = np.empty((size, 4), np.int64)
        state[LABEL] = state[KEPT] = state[ASIDE] = 0
        state[CODE] = read_gaps(codes, state[CODE], gaps, len(replay.output))
        if state[CODE] < 0:
            return None
        kept, aside, named = room_for(2 * size + 1000, replay), room_for(1000, replay), np.empty((1000, 2), np.int64)
        status = NO_ROOM
        while status in (NO_ROOM, NO_ROOM_ASIDE):
            while len(runs) < state[RUN] + len(kept.rows):
                runs = longer(runs)
            status, least = follow(*tables, labels, gaps, left, codes, runs, kept, aside, named, state)
            best = min(best, int(least))
            if status == NO_ROOM:
                kept = Labels(*map(longer, kept))
            elif status == NO_ROOM_ASIDE:
                aside, named = Labels(*map(longer, aside)), longer(named)
        if status == REFUSED or not all_dominated(tables.shapes, kept, aside, named, state, left):
            return None
        labels, size = kept, int(state[KEPT])
        state[RUN] += size
    if (codes[state[CODE] :] < 128).any():
        return None
    return min(best, int(least_bound(*tables, labels, size, requests - layers)))


def tables_of(replay: verify.Replay, problem: verify.Problem, certificate: Mapping[str, Any]) -> Tables | None:
    """The tables of a certificate; None if a rule does not hold for its relaxation or packing."""
    # Every start is at most so long after the one before, or after the last arrival.
    rounds = max(replay.arrival) + 10 * replay.width * (len(problem.output) + 2)
    if len(replay.output) > MOST_TYPES or rounds > MOST_ROUNDS:
        raise Unfit
    relaxed = relaxed_of(replay, certificate.get("relaxation"))
    packed = packed_of(replay, problem, certificate.get("packing"), rounds)
    if relaxed is None or packed is None:
        return None
    return Tables(shapes_of(replay), prices_of(replay, rounds), relaxed, packed)


def shapes_of(replay: verify.Replay) -> Shapes:
    """`Shapes` of the instance."""
    types = list(zip(replay.output, replay.arrival, strict=True))
    smaller = [sum(1 << j for j in range(k) if types[j][0] <= o and types[j][1] <= a) for k, (o, a) in enumerate(types)]
    base = [number + 1 for number in replay.count]
    require_small(prod(base))
    radix = list(accumulate(base, mul, initial=1))[:-1]
    columns = replay.prompt, replay.output, replay.arrival, radix, base, smaller
    prompt, output, arrival, radices, bases, sets = (np.array(column, np.int64) for column in columns)
    follows = np.array(replay.follows)
    return Shapes(prompt, output, arrival, radices, bases, sets, follows, replay.capacity, replay.width)


def prices_of(replay: verify.Replay, rounds: int) -> Prices:
    """`Prices` of the certificate, and of labels in that many rounds."""
    requests = sum(replay.count)
    of_all = replay.capacity * (1 + replay.priced[-1])
    require_small((requests + 1) * replay.denominator * rounds, (requests + 1) * of_all, replay.most)
    cost, least = (np.array(table, np.int64).T.copy() for table in (replay.cost, replay.least))
    require_small(
        *((requests + 1) * int(f(table)) for f in (np.min, np.max) for table in (cost, least) if table.size), 0
    )
    sums = np.array(replay.prices, np.int64), np.array(replay.priced, np.int64)
    return Prices(*sums, cost, least, replay.denominator, replay.offset, replay.limit, replay.most, rounds)


def relaxed_of(replay: verify.Replay, data: Any) -> Relaxed | None:
    """`Relaxed` of the certificate's relaxation, if it has one; None if a rule does not hold."""
    kinds = len(replay.output)
    if data is None:
        none, table = np.zeros(kinds, np.int64), np.zeros((1, 1), np.int64)
        return Relaxed(False, none, none, none, none, table, table, table)
    replay.relaxation = relaxation = replay.classes(data)
    require_small(*(relaxation.requests * reward for reward in relaxation.reward))
    graph = graph_of(relaxation, replay.capacity)
    cost = costs_of(relaxation, graph, data)
    if cost is None:
        return None
    by_type = np.array(relaxation.class_of, np.int64), np.array(relaxation.reward, np.int64)
    return Relaxed(True, *by_type, graph.later, graph.profile, graph.to, graph.moved, cost)


def packed_of(replay: verify.Replay, problem: verify.Problem, data: Any, rounds: int) -> Packed | None:
    """`Packed` of the certificate's packing, if it has one; None if a rule does not hold."""
    zero = np.zeros(1, np.int64)
    if data is None:
        return Packed(False, 0, zero, 0, *(zero,) * 5, zero > 0, zero, zero)
    packing, requests = replay.pack(problem, data), sum(replay.count)
    tree = swept(packing, problem, followed=True)
    if tree is None:
        return None
    of_all = packing.price_from(0)
    rewards = [packing.scale * reward for reward in packing.rewards]
    largest = max(abs(packing.total), packing.unit * rounds, *rewards, int(tree.to_come.max()))
    require_small((requests + 1) * max(largest, 2 * of_all * max(rounds, replay.capacity)))
    price_before = np.array([of_all - packing.price_from(t) for t in range(rounds + 1)], np.int64)
    timed_before = np.concatenate([[0], (np.arange(rounds) * np.diff(price_before)).cumsum()])
    has = np.zeros(rounds + 1, bool)
    has[[t for t in packing.rounds if t <= rounds]] = True
    columns = tree.next_place, tree.to_come, tree.first, tree.kind, tree.child, has, price_before, timed_before
    return Packed(True, packing.total, np.array(rewards, np.int64), packing.unit, *columns)


def room_for(labels: int, replay: verify.Replay) -> Labels:
    """Room for so many labels."""
    cells = np.zeros((labels, 2 * replay.width), cell_type(replay.capacity, replay.width))
    return Labels(np.empty((labels, COLUMNS), np.int64), cells)


def root(replay: verify.Replay, shapes: Shapes) -> Labels:
    """The label of `kvopt.verify.Replay.root`."""
    label = room_for(1, replay)
    _, _, first, latency, cost, due, mark, _, lag, gain, place, lost, _ = replay.root()
    key = sum(number * int(radix) for number, radix in zip(replay.count, shapes.radix, strict=True))
    label.rows[0] = key, first, latency, cost, due, mark, 0, lag, gain, place, lost, -1
    return label


def longer(part: np.ndarray) -> np.ndarray:
    """The same rows and as many new ones."""
    twice = np.empty((2 * len(part), *part.shape[1:]), part.dtype)
    twice[: len(part)] = part
    return twice
