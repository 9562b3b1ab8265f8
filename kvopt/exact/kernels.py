"""Numba kernels of the label search (`kvopt.exact.dp`): expansion of labels and dominance inside buckets.

All kernels that call each other live in this file, because Numba's cache does not notice a changed callee
elsewhere. They hold no state, release the interpreter lock and return often enough for limits to be obeyed.

A label's *window* is a row of ``2 * width`` cells: the tokens held in the `width` rounds before the label's
round t, then in rounds t, t + 1, ..., t + width - 1; `width` is the largest output rounded up to a multiple
of 32, so that the inner loops run over whole vector registers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: Deadline of a label without one.
NEVER = np.int64(2**62)


@njit(cache=True, nogil=True)
def fits(cells, at, room, width):
    """Whether a request with free-room profile `room` can start at cell `at`: no cell above its room."""
    bad = False
    for j in range(width):
        bad |= cells[at + j] > room[j]
    return not bad


@njit(cache=True, nogil=True)
def least_start(k, t, horizon, scale, least_cost, free, arrival):
    """Least priced cost of a start of type k from round t on; beyond the priced horizon its latency alone.

    `free[k]` is ``output - arrival``.
    """
    if t < horizon:
        return least_cost[t, k]
    return scale * (max(t, arrival[k]) + free[k])


@njit(cache=True, nogil=True)
def all_ahead(rem, i, present, there, t, horizon, scale, least_cost, free, arrival):
    """Sum over the remaining requests of label i of their least priced cost from round t on."""
    total = np.int64(0)
    for place in range(there):
        k = present[place]
        total += np.int64(rem[i, k]) * least_start(k, t, horizon, scale, least_cost, free, arrival)
    return total


@njit(cache=True, nogil=True)
def easiest(rem, i, without, output, arrival, chosen):
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
            other = chosen[j]
            if output[other] <= output[k] and arrival[other] <= arrival[k]:
                needed = False
                break
        if needed:
            chosen[size] = k
            size += 1
    return size


@njit(cache=True, nogil=True)
def last_wait(cells, chosen, size, t, width, room, output, arrival):
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
        k = chosen[j]
        first = max(1 - output[k], arrival[k] - t)
        for x in range(first, min(width + 1, best - output[k] + 1)):
            if fits(cells, width + x, room[k], width):
                best, kind, at = x + output[k] - 1, np.int64(k), np.int64(x)
                break
    return best, kind, at


@njit(cache=True, nogil=True)
def gap_runs(window, rem, time, room, output, arrival, kind, at):
    """The run behind the gap rule of each label (see `last_wait`), for its proof."""
    width = room.shape[1]
    cells = np.zeros(4 * width, dtype=window.dtype)
    chosen = np.empty(rem.shape[1], dtype=np.int64)
    for i in range(time.shape[0]):
        for u in range(2 * width):
            cells[u] = window[i, u]
        size = easiest(rem, i, -1, output, arrival, chosen)
        _, kind[i], at[i] = last_wait(cells, chosen, size, time[i], width, room, output, arrival)


@njit(cache=True, nogil=True)
def expand(
    halt,
    lo,
    hi,
    window,
    rem,
    key,
    time,
    latency,
    base,
    deadline,
    mark,
    left,
    demand,
    room,
    prompt,
    output,
    arrival,
    multiplier,
    capacity,
    scale,
    horizon,
    price,
    price_sum,
    cost,
    least_cost,
    limit,
    relaxed,
    class_of,
    reward,
    to_go,
    arc_first,
    arc_busy,
    arc_target,
    arc_move,
    node,
    lag,
    gain,
    gap_rule,
    shift_rule,
    out_profile,
    out_key,
    out_time,
    out_value,
    out_latency,
    out_base,
    out_bound,
    out_deadline,
    out_mark,
    out_parent,
    out_type,
    out_start,
    out_node,
    out_lag,
    out_gain,
):
    """Generate the children of labels lo..hi-1 until the output arrays might overflow.

    A child is a next start (type, round); rounds ascend, then types. Children that break the order among equal
    shapes, the gap rule, the shift rule or a bound are not written. `left` is the number of requests that the
    children leave to start; `to_go` holds the relaxed costs to go with that many (`kvopt.exact.relaxation`) when
    `relaxed` is true, and then each label carries the node of its relaxed profile, by how many rounds the label is
    later than it, and the summed reward of its remaining requests.

    Returns
    -------
    next label to expand, number of children written
    """
    width = demand.shape[1]
    kinds = demand.shape[0]
    room_for = out_key.shape[0]
    free = output - arrival
    cells = np.zeros(4 * width, dtype=window.dtype)
    child = np.zeros(4 * width, dtype=window.dtype)
    made = 0
    classes = np.int64(0)
    if relaxed:
        classes = class_of.max() + 1
    offset = price_sum[horizon] * capacity
    follows = np.zeros(kinds, dtype=np.bool_)
    for k in range(1, kinds):
        follows[k] = prompt[k - 1] == prompt[k] and output[k - 1] == output[k]
    present = np.empty(kinds, dtype=np.int64)
    chosen = np.empty(kinds, dtype=np.int64)
    # Easiest types after a start of each type, found when first needed (size -1 until then).
    chosen_after = np.empty((kinds, kinds), dtype=np.int64)
    size_after = np.empty(kinds, dtype=np.int64)
    # Least priced cost of all remaining requests from round t + x on, found when first needed.
    ahead = np.empty(4 * width, dtype=np.int64)
    for i in range(lo, hi):
        if made + kinds * (width + 1) > room_for or halt[0]:
            return i, made
        t = time[i]
        for u in range(2 * width):
            cells[u] = window[i, u]
        there = 0
        for k in range(kinds):
            size_after[k] = -1
            if rem[i, k] > 0:
                present[there] = k
                there += 1
        ahead[:] = -1
        size = easiest(rem, i, -1, output, arrival, chosen)
        longest = np.int64(width)
        if gap_rule:
            longest, _, _ = last_wait(cells, chosen, size, t, width, room, output, arrival)
        due = deadline[i]
        idle = base[i]
        for w in range(longest + 1):
            r = t + w
            if w > 0:
                # Round r - 1 passes: no later start will touch it.
                used = cells[width + w - 1]
                if used == capacity:
                    due = NEVER
                elif r - 1 >= due:
                    break
                if r - 1 < horizon:
                    idle += price[r - 1] * (capacity - np.int64(used))
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
                if not fits(cells, width + w, room[k], width):
                    continue
                child_due = due
                if shift_rule and r > arrival[k] and np.int64(cells[width + w - 1]) + prompt[k] + 1 <= capacity:
                    # It could run one round earlier unless a round of its run (not the last) gets full.
                    child_due = min(due, r + output[k] - 2)
                    if child_due < r:
                        continue
                if r < horizon:
                    child_base = idle + cost[r, k]
                else:
                    child_base = idle + scale * (r + free[k])
                child_latency = latency[i] + r + free[k]
                if left == 0:
                    if scale * child_latency + offset > limit:
                        continue
                    for u in range(width):
                        out_profile[made, u] = 0
                    out_key[made] = key[i] - multiplier[k]
                    out_time[made] = r
                    out_value[made] = child_latency
                    out_latency[made] = child_latency
                    out_base[made] = child_base
                    out_bound[made] = scale * child_latency + offset
                    out_deadline[made] = child_due
                    out_mark[made] = 0
                    out_parent[made] = i
                    out_type[made] = k
                    out_start[made] = r
                    out_node[made] = 0
                    out_lag[made] = 0
                    out_gain[made] = 0
                    made += 1
                    continue
                child_node = np.int32(0)
                child_gain = np.int64(0)
                relaxed_bound = np.int64(0)
                relaxed_time = r
                if relaxed:
                    wait = min(lag[i] + w, np.int64(arc_busy[node[i]]))
                    arc = arc_first[node[i]] + wait * classes + class_of[k]
                    child_node = arc_target[arc]
                    relaxed_time = r + arc_move[arc]
                    child_gain = gain[i] - reward[k]
                    relaxed_bound = scale * (child_latency + left * relaxed_time) + to_go[child_node]
                    relaxed_bound += child_gain + offset
                    if relaxed_bound > limit:
                        continue
                own = least_start(k, r, horizon, scale, least_cost, free, arrival)
                if child_base + ahead[w] - own > limit:
                    continue
                if size_after[k] < 0:
                    size_after[k] = easiest(rem, i, k, output, arrival, chosen_after[k])
                easy = chosen_after[k]
                for u in range(2 * width):
                    child[u] = cells[w + u]
                for u in range(width):
                    child[width + u] += demand[k, u]
                # Move forward to the first round in which a remaining request may start.
                move = np.int64(0)
                dropped = False
                while True:
                    now = r + move
                    startable = False
                    waiting = False
                    for j in range(size_after[k]):
                        if arrival[easy[j]] <= now:
                            waiting = True
                            if fits(child, width + move, room[easy[j]], width):
                                startable = True
                                break
                    if startable and move == 0:
                        # In the round of its start only types from k on may follow.
                        startable = False
                        for after in range(place, there):
                            k2 = present[after]
                            left_of = np.int64(rem[i, k2]) - (k2 == k)
                            if left_of > 0 and arrival[k2] <= now and fits(child, width, room[k2], width):
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
                    # Gap rule for runs that end in the round just passed.
                    for j in range(size_after[k] if gap_rule else 0):
                        x = move - output[easy[j]] + 1
                        if r + x >= arrival[easy[j]] and fits(child, width + x, room[easy[j]], width):
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
                        following = min(following, arrival[easy[j]])
                    if following > now:
                        if child_due < following:
                            continue
                        child_base += capacity * (price_sum[min(following, horizon)] - price_sum[min(now, horizon)])
                        now = following
                    for u in range(width):
                        out_profile[made, u] = 0
                else:
                    for u in range(width):
                        out_profile[made, u] = child[width + move + u]
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
                bound = max(bound, relaxed_bound)
                out_key[made] = key[i] - multiplier[k]
                out_time[made] = now
                out_value[made] = child_latency + left * now
                out_latency[made] = child_latency
                out_base[made] = child_base
                out_bound[made] = bound
                out_deadline[made] = child_due
                out_mark[made] = k if now == r else 0
                out_parent[made] = i
                out_type[made] = k
                out_start[made] = r
                out_node[made] = child_node
                out_lag[made] = now - relaxed_time
                out_gain[made] = child_gain
                made += 1
    return hi, made


@njit(cache=True, nogil=True)
def same_remaining(a, b, parent, kind, rem):
    """Whether children a and b leave the same requests."""
    for k in range(rem.shape[1]):
        if rem[parent[a], k] - (k == kind[a]) != rem[parent[b], k] - (k == kind[b]):
            return False
    return True


@njit(cache=True, nogil=True)
def group(key, exact, parent, kind, rem):
    """Bucket number of each child (equal remaining requests), the number of buckets, and one child of each.

    `key` is a linear hash of the remaining counts; unless it is exact, counts themselves are compared.
    """
    n = key.shape[0]
    size = 1
    while size < 2 * n + 2:
        size *= 2
    slot = np.full(size, -1, dtype=np.int32)
    bucket = np.empty(n, dtype=np.int32)
    first = np.empty(n, dtype=np.int32)
    found = 0
    for i in range(n):
        h = (np.uint64(key[i]) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)
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
            if key[j] == key[i] and (exact or same_remaining(i, j, parent, kind, rem)):
                bucket[i] = b
                break
            at = (at + 1) & (size - 1)
    return bucket, found, first[:found].copy()


@njit(cache=True, nogil=True)
def by_bucket(bucket, buckets):
    """Children sorted by bucket (stable) and where each bucket begins."""
    begin = np.zeros(buckets + 1, dtype=np.int64)
    for b in bucket:
        begin[b + 1] += 1
    for b in range(buckets):
        begin[b + 1] += begin[b]
    fill = begin[:-1].copy()
    order = np.empty(bucket.shape[0], dtype=np.int32)
    for i in range(bucket.shape[0]):
        order[fill[bucket[i]]] = i
        fill[bucket[i]] += 1
    return order, begin


@njit(cache=True, nogil=True)
def pack(cells, bits, words, out):
    """Write memory cells into `words` words of 64 bits, `bits` bits a cell; returns the number of busy cells."""
    per_word = 64 // bits
    busy = 0
    for j in range(words):
        word = np.uint64(0)
        for u in range(per_word):
            cell = cells[j * per_word + u]
            if cell > 0:
                busy = j * per_word + u + 1
                word |= np.uint64(cell) << np.uint64(u * bits)
        out[j] = word
    return busy


@njit(cache=True, nogil=True)
def within(better, busy, d, worse, bits, guard):
    """Whether profile `better`, read from cell d on, is nowhere above `worse` (both packed).

    The top bit of each cell of a word is free; set in `worse`, it survives the subtraction exactly where
    the cell does not go below zero.
    """
    per_word = 64 // bits
    skip = d // per_word
    low = np.uint64((d % per_word) * bits)
    for j in range((busy - d + per_word - 1) // per_word):
        word = better[skip + j] >> low
        if low > 0:
            word |= better[skip + j + 1] << (np.uint64(64) - low)
        if ((worse[j] | guard) - word) & guard != guard:
            return False
    return True


@njit(cache=True, nogil=True)
def dominate(
    halt, lo, hi, order, begin, profile, value, time, mark, left, last_arrival, bits, longest_shift, killer, shift
):
    """Mark the dominated children of buckets lo..hi-1: `killer` gets the dominator, `shift` the rounds it waits.

    Child A removes child B of the same bucket if, after A has waited d >= 0 rounds, it has cost no more than
    B, uses no more memory in any round, and can make every start B can (arrivals, order within the round);
    only d up to `longest_shift` are tried. Inside a bucket, children are taken in ascending (value, area,
    mark), so that none removes an earlier one.
    """
    width = profile.shape[1]
    words = width * bits // 64
    guard = np.uint64(0)
    for u in range(64 // bits):
        guard |= np.uint64(1) << np.uint64(u * bits + bits - 1)
    candidate = np.empty(words, dtype=np.uint64)
    for b in range(lo, hi):
        size = begin[b + 1] - begin[b]
        if size == 1:
            continue
        members = order[begin[b] : begin[b + 1]]
        least = value[members[0]]
        for i in members:
            least = min(least, value[i])
        rank = np.empty(size, dtype=np.int64)
        for j in range(size):
            i = members[j]
            area = np.int64(0)
            for u in range(width):
                area += np.int64(profile[i, u])
            rank[j] = (
                (min(value[i] - least, np.int64(2**31 - 1)) << 32)
                | (min(area, np.int64(2**22 - 1)) << 10)
                | min(np.int64(mark[i]), np.int64(1023))
            )
        sorted_members = members[np.argsort(rank, kind="mergesort")]
        rows = np.zeros((size, words + 1), dtype=np.uint64)
        kept = np.empty(size, dtype=np.int32)
        ends = np.empty(size, dtype=np.int32)
        # Memory of kept labels from each round on: it must not exceed the candidate's either, and falls with d.
        rest = np.empty((size, width + 1), dtype=np.int32)
        # Kept labels in the order in which they are tried: the last successful one first.
        trial = np.arange(size)
        alive = 0
        due = last_arrival[b]
        for c in sorted_members:
            if halt[0]:
                return
            busy = pack(profile[c], bits, words, candidate)
            t_c = time[c]
            needed = min(t_c, due)
            area = np.int64(0)
            for u in range(busy):
                area += np.int64(profile[c, u])
            beaten = False
            for place in range(alive):
                a = trial[place]
                i = kept[a]
                most = (value[c] - value[i]) // left
                first = max(needed - time[i], np.int64(ends[a] - busy), np.int64(0))
                last = min(most, max(np.int64(ends[a]), first), longest_shift)
                while first <= last and first < ends[a] and rest[a, first] > area:
                    first += 1
                for d in range(first, last + 1):
                    if d == 0 and mark[i] > mark[c]:
                        continue
                    if within(rows[a], ends[a], d, candidate, bits, guard):
                        killer[c] = i
                        shift[c] = d
                        beaten = True
                        break
                if beaten:
                    for q in range(place, 0, -1):
                        trial[q] = trial[q - 1]
                    trial[0] = a
                    break
            if not beaten:
                kept[alive] = c
                ends[alive] = busy
                for j in range(words):
                    rows[alive, j] = candidate[j]
                rest[alive, busy] = 0
                for u in range(busy - 1, -1, -1):
                    rest[alive, u] = min(np.int64(rest[alive, u + 1]) + profile[c, u], 2**31 - 1)
                alive += 1


@njit(cache=True, nogil=True)
def latest_arrivals(first, parent, kind, rem, arrival):
    """For each bucket, the last arrival among its remaining requests."""
    latest = np.zeros(first.shape[0], dtype=np.int64)
    for b in range(first.shape[0]):
        i = first[b]
        for k in range(rem.shape[1]):
            if rem[parent[i], k] - (k == kind[i]) > 0:
                latest[b] = max(latest[b], arrival[k])
    return latest


@njit(cache=True, nogil=True)
def child_windows(kept, parent, kind, start, time, parent_window, parent_time, demand, out):
    """Windows of the kept children: the parent's, with the new start, moved to the child's round."""
    width = demand.shape[1]
    cells = np.zeros(8 * width, dtype=out.dtype)
    for j in range(kept.shape[0]):
        i = kept[j]
        p = parent[i]
        for u in range(2 * width):
            cells[u] = parent_window[p, u]
        for u in range(2 * width, 8 * width):
            cells[u] = 0
        at = width + start[i] - parent_time[p]
        for u in range(width):
            cells[at + u] += demand[kind[i], u]
        move = min(time[i] - parent_time[p], np.int64(6 * width))
        for u in range(2 * width):
            out[j, u] = cells[move + u]


@njit(cache=True, nogil=True)
def closure(halt, prompt, output, capacity, max_arcs):
    """All memory profiles reachable by starts of any classes, and their arcs (see `ProfileGraph`)."""
    kinds = prompt.shape[0]
    width = np.int64(output.max())
    capacity_nodes = 1024
    profile = np.zeros((capacity_nodes, width), dtype=np.int16)
    busy = np.zeros(capacity_nodes, dtype=np.int32)
    first = np.zeros(capacity_nodes, dtype=np.int64)
    size = 4096
    slot = np.full(size, -1, dtype=np.int32)
    target = np.empty(1 << 16, dtype=np.int32)
    move = np.empty(1 << 16, dtype=np.int16)
    cells = np.zeros(3 * width, dtype=np.int64)
    child = np.zeros(3 * width, dtype=np.int64)
    row = np.zeros(width, dtype=np.int16)
    slot[hash_cells(row) & np.uint64(size - 1)] = 0
    nodes, arcs, at = 1, 0, 0
    complete = True
    while at < nodes:
        for u in range(width):
            cells[u] = profile[at, u]
        first[at] = arcs
        needed = (busy[at] + 1) * kinds
        if arcs + needed > max_arcs or halt[0]:
            complete = False
            break
        while arcs + needed > target.shape[0]:
            target = np.concatenate((target, np.empty_like(target)))
            move = np.concatenate((move, np.empty_like(move)))
        for w in range(busy[at] + 1):
            for k in range(kinds):
                arc = arcs
                arcs += 1
                target[arc] = -1
                move[arc] = 0
                if not room_for(cells, w, prompt[k], output[k], capacity):
                    continue
                for u in range(2 * width):
                    child[u] = cells[w + u]
                for j in range(output[k]):
                    child[j] += prompt[k] + j + 1
                moved = 0
                startable = False
                while not startable:
                    for k2 in range(kinds):
                        if room_for(child, moved, prompt[k2], output[k2], capacity):
                            startable = True
                            break
                    if not startable:
                        moved += 1
                length = 0
                for u in range(width):
                    row[u] = child[moved + u]
                    if row[u] > 0:
                        length = u + 1
                h = hash_cells(row) & np.uint64(size - 1)
                while True:
                    node = slot[h]
                    if node < 0:
                        if nodes == profile.shape[0]:
                            profile = np.concatenate((profile, np.zeros_like(profile)))
                            busy = np.concatenate((busy, np.zeros_like(busy)))
                            first = np.concatenate((first, np.zeros_like(first)))
                        node = nodes
                        nodes += 1
                        profile[node] = row
                        busy[node] = length
                        slot[h] = node
                        if 2 * nodes > size:
                            size *= 4
                            slot = np.full(size, -1, dtype=np.int32)
                            for c in range(nodes):
                                g = hash_cells(profile[c]) & np.uint64(size - 1)
                                while slot[g] >= 0:
                                    g = (g + np.uint64(1)) & np.uint64(size - 1)
                                slot[g] = c
                        break
                    same = True
                    for u in range(width):
                        if profile[node, u] != row[u]:
                            same = False
                            break
                    if same:
                        break
                    h = (h + np.uint64(1)) & np.uint64(size - 1)
                target[arc] = node
                move[arc] = moved
        at += 1
    return busy[:nodes].copy(), first[:nodes].copy(), target[:arcs].copy(), move[:arcs].copy(), complete


@njit(cache=True, nogil=True)
def hash_cells(row):
    """A 64-bit hash of a profile."""
    h = np.uint64(1469598103934665603)
    for cell in row:
        h = (h ^ np.uint64(cell)) * np.uint64(1099511628211)
    return h ^ (h >> np.uint64(29))


@njit(cache=True, nogil=True)
def room_for(cells, at, prompt, output, capacity):
    """Whether a request fits from cell `at` on."""
    for j in range(output):
        if cells[at + j] + prompt + j + 1 > capacity:
            return False
    return True


@njit(cache=True, nogil=True)
def sweep(cost, j, lo, hi, scale, start_cost, first, busy, target, move):
    """Fill ``cost[j, lo:hi]``, the least cost of j >= 1 starts from each profile, from ``cost[j - 1]``."""
    kinds = start_cost.shape[0]
    # From the empty worker j starts cost no more than from any other: once waiting makes up for that, stop.
    floor = np.int64(2**62)
    for k in range(kinds):
        floor = min(floor, start_cost[k] + scale * move[k] * (j - 1) + cost[j - 1, target[k]])
    for c in range(lo, hi):
        best = np.int64(2**62)
        arc = first[c]
        for w in range(busy[c] + 1):
            wait = scale * w * j
            if wait + floor >= best:
                break
            for k in range(kinds):
                node = target[arc]
                if node >= 0:
                    value = wait + start_cost[k] + scale * move[arc] * (j - 1) + cost[j - 1, node]
                    best = min(best, value)
                arc += 1
        cost[j, c] = best


@njit(cache=True, nogil=True)
def path(cost, scale, start_cost, first, busy, target, move, kinds):
    """Class and start round of each run on an optimal path of the relaxed problem, in order."""
    n = cost.shape[0] - 1
    kind, start = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    c = t = following = lag = 0
    for j in range(n, 0, -1):
        arc = first[c]
        found = False
        for w in range(busy[c] + 1):
            for k in range(kinds):
                node = target[arc]
                if node >= 0 and not found:
                    value = scale * (w * j + move[arc] * (j - 1)) + start_cost[k] + cost[j - 1, node]
                    if value == cost[j, c]:
                        kind[n - j], start[n - j] = k, t + w
                        following, lag = node, w + move[arc]
                        found = True
                arc += 1
            if found:
                break
        c = following
        t += lag
    return kind, start
