"""Numba kernels of the label search (`kvopt.exact.dp`): expansion of labels and dominance inside buckets.

All kernels that call each other live in this file, because Numba's cache does not notice a changed callee
elsewhere. They hold no state, release the interpreter lock and return often enough for limits to be obeyed.

A label's *window* is a row of ``2 * width`` cells: the tokens held in the `width` rounds before the label's
round t, then in rounds t, t + 1, ..., t + width - 1; `width` is the largest output rounded up to a multiple
of 32, so that the inner loops run over whole vector registers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

#: Deadline of a label without one.
NEVER = np.int64(2**62)
#: Kept labels that dominance tests at once; last dominators that it tries before.
CHUNK, RECENT = 64, 4
#: In place of the run that makes way, where none was tried.
UNTRIED = -2
#: How `advance` ended: nothing left to expand, its share of work done, a layer too large for it, or above `most`.
FINISHED, PAUSED, LARGE, EXCEEDED = range(4)


class Shapes(NamedTuple):
    """The types, as the kernels read them; rows of `demand` and `room` have `width` cells.

    `demand[k, u]` are the tokens a request of type k holds u rounds after its start, `room[k, u]` what others may
    hold then; `multiplier` weighs the remaining counts in a label's key, which identifies them when `exact_key`.
    """

    demand: np.ndarray
    room: np.ndarray
    prompt: np.ndarray
    output: np.ndarray
    arrival: np.ndarray
    multiplier: np.ndarray
    exact_key: bool
    capacity: int


class Priced(NamedTuple):
    """Memory prices in units of ``1 / scale``, their sums before each round, cost and least later cost of starts."""

    scale: int
    price: np.ndarray
    price_sum: np.ndarray
    cost: np.ndarray
    least_cost: np.ndarray


class Relaxed(NamedTuple):
    """The relaxed problem, its graph (`kvopt.exact.relaxation`) and `to_go[j]`, the costs with j requests to start."""

    present: bool
    class_of: np.ndarray
    reward: np.ndarray
    to_go: np.ndarray
    later: np.ndarray
    to: np.ndarray
    moved: np.ndarray


class Packed(NamedTuple):
    """A sweep of the packing bound (`kvopt.bounds.packing`): labels follow its C candidates. Scaled like `Priced`.

    Attributes
    ----------
    total : int
        Rewards of all requests, less the price of all memory; far below every limit where there is no sweep.
    price : int64 array of shape (T,)
        Memory prices; none from round T on.
    reward : int64 array of shape (K,)
    gain : int64 array of shape (T, K)
        Reward less latency and priced memory of a start.
    gaining : bool array of shape (T,)
        Rounds that have candidates.
    child_from, child, child_kind : int32, int32 and int16 arrays
        Of candidate x, ``child[child_from[x]:child_from[x + 1]]`` have one more start, of these types.
    following : int32 array of shape (C + 1,)
        What becomes of a candidate in the next round that has any: its label, before anything starts. C is the end.
    to_come : int64 array of shape (C + 1,)
        Most that further starts can gain.
    """

    total: int
    price: np.ndarray
    reward: np.ndarray
    gain: np.ndarray
    gaining: np.ndarray
    child_from: np.ndarray
    child: np.ndarray
    child_kind: np.ndarray
    following: np.ndarray
    to_come: np.ndarray


class Rules(NamedTuple):
    """Rules of docs/dynamic_programme.md that a search uses: all of them, but for ablations.

    `time_shift`: dominance after waiting, otherwise without. `gap`, `shift`: rules 2 and 3; `move`: rule 2 with runs
    that make way, where it pays. Without rule 2 the search takes backlogs only, and proofs cannot be recorded.
    """

    time_shift: bool = True
    gap: bool = True
    shift: bool = True
    move: bool = True


class Labels(NamedTuple):
    """The kept labels with the same number of started requests, as columns."""

    window: np.ndarray
    rem: np.ndarray
    key: np.ndarray
    time: np.ndarray
    latency: np.ndarray
    base: np.ndarray
    bound: np.ndarray
    deadline: np.ndarray
    mark: np.ndarray
    node: np.ndarray
    lag: np.ndarray
    gain: np.ndarray
    spot: np.ndarray
    banked: np.ndarray


class Lineage(NamedTuple):
    """Of every label kept so far, layer after layer: its parent's row here (-1 for the root), its type and start.

    `until` is the last round for the next start where runs have been asked to make way, otherwise -1.
    """

    parent: np.ndarray
    kind: np.ndarray
    start: np.ndarray
    until: np.ndarray


class Children(NamedTuple):
    """Room for children of labels, as columns, in the order of generation.

    Their memory follows from the parents' windows, the types and the starts (`profile_of`).
    """

    key: np.ndarray
    time: np.ndarray
    value: np.ndarray
    latency: np.ndarray
    base: np.ndarray
    bound: np.ndarray
    deadline: np.ndarray
    mark: np.ndarray
    parent: np.ndarray
    kind: np.ndarray
    start: np.ndarray
    node: np.ndarray
    lag: np.ndarray
    gain: np.ndarray
    spot: np.ndarray
    banked: np.ndarray


class Trace(NamedTuple):
    """What `advance` did, layer after layer in flat columns.

    `sizes[j]` counts the expanded labels, the children and the kept children of a layer. Of each expanded label:
    the run behind its gap rule (`Gap`). Of each child: rank of its dominator among the kept, or -1, and the rounds
    that waits.
    """

    sizes: np.ndarray
    gap: np.ndarray
    killer: np.ndarray
    shift: np.ndarray


@njit(cache=True, nogil=True)
def shape_rows(prompt, output, capacity, cells):
    """`demand` and `room` of `Shapes`, with rows like `cells`."""
    demand = np.zeros((prompt.shape[0], cells.shape[0]), dtype=cells.dtype)
    room = np.full((prompt.shape[0], cells.shape[0]), capacity, dtype=cells.dtype)
    for k in range(prompt.shape[0]):
        for u in range(output[k]):
            demand[k, u] = prompt[k] + 1 + u
            room[k, u] = capacity - demand[k, u]
    return demand, room


@njit(cache=True, nogil=True)
def price_tables(scale, price, prompt, output, arrival):
    """`Priced` for types: the cost of each start and its minimum over all later starts, shape (rounds, K)."""
    horizon, kinds = price.shape[0], prompt.shape[0]
    price_sum, timed = np.zeros(horizon + 1, dtype=np.int64), np.zeros(horizon + 1, dtype=np.int64)
    for t in range(horizon):
        price_sum[t + 1] = price_sum[t] + price[t]
        timed[t + 1] = timed[t] + price[t] * t
    cost, least_cost = np.empty((horizon, kinds), dtype=np.int64), np.empty((horizon, kinds), dtype=np.int64)
    for k in range(kinds):
        free = output[k] - arrival[k]
        least = scale * (max(horizon, arrival[k]) + free)
        for t in range(horizon - 1, -1, -1):
            end = min(t + output[k], horizon)
            memory = (prompt[k] + 1 - t) * (price_sum[end] - price_sum[t]) + timed[end] - timed[t]
            cost[t, k] = scale * (t + free) + memory
            if t >= arrival[k]:
                least = min(least, cost[t, k])
            least_cost[t, k] = least
    return Priced(scale, price, price_sum, cost, least_cost)


@njit(cache=True, nogil=True)
def packed_tables(parent, kind, group, first, round_of, gain):
    """The columns of `Packed` from `child_from` on, of a sweep (`kvopt.bounds.packing_sweep.Swept`)."""
    size, rounds = len(parent), len(round_of)
    following, to_come = np.empty(size + 1, dtype=np.int32), np.zeros(size + 1, dtype=np.int64)
    child_from = np.zeros(size + 2, dtype=np.int32)
    following[size] = size
    for r in range(rounds - 1, -1, -1):
        base, after = first[r], first[r + 1]
        for x in range(after - 1, base - 1, -1):
            following[x] = size if r + 1 == rounds else after + group[x]
            # Children come after their parents, so theirs is settled.
            to_come[x] = max(to_come[x], to_come[following[x]])
            if kind[x] >= 0:
                above = base + parent[x]
                to_come[above] = max(to_come[above], gain[round_of[r], kind[x]] + to_come[x])
                child_from[above + 2] += 1
    for x in range(size):
        child_from[x + 2] += child_from[x + 1]
    child = np.empty(child_from[size + 1], dtype=np.int32)
    child_kind = np.empty(child_from[size + 1], dtype=np.int16)
    for r in range(rounds):
        for x in range(first[r], first[r + 1]):
            if kind[x] >= 0:
                above = first[r] + parent[x]
                child[child_from[above + 1]], child_kind[child_from[above + 1]] = x, kind[x]
                child_from[above + 1] += 1
    return child_from, child, child_kind, following, to_come


@njit(cache=True, nogil=True, inline="always")
def fits(cells, at, room, k, width):
    """Whether a request of type k can start at cell `at`: no cell above its room.

    Indices of loops over cells are unsigned, here and below: signed ones may count from the end, which the compiler
    would look after for every single cell.
    """
    bad = False
    at, k = np.uint64(at), np.uint64(k)
    for u in range(np.uint64(width)):
        bad |= cells[at + u] > room[k, u]
    return not bad


@njit(cache=True, nogil=True, inline="always")
def copy(target, source, at, size):
    """Fill the first cells with those of another row from `at` on."""
    at = np.uint64(at)
    for u in range(np.uint64(size)):
        target[u] = source[at + u]


@njit(cache=True, nogil=True, inline="always")
def copy_row(target, source, i, at, size):
    """The same from row i of a table."""
    i, at = np.uint64(i), np.uint64(at)
    for u in range(np.uint64(size)):
        target[u] = source[i, at + u]


@njit(cache=True, nogil=True, inline="always")
def start(cells, at, demand, k, width):
    """Add the tokens of a request of type k from cell `at` on."""
    at, k = np.uint64(at), np.uint64(k)
    for u in range(np.uint64(width)):
        cells[at + u] += demand[k, u]


@njit(cache=True, nogil=True, inline="always")
def take_back(cells, at, demand, k, width):
    """Subtract them."""
    at, k = np.uint64(at), np.uint64(k)
    for u in range(np.uint64(width)):
        cells[at + u] -= demand[k, u]


@njit(cache=True, nogil=True, inline="always")
def open_at(cells, at, room, k, output, width):
    """The same; its first and its last cell are looked at before all."""
    if cells[at] > room[k, 0] or cells[at + output - 1] > room[k, output - 1]:
        return False
    return fits(cells, at, room, k, width)


@njit(cache=True, nogil=True, inline="always")
def least_start(k, t, horizon, scale, least_cost, free, arrival):
    """Least priced cost of a start of type k from round t on; beyond the priced horizon its latency alone.

    `free[k]` is ``output - arrival``.
    """
    if t < horizon:
        least = least_cost[t, k]
    else:
        least = scale * (max(t, arrival[k]) + free[k])
    return least


@njit(cache=True, nogil=True, inline="always")
def all_ahead(rem, i, present, there, t, horizon, scale, least_cost, free, arrival):
    """Sum over the remaining requests of label i of their least priced cost from round t on."""
    total = np.int64(0)
    for place in range(there):
        k = present[place]
        total += np.int64(rem[i, k]) * least_start(k, t, horizon, scale, least_cost, free, arrival)
    return total


@njit(cache=True, nogil=True, inline="always")
def easiest(rem, i, without, output, arrival, chosen, row):
    """The remaining types that no other remaining type makes superfluous in questions of "does any fit?".

    Of label i's types, less one request of type `without` (none for -1): those for which no other has at most
    their prompt, output and arrival. Types are sorted by prompt, so a better one always comes first.
    """
    size = 0
    for k in range(rem.shape[1]):
        if np.int64(rem[i, k]) - (k == without) <= 0:
            continue
        needed = True
        for j in range(size):
            other = chosen[row, j]
            if output[other] <= output[k] and arrival[other] <= arrival[k]:
                needed = False
                break
        if needed:
            chosen[row, size] = k
            size += 1
    return size


@njit(cache=True, nogil=True, inline="always")
def last_wait(cells, chosen, row, size, t, width, room, output, arrival):
    """Largest w for which the next start may come in round t + w under the gap rule (may be negative).

    If a remaining request fits as a whole into rounds that lie before the next start, moving it there
    improves every completion; so the next start is no later than the last round of the earliest such run.
    Also returns that run: type and start relative to t. It is enough to try the `easiest` types: where a
    request fits, one with less prompt and output fits into the last rounds of its run.
    """
    best = np.int64(2 * width)
    kind = np.int64(0)
    at = np.int64(0)
    for j in range(size):
        k = chosen[row, j]
        first = max(1 - output[k], arrival[k] - t)
        for x in range(first, min(width + 1, best - output[k] + 1)):
            if fits(cells, width + x, room, k, width):
                best, kind, at = x + output[k] - 1, np.int64(k), np.int64(x)
                break
    return best, kind, at


@njit(cache=True, nogil=True)
def make_way(
    cells, without, both, place, chosen, row, size, t, width, reach, demand, room, output, arrival, lineage, own, best,
    gap
):  # fmt: skip
    """`last_wait` where a run that has started makes way for a remaining request.

    If a request fits from round x on once run i, started at p, starts at another round q instead, and the next start
    comes after all rounds of both and after round x + q - p, then both moves together improve every completion.

    Parameters
    ----------
    without, both, place : arrays
        Room.
    lineage : Lineage
        The label is in row `own`.
    best : int
        The `last_wait`.
    gap : int32 array of shape (4,)
        As `Gap` of `kvopt.verify`, with that of `last_wait`.

    Returns
    -------
    the last wait; `gap` gets what shows it
    """
    parent, kind_of, start_of = lineage.parent, lineage.kind, lineage.start
    # Runs that had started before can make way for no earlier end than when they were tried at the parent.
    least = lineage.until[parent[own]] - t if parent[own] >= 0 else np.int64(-1)  # below 0 where none were tried
    at, back = own, np.int64(0)
    gap[2] = -1
    while at >= 0 and best >= 0 and (back == 0 or best > least):
        i, p = np.int64(kind_of[at]), start_of[at] - t
        if p < -reach:
            break
        copy(without, cells, 0, 4 * width)
        take_back(without, width + p, demand, i, width)
        places = 0
        for q in range(max(-reach, arrival[i] - t), best - output[i] + 1):
            if q != p and open_at(without, width + q, room, i, output[i], width):
                place[places] = q
                places += 1
        for j in range(size if places > 0 else 0):
            k = chosen[row, j]
            x = max(p - output[k] + 1, -reach, arrival[k] - t)
            while x < p + output[i] and x + output[k] <= best and x + place[0] - p < best:
                if open_at(without, width + x, room, k, output[k], width):
                    copy(both, without, 0, 4 * width)
                    start(both, width + x, demand, k, width)
                    for other in range(places):
                        q = place[other]
                        if q + output[i] > best or x + q - p >= best:
                            break
                        if open_at(both, width + q, room, i, output[i], width):
                            best = max(x + output[k] - 1, q + output[i] - 1, x + q - p)
                            gap[0], gap[1], gap[2], gap[3] = k, x, back, q
                            break
                x += 1
        at, back = np.int64(parent[at]), back + 1
    return best


@njit(cache=True, nogil=True, inline="always")
def part_of(key, parts):
    """The part of a layer that children with this key fall into."""
    return np.int64(((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(33)) % np.uint64(parts))


@njit(cache=True, nogil=True)
def expand(
    halt, lo, hi, labels, lineage, first, gap, left, shapes, priced, relaxed, packed, rules, limit, part, parts, out
):  # fmt: skip
    """Generate the children of labels lo..hi-1 until the output arrays might overflow.

    A child is a next start (type, round); rounds ascend, then types. Children that break the order among equal
    shapes, the gap rule, the shift rule or a bound are not written. Label 0 is in row `first` of the lineage, which
    gets the last rounds for a next start; `left` is the number of requests that the children leave to start.
    With a relaxation each label carries the node of its relaxed profile, by how many rounds the label is later than
    it, and the summed reward of its remaining requests. With a packing, its candidate (in the next round that has any)
    and what its starts lost so far, idle memory included. Of several parts of a layer, children of others are not
    written. `gap` gets the run behind the gap rule of each label (`kvopt.verify.Gap`); runs are asked to make way only
    where the label has a child otherwise.

    Returns
    -------
    next label to expand, number of children written
    """
    demand, room, prompt, output, arrival = shapes.demand, shapes.room, shapes.prompt, shapes.output, shapes.arrival
    multiplier, capacity = shapes.multiplier, shapes.capacity
    scale, price, price_sum, cost = priced.scale, priced.price, priced.price_sum, priced.cost
    window, rem, key, time, mark = labels.window, labels.rem, labels.key, labels.time, labels.mark
    least_cost = priced.least_cost
    horizon = price.shape[0]
    width = demand.shape[1]
    kinds = demand.shape[0]
    room_for = out.key.shape[0]
    free = output - arrival
    cells = np.zeros(4 * width, dtype=window.dtype)
    child = np.zeros(4 * width, dtype=window.dtype)
    without, both = np.zeros(4 * width, dtype=window.dtype), np.zeros(4 * width, dtype=window.dtype)
    spots, reach, until = np.empty(4 * width, dtype=np.int64), output.max(), lineage.until
    made = 0
    offset = price_sum[horizon] * capacity
    packed_total, packed_price, reward, start_gain = packed.total + offset, packed.price, packed.reward, packed.gain
    gaining, child_from, child_at, child_kind = packed.gaining, packed.child_from, packed.child, packed.child_kind
    next_spot, to_come, packed_end = packed.following, packed.to_come, packed.price.shape[0]
    present = np.empty(kinds, dtype=np.int64)
    # Easiest types after a start of each type, found when first needed (size -1 until then); in the last row, before.
    chosen = np.empty((kinds + 1, kinds), dtype=np.int64)
    size_after = np.empty(kinds, dtype=np.int64)
    # Least priced cost of all remaining requests from round t + x on, found when first needed.
    ahead = np.empty(4 * width, dtype=np.int64)
    for i in range(lo, hi):
        if made + kinds * (width + 1) > room_for or halt[0]:
            return i, made
        t = time[i]
        copy_row(cells, window, i, 0, 2 * width)
        there = 0
        for k in range(kinds):
            size_after[k] = -1
            if rem[i, k] > 0:
                present[there] = k
                there += 1
        ahead[:] = -1
        longest, size, row = np.int64(width), 0, first + i
        if rules.gap:
            if gap[i, 2] == UNTRIED:
                size = easiest(rem, i, -1, output, arrival, chosen, kinds)
                longest, gap[i, 0], gap[i, 1] = last_wait(cells, chosen, kinds, size, t, width, room, output, arrival)
            else:
                longest = until[row] - t
        soonest = t + longest
        due = labels.deadline[i]
        idle = labels.base[i]
        spot, banked = labels.spot[i], labels.banked[i]
        # The relaxed profile in the label's round; from the empty worker on nothing changes.
        node, behind = np.int64(labels.node[i]), labels.lag[i]
        while node > 0 and behind > 0:
            node, behind = np.int64(relaxed.later[node]), behind - 1
        for w in range(longest + 1):
            if w > longest:
                break  # shorter since runs made way
            r = t + w
            if w > 0:
                if node > 0:
                    node = np.int64(relaxed.later[node])
                # Round r - 1 passes: no later start will touch it.
                used = cells[width + w - 1]
                if used == capacity:
                    due = NEVER
                elif r - 1 >= due:
                    break
                if r - 1 < horizon:
                    idle += price[r - 1] * (capacity - np.int64(used))
                if r - 1 < packed_end:
                    banked += packed_price[r - 1] * (capacity - np.int64(used))
                    if gaining[r - 1]:
                        spot = next_spot[spot]
                    if packed_total + banked - to_come[spot] > limit:
                        break
            ahead[w] = all_ahead(rem, i, present, there, r, horizon, scale, least_cost, free, arrival)
            if idle + ahead[w] > limit:
                break
            for place in range(there):
                k = present[place]
                if arrival[k] > r or (w == 0 and k < mark[i]):
                    continue
                if (
                    place > 0
                    and present[place - 1] == k - 1
                    and prompt[k - 1] == prompt[k]
                    and output[k - 1] == output[k]
                ):
                    # First come, first served among requests of one shape: types are sorted by arrival last.
                    continue
                if parts > 1 and part_of(key[i] - multiplier[k], parts) != part:
                    continue
                if not fits(cells, width + w, room, k, width):
                    continue
                child_due = due
                if rules.shift and r > arrival[k] and np.int64(cells[width + w - 1]) + prompt[k] + 1 <= capacity:
                    # It could run one round earlier unless a round of its run (not the last) gets full.
                    child_due = min(due, r + output[k] - 2)
                    if child_due < r:
                        continue
                if r < horizon:
                    child_base = idle + cost[r, k]
                else:
                    child_base = idle + scale * (r + free[k])
                child_latency = labels.latency[i] + r + free[k]
                if left == 0:
                    if scale * child_latency + offset > limit:
                        continue
                    out.key[made] = key[i] - multiplier[k]
                    out.time[made] = r
                    out.value[made] = child_latency
                    out.latency[made] = child_latency
                    out.base[made] = child_base
                    out.bound[made] = scale * child_latency + offset
                    out.deadline[made] = child_due
                    out.mark[made] = 0
                    out.parent[made] = i
                    out.kind[made] = k
                    out.start[made] = r
                    out.node[made] = 0
                    out.lag[made] = 0
                    out.gain[made] = 0
                    out.spot[made] = 0
                    out.banked[made] = 0
                    made += 1
                    continue
                child_node = np.int32(0)
                child_gain = np.int64(0)
                relaxed_bound = np.int64(0)
                relaxed_time = r
                if relaxed.present:
                    c = relaxed.class_of[k]
                    child_node = np.int32(relaxed.to[c, node])
                    relaxed_time = r + relaxed.moved[c, node]
                    child_gain = labels.gain[i] - relaxed.reward[k]
                    relaxed_bound = scale * (child_latency + left * relaxed_time) + relaxed.to_go[left, child_node]
                    relaxed_bound += child_gain + offset
                    if relaxed_bound > limit:
                        continue
                child_spot = spot
                if r < packed_end:
                    child_banked = banked - start_gain[r, k]
                    if gaining[r]:
                        # A start that does not gain has no candidate: what it holds is left out.
                        for x in range(child_from[spot], child_from[spot + 1]):
                            if child_kind[x] == k:
                                child_spot = child_at[x]
                                break
                else:
                    child_banked = banked - reward[k] + scale * (r + free[k])
                if packed_total + child_banked - to_come[child_spot] > limit:
                    continue
                own = least_start(k, r, horizon, scale, least_cost, free, arrival)
                if child_base + ahead[w] - own > limit:
                    continue
                if size_after[k] < 0:
                    size_after[k] = easiest(rem, i, k, output, arrival, chosen, k)
                copy(child, cells, w, 2 * width)
                start(child, width, demand, k, width)
                # Move forward to the first round in which a remaining request may start.
                move = np.int64(0)
                dropped = False
                while True:
                    now = r + move
                    startable = False
                    waiting = False
                    for j in range(size_after[k]):
                        if arrival[chosen[k, j]] <= now:
                            waiting = True
                            if fits(child, width + move, room, chosen[k, j], width):
                                startable = True
                                break
                    if startable and move == 0:
                        # In the round of its start only types from k on may follow.
                        startable = False
                        for after in range(place, there):
                            k2 = present[after]
                            left_of = np.int64(rem[i, k2]) - (k2 == k)
                            if left_of > 0 and arrival[k2] <= now and fits(child, width, room, k2, width):
                                startable = True
                                break
                    if startable:
                        break
                    if move >= width and not waiting:
                        break
                    used = child[width + move]
                    if used == capacity:
                        child_due = NEVER
                    elif now >= child_due:
                        dropped = True
                        break
                    if now < horizon:
                        child_base += price[now] * (capacity - np.int64(used))
                    if now < packed_end:
                        child_banked += packed_price[now] * (capacity - np.int64(used))
                        if gaining[now]:
                            child_spot = next_spot[child_spot]
                    # Gap rule for runs that end in the round just passed; none fits before `soonest`.
                    for j in range(size_after[k] if rules.gap and now >= soonest else 0):
                        x = move - output[chosen[k, j]] + 1
                        if r + x >= arrival[chosen[k, j]] and fits(child, width + x, room, chosen[k, j], width):
                            dropped = True
                            break
                    if dropped:
                        break
                    move += 1
                if dropped:
                    continue
                now = r + move
                if move >= width:
                    # The worker is empty and nothing has arrived: go on to the next arrival.
                    following = NEVER
                    for j in range(size_after[k]):
                        following = min(following, arrival[chosen[k, j]])
                    if following > now:
                        if child_due < following:
                            continue
                        child_base += capacity * (price_sum[min(following, horizon)] - price_sum[min(now, horizon)])
                        for passed in range(now, min(following, packed_end)):
                            child_banked += packed_price[passed] * capacity
                            if gaining[passed]:
                                child_spot = next_spot[child_spot]
                        now = following
                x = now - t
                if x >= 4 * width:
                    bound = all_ahead(rem, i, present, there, now, horizon, scale, least_cost, free, arrival)
                else:
                    if ahead[x] < 0:
                        ahead[x] = all_ahead(rem, i, present, there, now, horizon, scale, least_cost, free, arrival)
                    bound = ahead[x]
                bound += child_base - least_start(k, now, horizon, scale, least_cost, free, arrival)
                if bound > limit:
                    continue
                packed_bound = packed_total + child_banked - to_come[child_spot]
                if packed_bound > limit:
                    continue
                if rules.move and gap[i, 2] == UNTRIED and row >= 0:
                    longest = make_way(
                        cells, without, both, spots, chosen, kinds, size, t, width, reach, demand, room, output,
                        arrival, lineage, row, longest, gap[i]
                    )  # fmt: skip
                    until[row] = t + longest
                    if w > longest:
                        break
                bound = max(bound, relaxed_bound, packed_bound)
                out.key[made] = key[i] - multiplier[k]
                out.time[made] = now
                out.value[made] = child_latency + left * now
                out.latency[made] = child_latency
                out.base[made] = child_base
                out.bound[made] = bound
                out.deadline[made] = child_due
                out.mark[made] = k if now == r else 0
                out.parent[made] = i
                out.kind[made] = k
                out.start[made] = r
                out.node[made] = child_node
                out.lag[made] = now - relaxed_time
                out.gain[made] = child_gain
                out.spot[made] = child_spot
                out.banked[made] = child_banked
                made += 1
    return hi, made


@njit(cache=True, nogil=True, inline="always")
def same_remaining(a, b, children, rem):
    """Whether children a and b leave the same requests."""
    parent_a, kind_a, parent_b, kind_b = children.parent[a], children.kind[a], children.parent[b], children.kind[b]
    for k in range(rem.shape[1]):
        if rem[parent_a, k] - (k == kind_a) != rem[parent_b, k] - (k == kind_b):
            return False
    return True


@njit(cache=True, nogil=True)
def buckets_of(children, made, rem, shapes):
    """The first `made` children by the requests they leave.

    Returns
    -------
    children sorted by bucket (stable), where each bucket begins (one more than buckets), and for each bucket the
    last arrival among the remaining requests
    """
    size = 1
    while size < 2 * made + 2:
        size *= 2
    slot = np.full(size, -1, dtype=np.int32)
    bucket = np.empty(made, dtype=np.int32)
    first = np.empty(made, dtype=np.int32)
    found = 0
    for i in range(made):
        key = children.key[i]
        h = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)
        at = np.int64(h & np.uint64(size - 1))
        while True:
            b = slot[at]
            if b < 0:
                slot[at] = found
                first[found] = i
                bucket[i] = found
                found += 1
                break
            j = first[b]
            # The key is a linear hash of the remaining counts; unless it is exact, counts themselves are compared.
            if children.key[j] == key and (shapes.exact_key or same_remaining(i, j, children, rem)):
                bucket[i] = b
                break
            at = (at + 1) & (size - 1)
    begin = np.zeros(found + 1, dtype=np.int64)
    for i in range(made):
        begin[bucket[i] + 1] += 1
    for b in range(found):
        begin[b + 1] += begin[b]
    fill = begin[:-1].copy()
    order = np.empty(made, dtype=np.int32)
    for i in range(made):
        order[fill[bucket[i]]] = i
        fill[bucket[i]] += 1
    latest = np.zeros(found, dtype=np.int64)
    for b in range(found):
        parent, kind = children.parent[first[b]], children.kind[first[b]]
        for k in range(rem.shape[1]):
            if rem[parent, k] - (k == kind) > 0:
                latest[b] = max(latest[b], shapes.arrival[k])
    return order, begin, latest


@njit(cache=True, nogil=True, inline="always")
def busy_cells(packed, i, per_word, bits):
    """Number of cells of row i up to the last that is not 0."""
    j = packed.shape[1] - 1
    while j > 0 and packed[i, j] == 0:
        j -= 1
    word = packed[i, j]
    busy = np.int64(j * per_word)
    while word > 0:
        word >>= np.uint64(bits)
        busy += 1
    return busy


@njit(cache=True, nogil=True, inline="always")
def within(rows, a, busy, d, worse, log_bits, guard):
    """Whether profile `rows[a]`, read from cell d on, is nowhere above `worse` (both packed).

    The top bit of each cell of a word is free; set in `worse`, it survives the subtraction exactly where
    the cell does not go below zero.
    """
    skip = (d << log_bits) >> np.int64(6)
    low = np.uint64((d << log_bits) & np.int64(63))
    for j in range((((busy - d) << log_bits) + np.int64(63)) >> np.int64(6)):
        word = rows[a, skip + j] >> low
        if low > 0:
            word |= rows[a, skip + j + 1] << (np.uint64(64) - low)
        if ((worse[j] | guard) - word) & guard != guard:
            return False
    return True


@njit(cache=True, nogil=True, inline="always")
def may_wait(slack, shift, word, following, top, guard):
    """Whether a wait that leaves `slack` costs no more, and none of the cells from bit `shift` on is too high.

    Only the first word is tested, and only for shifts within it; `following` is the next word, doubled.
    """
    low = np.uint64(shift & np.int64(63))
    cells = (word >> low) | (following << (np.uint64(63) - low))
    return (slack >= 0) & ((shift >= 64) | (((top - cells) & guard) == guard))


@njit(cache=True, nogil=True)
def sieve(
    maybe, begin, size, times, ends, values, word, following, needed, busy, value, left, top, log_bits, guard
):  # fmt: skip
    """Which of `size` kept labels from `begin` on may dominate a candidate, after a test that refuses most.

    Refused are those for which none of the first four waits `may_wait`, and a fifth costs too much. `top` is the
    candidate's first word with its guard bits. The loop has no branch, and its unsigned indices let the compiler
    make vectors of it, but not if the four are a loop.
    """
    cell = np.int64(1) << log_bits
    for a in range(size):
        at = begin + a
        wait = max(needed - times[at], ends[at] - busy, np.int64(0))
        slack = value - values[at] - wait * left
        shift = wait << log_bits
        first, second = word[at], following[at] << np.uint64(1)
        maybe[a] = (
            may_wait(slack, shift, first, second, top, guard)
            | may_wait(slack - left, shift + cell, first, second, top, guard)
            | may_wait(slack - 2 * left, shift + 2 * cell, first, second, top, guard)
            | may_wait(slack - 3 * left, shift + 3 * cell, first, second, top, guard)
            | (slack >= 4 * left)
        )


@njit(cache=True, nogil=True, inline="always")
def profile_of(profiles, row, children, c, labels, demand, width):
    """Write the memory profile of child c to a row of profiles, all zero so far; returns the sum of its cells."""
    p, kind = children.parent[c], children.kind[c]
    ahead, since = children.time[c] - labels.time[p], children.time[c] - children.start[c]
    to, parent, k = np.uint64(row), np.uint64(p), np.uint64(kind)
    passed, run = np.uint64(width + ahead), np.uint64(since)
    for u in range(np.uint64(max(width - ahead, np.int64(0)))):
        profiles[to, u] = labels.window[parent, passed + u]
    for u in range(np.uint64(max(width - since, np.int64(0)))):
        profiles[to, u] += demand[k, run + u]
    area = np.int64(0)
    for u in range(np.uint64(width)):
        area += np.int64(profiles[to, u])
    return area


@njit(cache=True, nogil=True)
def dominate(halt, lo, hi, order, begin, latest, children, labels, demand, left, rules, killer, shift):
    """Mark the dominated children of buckets lo..hi-1: `killer` gets the dominator, `shift` the rounds it waits.

    Child A removes child B of the same bucket if, after A has waited d >= 0 rounds, it has cost no more than
    B, uses no more memory in any round, and can make every start B can (arrivals, order within the round);
    d is 0 without the time shift. Inside a bucket, children are taken in ascending (value, area, mark), so that
    none removes an earlier one.
    """
    value, time, mark = children.value, children.time, children.mark
    longest_shift = NEVER if rules.time_shift else np.int64(0)
    bits = 8 * demand.itemsize
    log_bits = np.int64(3) if bits == 8 else np.int64(4) if bits == 16 else np.int64(5)
    width = demand.shape[1]
    words = width * bits // 64
    guard = np.uint64(0)
    for u in range(64 // bits):
        guard |= np.uint64(1) << np.uint64(u * bits + bits - 1)
    candidate = np.empty(words, dtype=np.uint64)
    maybe = np.empty(CHUNK, dtype=np.bool_)
    winners = np.zeros(RECENT, dtype=np.int64)
    largest = 0
    for b in range(lo, hi):
        largest = max(largest, begin[b + 1] - begin[b])
    ranked, areas = np.empty(largest, dtype=np.int64), np.empty(largest, dtype=np.int64)
    # Profiles of a bucket's children, and their cells as they lie in memory, several in a word, the first in its
    # lowest bits.
    profiles = np.empty((largest, width), dtype=demand.dtype)
    packed = profiles.view(np.uint64)
    # Of the kept labels of a bucket: profile (and a word of zeros), its first two words, value, time, busy cells.
    rows = np.zeros((largest, words + 1), dtype=np.uint64)
    word, following = np.zeros(largest, dtype=np.uint64), np.zeros(largest, dtype=np.uint64)
    values, times, ends = np.empty(largest, np.int64), np.empty(largest, np.int64), np.empty(largest, np.int64)
    kept = np.empty(largest, dtype=np.int32)
    # Memory of kept labels from each round on: it must not exceed the candidate's either, and falls with d.
    rest = np.empty((largest, width + 1), dtype=np.int32)
    for b in range(lo, hi):
        size = begin[b + 1] - begin[b]
        if size == 1:
            continue
        members = order[begin[b] : begin[b + 1]]
        least = value[members[0]]
        for i in members:
            least = min(least, value[i])
        rank = ranked[:size]
        for j in range(size):
            i = members[j]
            for q in range(words):
                packed[j, q] = 0
            area = profile_of(profiles, j, children, i, labels, demand, width)
            areas[j] = area
            rank[j] = (
                (min(value[i] - least, np.int64(2**31 - 1)) << 32)
                | (min(area, np.int64(2**22 - 1)) << 10)
                | min(np.int64(mark[i]), np.int64(1023))
            )
        alive = 0
        recent = np.int64(0)
        due = latest[b]
        for member in np.argsort(rank, kind="mergesort"):
            if halt[0]:
                return
            c, area = members[member], areas[member]
            busy = busy_cells(packed, member, 64 // bits, bits)
            for j in range(words):
                candidate[j] = packed[member, j]
            needed = min(time[c], due)
            slot = np.int64(-1)
            chunk = np.int64(-CHUNK)
            while chunk < alive:
                if chunk < 0:
                    # Those that dominated last are tried first.
                    some = np.int64(recent)
                    for a in range(some):
                        maybe[a] = True
                else:
                    some = min(np.int64(CHUNK), alive - chunk)
                    sieve(
                        maybe, np.uint64(chunk), np.uint64(some), times, ends, values, word, following, needed, busy,
                        value[c], left, candidate[0] | guard, log_bits, guard
                    )  # fmt: skip
                for a in range(some):
                    if not maybe[a]:
                        continue
                    at = winners[a] if chunk < 0 else chunk + a
                    i = kept[at]
                    end = ends[at]
                    d = max(needed - times[at], end - busy, np.int64(0))
                    # What is left of the candidate's disadvantage after a wait of d rounds.
                    slack = value[c] - values[at] - d * left
                    while slack >= 0 and d < end and rest[at, d] > area:
                        d += 1
                        slack -= left
                    last = min(max(end, d), longest_shift)
                    while slack >= 0 and d <= last:
                        if (d > 0 or mark[i] <= mark[c]) and within(rows, at, end, d, candidate, log_bits, guard):
                            slot = at
                            killer[c] = i
                            shift[c] = d
                            break
                        d += 1
                        slack -= left
                    if slot >= 0:
                        seat = a if chunk < 0 else min(recent, np.int64(RECENT - 1))
                        recent = max(recent, np.int64(seat + 1))
                        for q in range(seat, 0, -1):
                            winners[q] = winners[q - 1]
                        winners[0] = slot
                        break
                if slot >= 0:
                    break
                chunk += CHUNK
            if slot >= 0:
                continue
            kept[alive] = c
            values[alive], times[alive], ends[alive] = value[c], time[c], busy
            for j in range(words):
                rows[alive, j] = candidate[j]
            word[alive] = candidate[0]
            if words > 1:
                following[alive] = candidate[1]
            rest[alive, busy] = 0
            for u in range(busy - 1, -1, -1):
                rest[alive, u] = min(np.int64(rest[alive, u + 1]) + profiles[member, u], 2**31 - 1)
            alive += 1


@njit(cache=True, nogil=True)
def cheapest(children, made, killer):
    """Mark all complete children but one of least latency as dominated by it."""
    best = 0
    for c in range(1, made):
        if children.latency[c] < children.latency[best]:
            best = c
    for c in range(made):
        killer[c] = best
    if made > 0:
        killer[best] = -1


@njit(cache=True, nogil=True)
def survivors_of(children, killer, beam):
    """Children that none dominates; of more than `beam` (none for -1) the ones with the least bounds."""
    kept = np.flatnonzero(killer < 0)
    if beam < 0 or kept.shape[0] <= beam:
        return kept
    best = np.zeros(kept.shape[0], dtype=np.bool_)
    best[np.argsort(children.bound[kept], kind="mergesort")[:beam]] = True
    return kept[best]


@njit(cache=True, nogil=True)
def ranks(kept, killer):
    """Dominators by their rank among the kept children; -1 for none, or for one that a beam dropped."""
    rank = np.full(killer.shape[0], -1, dtype=np.int32)
    for j in range(kept.shape[0]):
        rank[kept[j]] = j
    out = np.empty(killer.shape[0], dtype=np.int32)
    for c in range(killer.shape[0]):
        out[c] = -1 if killer[c] < 0 else rank[killer[c]]
    return out


@njit(cache=True, nogil=True)
def next_labels(labels, children, kept, shapes):
    """The kept children as labels: their parents' windows with the new start, moved to their round."""
    size, width, kinds = kept.shape[0], shapes.demand.shape[1], labels.rem.shape[1]
    window = np.empty((size, 2 * width), dtype=labels.window.dtype)
    rem = np.empty((size, kinds), dtype=labels.rem.dtype)
    cells = np.zeros(8 * width, dtype=labels.window.dtype)
    for j in range(size):
        i = kept[j]
        p, kind = children.parent[i], children.kind[i]
        copy_row(cells, labels.window, p, 0, 2 * width)
        cells[2 * width :] = 0
        start(cells, width + children.start[i] - labels.time[p], shapes.demand, kind, width)
        move = min(children.time[i] - labels.time[p], np.int64(6 * width))
        to, at = np.uint64(j), np.uint64(move)
        for u in range(np.uint64(2 * width)):
            window[to, u] = cells[at + u]
        for k in range(kinds):
            rem[j, k] = labels.rem[p, k]
        rem[j, kind] -= 1
    return Labels(
        window,
        rem,
        children.key[kept],
        children.time[kept],
        children.latency[kept],
        children.base[kept],
        children.bound[kept],
        children.deadline[kept],
        children.mark[kept],
        children.node[kept],
        children.lag[kept],
        children.gain[kept],
        children.spot[kept],
        children.banked[kept],
    )


@njit(cache=True, nogil=True)
def appended(column, filled, new):
    """The column with `new` written from place `filled` on; a longer copy where it does not fit."""
    needed = filled + new.shape[0]
    if needed > column.shape[0]:
        longer = np.empty((2 * needed, *column.shape[1:]), dtype=column.dtype)
        longer[:filled] = column[:filled]
        column = longer
    column[filled:needed] = new
    return column


@njit(cache=True, nogil=True)
def extended(lineage, filled, size, parent, kind, start):
    """The lineage with one more layer, whose parents are counted among the last `size` of `filled` rows."""
    return Lineage(
        appended(lineage.parent, filled, parent + np.int32(filled - size)),
        appended(lineage.kind, filled, kind),
        appended(lineage.start, filled, start),
        appended(lineage.until, filled, np.full(len(start), -1, dtype=np.int64)),
    )


@njit(cache=True, nogil=True)
def advance(
    halt, labels, lineage, filled, shapes, priced, relaxed, packed, rules, limit, beam, record, most, most_labels,
    share, out
):  # fmt: skip
    """Layer after layer without a return to the interpreter, as long as layers are small.

    Ends before a layer of more than `most_labels` labels, or whose children do not fit into `out` (LARGE), before
    the children are more than `most` (EXCEEDED), after a layer with which they are more than `share` (PAUSED), or
    when nothing is left to expand (FINISHED). The labels are the last of `filled` rows of the lineage.

    Returns
    -------
    how it ended, the labels not yet expanded, the lineage with those, whether the beam dropped any, and a `Trace`
    (dominators and gap runs only if `record`)
    """
    left = np.int64(labels.rem[0].sum())
    sizes = np.zeros((left, 3), dtype=np.int64)
    gap = np.empty((0, 4), dtype=np.int32)
    killer, shift = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
    gaps = children = np.int64(0)
    layers = 0
    cut = False
    state = FINISHED
    while left > 0:
        size = labels.key.shape[0]
        if size > most_labels:
            state = LARGE
            break
        if children > share:
            state = PAUSED
            break
        layer_gap = np.full((size, 4), UNTRIED, dtype=np.int32)
        to, made = expand(
            halt, 0, size, labels, lineage, filled - size, layer_gap, left - 1, shapes, priced, relaxed, packed, rules,
            limit, 0, 1, out
        )  # fmt: skip
        if to < size:
            state = LARGE
            break
        if children + made > most:
            state = EXCEEDED
            break
        left -= 1
        layer_killer, layer_shift = np.full(made, -1, dtype=np.int32), np.zeros(made, dtype=np.int64)
        if left == 0:
            cheapest(out, made, layer_killer)
        elif made > 1:
            order, begin, latest = buckets_of(out, made, labels.rem, shapes)
            given = order, begin, latest, out, labels, shapes.demand, left, rules
            dominate(halt, 0, latest.shape[0], *given, layer_killer, layer_shift)
        kept = survivors_of(out, layer_killer, beam)
        cut = cut or kept.shape[0] < (layer_killer < 0).sum()
        if record:
            gap = appended(gap, gaps, layer_gap)
            killer = appended(killer, children, ranks(kept, layer_killer))
            shift = appended(shift, children, layer_shift)
        lineage = extended(lineage, filled, size, out.parent[kept], out.kind[kept], out.start[kept])
        filled += kept.shape[0]
        sizes[layers, 0], sizes[layers, 1], sizes[layers, 2] = size, made, kept.shape[0]
        layers += 1
        gaps += size
        children += made
        labels = next_labels(labels, out, kept, shapes)
        if kept.shape[0] == 0:
            break
    trace = Trace(
        sizes[:layers].copy(),
        gap[:gaps],
        killer[:children],
        shift[:children],
    )
    return state, labels, lineage, cut, trace
