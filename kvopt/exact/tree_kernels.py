"""Compiled kernels of the search tree over starts (`kvopt.exact.starts`): exact linear programmes in integers.

A *dictionary* writes each start as ``(X[i, n] + sum_k X[i, k] y_k) / det`` with slacks ``y_k >= 0`` of n rows, and
the sum of all starts likewise with ``cost``, whose entries for slacks are never negative: dual feasible. A row that
the current starts violate is exchanged for one of the n (dual simplex method; divisions are exact, Edmonds 1967).
Slack k belongs to the row ``row[k]``, with requests ``held[k]`` if it limits memory (`codes of rows` below).

Codes of rows, with request n standing for round 0 and N = n + 1: ``i N + j`` for ``p_j - p_i >= known[i, j]``;
``N N + j`` for memory in the last round of j; ``N N + N + c`` for the c-th cut on the path from the root.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from kvopt.exact.proof import put

#: How a linear programme ends.
SOLVED, ABOVE, EMPTY, TOO_LARGE = 0, 1, 2, 3
#: Why `advance` comes back; all but DONE can be continued.
PAUSED, FOUND, DONE = 0, 1, 2
#: Codes of leaves, cuts and splits of the range of one start; the first code of a split by a pair.
LEAF, CUT, RANGE, PAIR = 0, 1, 2, 3
#: Most rounds to choose from of a start whose range is split where a linear programme is given up.
MOST_ROUNDS = 64
#: Pivots of one linear programme, cuts at one node.
MOST_PIVOTS, MOST_CUTS = 2_000, 10
#: Limits within which nothing leaves 64 bits: for det times constants, and for numbers of a dictionary, of which a new
#: row adds two for each request.
LARGEST, MOST_FACTOR = 1 << 62, 1 << 55
#: Below SMALL, products fit; the low 31 bits of a number.
SMALL, HALF = 1 << 31, (1 << 31) - 1
#: Pairs tried at each node, and how much a bound that is raised half way to the threshold counts: 2 to this power.
CANDIDATES, SHARPNESS = 60, 0.8


@njit(cache=True, nogil=True)
def tighten(known, i, j, distance):
    """Learn that p_j - p_i >= distance, with all that follows; False if that contradicts what is known."""
    if known[j, i] + distance > 0:
        return False
    if known[i, j] >= distance:
        return True
    for u in range(known.shape[0]):
        more = known[u, i] + distance
        if more > known[u, j]:
            for v in range(known.shape[0]):
                known[u, v] = max(known[u, v], more + known[j, v])
    return True


@njit(cache=True, nogil=True)
def branch(known, output, j, i, case):
    """Learn that request i starts after j completes (case 0), completes before j (1), or runs in j's last round (2)."""
    if case == 0:
        return tighten(known, j, i, output[j])
    if case == 1:
        return tighten(known, i, j, output[i] - output[j] + 1)
    return tighten(known, i, j, 1 - output[j]) and tighten(known, j, i, output[j] - output[i])


@njit(cache=True, nogil=True)
def surely_runs(known, output, i, j):
    """Whether request i is known to run in the last round of request j."""
    return known[i, j] >= 1 - output[j] and known[j, i] >= output[j] - output[i]


@njit(cache=True, nogil=True)
def surely_not(known, output, i, j):
    """Whether request i is known not to run in the last round of request j."""
    return known[j, i] >= output[j] or known[i, j] > output[i] - output[j]


@njit(cache=True, nogil=True)
def compared(a, b, c, d):
    """Sign of a b - c d for numbers from 0 to 2^62, exactly."""
    if max(a, b, c, d) < SMALL:
        return np.sign(a * b - c * d)
    # Halves of 31 bits: a b = high 2^62 + low, with low below 2^62.
    high, low = np.int64(0), np.int64(0)
    for sign, x, y in ((1, a, b), (-1, c, d)):
        x1, x0, y1, y0 = x >> 31, x & HALF, y >> 31, y & HALF
        middle = x1 * y0 + x0 * y1  # below 2^63
        rest = (x0 * y0 >> 31) + (middle & HALF)
        high += sign * (x1 * y1 + (middle >> 31) + (rest >> 31))
        low += sign * (((rest & HALF) << 31) + (x0 * y0 & HALF))
    return np.sign(high) if high != 0 else np.sign(low)


@njit(cache=True, nogil=True)
def largest(X, cost, new, q, det):
    """The largest number that an exchange at q makes, as near as floats tell."""
    n = X.shape[0]
    found, by = 0.0, new[q] / det
    for i in range(n + 1):
        values = X[i] if i < n else cost
        factor = values[q] / det
        for k in range(n + 1):
            if k != q:
                found = max(found, abs(values[k] * by - factor * new[k]))
    return found


@njit(cache=True, nogil=True)
def pivot(X, cost, scale, row, held, new, new_row, new_held):
    """Exchange the new row, whose slack is `new` / det, for the one that keeps the costs nonnegative.

    `scale` holds det, the pivots made, and the largest number by which det is multiplied elsewhere. Returns SOLVED,
    EMPTY if no starts satisfy the row, or TOO_LARGE.
    """
    n = X.shape[0]
    factors, constants = np.int64(0), max(abs(cost[n]), abs(new[n]))
    for i in range(n):
        factors, constants = max(factors, abs(new[i]), abs(cost[i])), max(constants, abs(X[i, n]))
        for k in range(n):
            factors = max(factors, abs(X[i, k]))
    q = -1
    for k in range(n):
        if new[k] > 0:
            # The least cost[k] / new[k]; of equal ones the least pivot, which keeps numbers small.
            side = -1 if q < 0 else compared(cost[k], new[q], cost[q], new[k])
            if side < 0 or (side == 0 and new[k] < new[q]):
                q = k
    if q < 0:
        return EMPTY
    det, by = scale[0], new[q]
    twos = 0
    while not det >> twos & 1:
        twos += 1
    grown, limit = 2.0 * factors * max(factors, constants) / det, min(LARGEST >> twos, MOST_FACTOR)
    if by >= LARGEST // scale[2]:
        return TOO_LARGE
    if grown >= limit and largest(X, cost, new, q, det) + 2.0**-50 * grown + 1 >= limit:
        return TOO_LARGE
    # Exact division by det = odd 2^twos is multiplication by the inverse of its odd part, modulo 2^(64 - twos); so
    # products may overflow as long as quotients do not.
    odd = det >> twos
    inverse = odd
    for _ in range(5):
        inverse *= 2 - odd * inverse
    for i in range(n + 1):
        values = X[i] if i < n else cost
        factor = values[q]
        if factor == 0 and by == det:
            continue
        for k in range(n + 1):
            if k != q:
                values[k] = ((values[k] * by - factor * new[k] >> twos) * inverse << twos) >> twos
    scale[0] = by
    scale[1] += 1
    row[q], held[q] = new_row, new_held
    return SOLVED


@njit(cache=True, nogil=True)
def repair(X, cost, scale, row, held, known, problem, capacity, most, new, new_name):
    """Pivot until the starts satisfy all rows known (SOLVED), sum to more than `most` (ABOVE), or are EMPTY.

    `problem` has the rows prompt and output. When EMPTY, `new` and `new_name` are the row that shows it.
    """
    n = X.shape[0]
    prompt, output = problem[0], problem[1]
    runs = np.empty(n, dtype=np.int64)
    count = np.empty(n, dtype=np.int64)
    for j in range(n):
        runs[j] = count[j] = 0
        for i in range(n):
            if i != j and surely_runs(known, output, i, j):
                runs[j] |= np.int64(1) << i
                count[j] += 1
    first = scale[1]
    while cost[n] <= most * scale[0]:
        det = scale[0]
        worst, kind, number = np.int64(0), -1, -1
        for i in range(n + 1):
            x = X[i, n] if i < n else 0
            for j in range(n + 1):
                short = (X[j, n] if j < n else 0) - x - known[i, j] * det
                if short < worst:
                    worst, kind, number = short, i, j
        for j in range(n):
            if count[j] > 0:
                free = (capacity - prompt[j] - output[j]) * det - count[j] * X[j, n]
                for i in range(n):
                    if runs[j] >> i & 1:
                        free -= (prompt[i] + output[j]) * det - X[i, n]
                if free < worst * count[j]:
                    worst, kind, number = -(-free // count[j]), n + 1, j
                    if worst == 0:
                        worst = np.int64(-1)
        if kind < 0:
            return SOLVED
        if scale[1] - first >= MOST_PIVOTS:
            return TOO_LARGE
        if kind <= n:
            for k in range(n + 1):
                new[k] = (X[number, k] if number < n else 0) - (X[kind, k] if kind < n else 0)
            new[n] -= known[kind, number] * det
            new_name[0], new_name[1] = kind * (n + 1) + number, 0
        else:
            for k in range(n + 1):
                new[k] = -count[number] * X[number, k]
            new[n] += (capacity - prompt[number] - output[number]) * det
            for i in range(n):
                if runs[number] >> i & 1:
                    new[n] -= (prompt[i] + output[number]) * det
                    for k in range(n + 1):
                        new[k] += X[i, k]
            new_name[0], new_name[1] = (n + 1) * (n + 1) + number, runs[number]
        end = pivot(X, cost, scale, row, held, new, new_name[0], new_name[1])
        if end != SOLVED:
            return end
    return ABOVE


@njit(cache=True, nogil=True)
def begin(X, cost, scale, row, known):
    """The dictionary of a node without any exchange: all starts at the first rounds known."""
    n = X.shape[0]
    cost[n] = 0
    for i in range(n):
        X[i, :] = 0
        X[i, i] = cost[i] = 1
        X[i, n] = known[n, i]
        cost[n] += known[n, i]
        row[i] = n * (n + 1) + i
    scale[0], scale[1] = 1, 0


@njit(cache=True, nogil=True)
def last_resort(X, det, known, output):
    """Where to split a node whose linear programme was given up and whose memory seems to suffice: j, i and order.

    The undecided pair that can lie least far apart; without one, j = -1 and the start with most rounds to choose from,
    if they are few enough, else i = -1.
    """
    n = X.shape[0]
    best_j, best_i, least = -1, -1, np.int64(1) << 62
    for j in range(n):
        for i in range(n):
            if i != j and not (surely_runs(known, output, i, j) or surely_not(known, output, i, j)):
                room = -known[j, i] - known[i, j]
                if room < least:
                    best_j, best_i, least = j, i, room
    if best_j >= 0:
        return best_j, best_i, np.int64(0)
    most = np.int64(0)
    for i in range(n):
        rounds = -known[i, n] - known[n, i]
        if rounds > most:
            best_i, most = i, rounds
    if best_i < 0 or most > MOST_ROUNDS:
        return -1, -1, np.int64(0)
    first = known[n, best_i]
    return -1, best_i, min(max(X[best_i, n] // det, first), first + most - 1)


@njit(cache=True, nogil=True)
def fractional(X, det):
    """The first start that is no integer, or -1."""
    n = X.shape[0]
    for i in range(n):
        if X[i, n] % det != 0:
            return i
    return -1


@njit(cache=True, nogil=True)
def write_rows(codes, at, row, held, factors, n, extra_row, extra_held, extra):
    """Write the rows with positive factors, but for first rounds of starts, which the checker adds itself."""
    corner = n * (n + 1)
    count = 1 if extra > 0 and not corner <= extra_row < corner + n else 0
    for k in range(n):
        if factors[k] > 0 and not corner <= row[k] < corner + n:
            count += 1
    at = put(codes, at, count)
    for k in range(n + 1):
        name, requests, factor = (row[k], held[k], factors[k]) if k < n else (extra_row, extra_held, extra)
        if factor > 0 and not corner <= name < corner + n:
            at = put(codes, at, name)
            if (n + 1) * (n + 1) <= name < (n + 1) * (n + 2):
                at = put(codes, at, requests)
            at = put(codes, at, factor)
    return at


@njit(cache=True, nogil=True)
def choose(X, cost, scale, row, held, known, problem, capacity, most, candidates, work):
    """The pair to split at: j and i, and the cases in ascending order of bound; j = -1 if memory suffices everywhere.

    Candidates are pairs in which i seems to run in the last round of j, where memory is exceeded. For the first
    `CANDIDATES` of them, by how much apart the two are from not meeting, all three cases are bounded.
    """
    n = X.shape[0]
    det = scale[0]
    prompt, output = problem[0], problem[1]
    found = 0
    for j in range(n):
        end = X[j, n] + output[j] * det
        total, open_pairs = (prompt[j] + output[j]) * det, found
        for i in range(n):
            if i != j and X[i, n] < end and X[i, n] + output[i] * det > end - det:
                total += prompt[i] * det + end - X[i, n]
                # Decided cases can be broken here where a linear programme was given up.
                if not (surely_runs(known, output, i, j) or surely_not(known, output, i, j)):
                    candidates[open_pairs, 0], candidates[open_pairs, 1] = j, i
                    later, earlier = end - X[i, n], X[i, n] + output[i] * det - end + det
                    candidates[open_pairs, 2] = min(later, earlier)
                    open_pairs += 1
        if total > capacity * det:
            found = open_pairs
    best_j, best_i, best_order, least = -1, -1, 0, 1e300
    before = cost[n] / det
    room = most + 1 - before
    sums = np.empty(3)
    for turn in range(min(found, CANDIDATES)):
        far = turn
        for other in range(turn + 1, found):
            if candidates[other, 2] > candidates[far, 2]:
                far = other
        for part in range(3):
            candidates[turn, part], candidates[far, part] = candidates[far, part], candidates[turn, part]
        j, i = candidates[turn, 0], candidates[turn, 1]
        score = 0.0
        for case in range(3):
            wX, wcost, wscale, wrow, wheld, wknown, new, new_name = work
            sums[case] = 1e300
            wknown[:] = known
            if branch(wknown, output, j, i, case):
                wX[:], wcost[:], wscale[:] = X, cost, scale
                end = repair(wX, wcost, wscale, wrow, wheld, wknown, problem, capacity, most, new, new_name)
                if end in (SOLVED, TOO_LARGE):
                    sums[case] = wcost[n] / wscale[0]
                    score += 2.0 ** (-2 * SHARPNESS * (sums[case] - before) / room)
        if score < least:
            first = int(np.argmin(sums))
            second, third = (1 if first == 0 else 0), (1 if first == 2 else 2)
            least, best_j, best_i = score, j, i
            best_order = 2 * first + (1 if sums[second] > sums[third] else 0)
            if score == 0.0:
                break
    return best_j, best_i, best_order


@njit(cache=True, nogil=True)
def case_of(order, turn):
    """The turn-th of the three cases in the order of that number; orders are numbered lexicographically."""
    first = order // 2
    if turn == 0:
        return first
    second, third = (1 if first == 0 else 0), (1 if first == 2 else 2)
    return second if (turn == 1) == (order % 2 == 0) else third


@njit(cache=True, nogil=True)
def advance(levels, nodes, at, problem, capacity, most, codes, candidates, work, figures, best):
    """Go on with the tree, depth first, for at most ``figures[0]`` nodes or until the codes are full.

    `levels`: the arrays of a dictionary and what is known, one for each depth; `nodes`: j, i, order of the cases, next
    turn and cuts on the path, or for the range of a start -1, i, last start of the first part. `at`: depth, whether its
    node is new, whether a schedule has been found; `most`: sums of starts above it need no proof, lowered with each
    schedule; `figures`: nodes to go, nodes, bytes of codes, sum of starts above which nothing is proved.
    """
    X, cost, scale, row, held, known = levels
    n = X.shape[1]
    output = problem[1]
    new, new_name = np.empty(n + 1, dtype=np.int64), np.empty(2, dtype=np.int64)
    while at[0] >= 0:
        d = at[0]
        if at[1]:
            if figures[0] <= 0 or figures[2] + 30 * (n + 2) * (MOST_CUTS + 2) > codes.shape[0]:
                return PAUSED
            figures[0] -= 1
            figures[1] += 1
            at[1] = 0
            end = repair(X[d], cost[d], scale[d], row[d], held[d], known[d], problem, capacity, most[0], new, new_name)
            if end == TOO_LARGE:
                # Another way from the start may keep the numbers smaller.
                begin(X[d], cost[d], scale[d], row[d], known[d])
                end = repair(
                    X[d], cost[d], scale[d], row[d], held[d], known[d], problem, capacity, most[0], new, new_name
                )
            j, cuts = -1, 0
            while end in (SOLVED, TOO_LARGE):
                j, i, order = choose(
                    X[d], cost[d], scale[d], row[d], held[d], known[d], problem, capacity, most[0], candidates, work
                )
                if j >= 0:
                    break
                if end == TOO_LARGE:
                    j, i, order = last_resort(X[d], scale[d, 0], known[d], output)
                    break
                x = fractional(X[d], scale[d, 0])
                if x < 0:
                    # A schedule: its own sum of starts is the new limit, which this leaf exceeds.
                    for i in range(n):
                        best[i] = X[d, i, n] // scale[d, 0]
                    most[0] = cost[d, n] // scale[d, 0] - 1
                    end = ABOVE
                    at[2] = 1
                    break
                # Gomory's cut: integer slacks y_k with sum_k (X[x, k] mod det) y_k >= -X[x, n] mod det.
                det = scale[d, 0]
                if cuts == MOST_CUTS:
                    i, order = x, X[d, x, n] // det
                    break
                cuts += 1
                for k in range(n):
                    new[k] = X[d, x, k] % det
                new[n] = -((-X[d, x, n]) % det)
                figures[2] = put(codes, figures[2], CUT)
                figures[2] = put(codes, figures[2], det)
                figures[2] = write_rows(codes, figures[2], row[d], held[d], new, n, 0, 0, 0)
                name = (n + 1) * (n + 2) + nodes[d, 4]
                nodes[d, 4] += 1
                end = pivot(X[d], cost[d], scale[d], row[d], held[d], new, name, 0)
                if end == SOLVED:
                    end = repair(
                        X[d], cost[d], scale[d], row[d], held[d], known[d], problem, capacity, most[0], new, new_name
                    )
                elif end == EMPTY:
                    new_name[0], new_name[1] = name, 0
            if (end == TOO_LARGE and j < 0 and i < 0) or (end in (SOLVED, TOO_LARGE) and d + 1 == X.shape[0]):
                # What is known still bounds the sum of starts, though not above the limit.
                figures[3] = min(figures[3], -(-cost[d, n] // scale[d, 0]) - 1)
                end = ABOVE
            if end == ABOVE:
                figures[2] = put(codes, figures[2], LEAF)
                figures[2] = put(codes, figures[2], scale[d, 0])
                figures[2] = write_rows(codes, figures[2], row[d], held[d], cost[d], n, 0, 0, 0)
            elif end == EMPTY:
                figures[2] = put(codes, figures[2], LEAF)
                figures[2] = put(codes, figures[2], 0)
                for k in range(n):
                    new[k] = -new[k]
                figures[2] = write_rows(
                    codes, figures[2], row[d], held[d], new, n, new_name[0], new_name[1], scale[d, 0]
                )
            else:
                nodes[d, 0], nodes[d, 1], nodes[d, 2], nodes[d, 3] = j, i, order, 0
                if j < 0:
                    figures[2] = put(codes, figures[2], RANGE)
                    figures[2] = put(codes, figures[2], i)
                    figures[2] = put(codes, figures[2], order)
                else:
                    figures[2] = put(codes, figures[2], PAIR + (j * n + i) * 6 + order)
            if end in (ABOVE, EMPTY):
                at[0] -= 1
                if at[2]:
                    at[2] = 0
                    return FOUND
                continue
        j, i, order, turn = nodes[d, :4]
        if turn == (3 if j >= 0 else 2):
            at[0] -= 1
            continue
        nodes[d, 3] += 1
        known[d + 1] = known[d]
        if j >= 0:
            possible = branch(known[d + 1], output, j, i, case_of(order, turn))
        elif turn == 0:
            possible = tighten(known[d + 1], i, n, -order)
        else:
            possible = tighten(known[d + 1], n, i, order + 1)
        if possible:
            X[d + 1], cost[d + 1], scale[d + 1] = X[d], cost[d], scale[d]
            row[d + 1], held[d + 1], nodes[d + 1, 4] = row[d], held[d], nodes[d, 4]
            at[0], at[1] = d + 1, 1
    return DONE
