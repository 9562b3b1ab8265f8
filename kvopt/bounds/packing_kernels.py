"""Numba kernels of the packing bound (`kvopt.bounds.packing`): one sweep over the rounds, and its expected starts.

A *label* is what a packing of starts has led to: the memory profile of its running requests from the present round
on, and its gain. Profiles are packed into 64-bit words, the highest bit of each cell free, so that one subtraction
compares all cells of a word.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def below(first, a, second, b, words, high):
    """Whether no cell of profile ``first[a]`` is above that of ``second[b]``."""
    for q in range(words):
        if ((second[b, q] | high) - first[a, q]) & high != high:
            return False
    return True


@njit(cache=True, nogil=True, inline="always")
def signature(profile, x, words, bits, most):
    """Eight bits for each of eight cells, as many set as the cell is full: of a profile nowhere above, no others are.

    Bits of the second are a cheap test that most pairs of profiles fail.
    """
    cells = 64 // bits
    marks = np.uint64(0)
    for i in range(8):
        u = i * (words * cells - 1) // 8
        held = np.int64((profile[x, u // cells] >> np.uint64(bits * (u % cells))) & np.uint64((1 << bits) - 1))
        marks |= ((np.uint64(1) << np.uint64(held * 8 // most)) - np.uint64(1)) << np.uint64(8 * i)
    return marks


@njit(cache=True, nogil=True)
def sweep(shapes, volumes, counts, gains, worth, capacity, high, bits, unit, smoothing, most, most_work):
    """All packings of profitable starts, round by round; dominated labels are given up for their dominators.

    Parameters
    ----------
    shapes : uint64 array of shape (K, words)
        Packed profile of a run of each type from its start.
    volumes, counts : int64 arrays of shape (K,)
    worth : float64 array of shape (R,)
        Gain that a token held in some later round is worth: decides the order in which dominators are sought.
    gains : int64 array of shape (R, K)
        What a start in each round earns; starts that do not earn anything are left out.
    capacity, high : uint64 arrays of shape (1,)
        A word whose cells hold the capacity; a word with the highest bit of each cell.
    bits : int
        Bits of a cell.
    unit, smoothing : float
        Gains per round of latency; softness of the maximum in rounds of latency.
    most, most_work : int
        Candidates and comparisons after which the sweep is given up.

    Returns
    -------
    complete : bool
    best : int
        Largest gain of a packing.
    work : int
        Comparisons made, and some for each candidate.
    parent, kind, group, soft : arrays with an entry for each candidate
        Candidate or label (-1 - number) that it continues; its last start's type, -1 for none; the label that stands
        for it in the next round; its smoothed gain.
    label_soft : float64 array with an entry for each label
    round_of, first : int64 arrays
        The rounds in which something starts, and the first candidate of each.
    """
    types, words = shapes.shape
    size = 1 << 12
    parent, kind = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.int16)
    group, soft = np.empty(size, dtype=np.int32), np.empty(size)
    room = 1 << 10
    profile, weight = np.zeros((room, words), dtype=np.uint64), np.zeros(room, dtype=np.int64)
    tokens = np.zeros(room, dtype=np.int64)
    kept = np.zeros((room, words), dtype=np.uint64)
    label_soft, label_size = np.zeros(size), 1
    labels, first_label, candidates, best, work = 1, 0, 0, np.int64(0), np.int64(0)
    round_of, first = np.empty(len(gains), dtype=np.int64), np.empty(len(gains) + 1, dtype=np.int64)
    most_tokens = np.int64(capacity[0] & np.uint64((1 << bits) - 1))
    rounds = 0
    now = 0
    complete = True
    shift, back, cell = np.uint64(bits), np.uint64(64 - bits), np.uint64((1 << bits) - 1)
    for t in range(len(gains)):
        if gains[t].max() <= 0:
            continue
        round_of[rounds], first[rounds] = t, candidates
        rounds += 1
        for _ in range(min(t - now, words * (64 // bits))):
            for x in range(labels):
                tokens[x] -= np.int64(profile[x, 0] & cell)
                for q in range(words):
                    after = profile[x, q + 1] << back if q + 1 < words else np.uint64(0)
                    profile[x, q] = (profile[x, q] >> shift) | after
        here, offset = labels, candidates
        for x in range(labels):
            if offset + x >= len(parent):
                parent, kind = np.append(parent, parent), np.append(kind, kind)
                group, soft = np.append(group, group), np.append(soft, soft)
            parent[offset + x], kind[offset + x], soft[offset + x] = (
                -1 - (first_label + x),
                -1,
                label_soft[first_label + x],
            )
        for k in range(types):
            gain = gains[t, k]
            if gain <= 0:
                continue
            begin, end = 0, here
            for _ in range(counts[k]):
                for x in range(begin, end):
                    if here >= len(profile):
                        profile, weight = np.append(profile, profile).reshape(-1, words), np.append(weight, weight)
                        tokens = np.append(tokens, tokens)
                        kept = np.zeros(profile.shape, dtype=np.uint64)
                    fits = True
                    for q in range(words):
                        cells = profile[x, q] + shapes[k, q]
                        profile[here, q] = cells
                        fits &= ((capacity[0] | high[0]) - cells) & high[0] == high[0]
                    if not fits:
                        continue
                    at = offset + here
                    if at >= len(parent):
                        parent, kind = np.append(parent, parent), np.append(kind, kind)
                        group, soft = np.append(group, group), np.append(soft, soft)
                    weight[here], tokens[here] = weight[x] + gain, tokens[x] + volumes[k]
                    parent[at], kind[at], soft[at] = offset + x, k, soft[offset + x] + gain / unit
                    here += 1
                    if offset + here > most:
                        break
                begin, end = end, here
                if begin == end or offset + here > most:
                    break
            if offset + here > most:
                break
        candidates = offset + here
        work += 20 * here
        if candidates > most or work > most_work:
            complete = False
            break
        # This round is over: what is compared, and kept, is the memory from the next one on.
        for x in range(here):
            best = max(best, weight[x])
            tokens[x] -= np.int64(profile[x, 0] & cell)
            for q in range(words):
                after = profile[x, q + 1] << back if q + 1 < words else np.uint64(0)
                profile[x, q] = (profile[x, q] >> shift) | after
        now = t + 1
        # A dominator has gained no less and holds no more, so it comes first in this order.
        order = np.argsort(worth[t] * tokens[:here] - weight[:here], kind="mergesort")
        leader = np.empty(here, dtype=np.int32)
        tops, last = 0, 0
        kept_weight, kept_tokens = np.empty(here + 64, dtype=np.int64), np.empty(here, dtype=np.int64)
        kept_mark = np.empty(here + 64, dtype=np.uint64)
        for place in range(here):
            x = order[place]
            found = -1
            if tops > 0 and kept_weight[last] >= weight[x] and below(kept, last, profile, x, words, high[0]):
                found = last
            else:
                mark, gained = ~signature(profile, x, words, bits, most_tokens), weight[x]
                for base in range(0, tops, 64):
                    marks, heavier = kept_mark[base : base + 64], kept_weight[base : base + 64]
                    possible = 0
                    for j in range(64):
                        possible += ((marks[j] & mark) == 0) & (heavier[j] >= gained)
                    if possible == 0:
                        continue
                    for j in range(min(64, tops - base)):
                        if (
                            (marks[j] & mark) == 0
                            and heavier[j] >= gained
                            and below(kept, base + j, profile, x, words, high[0])
                        ):
                            found = base + j
                            break
                    if found >= 0:
                        break
                work += tops if found < 0 else found
            if found < 0:
                for q in range(words):
                    kept[tops, q] = profile[x, q]
                kept_weight[tops], kept_tokens[tops] = weight[x], tokens[x]
                kept_mark[tops] = signature(profile, x, words, bits, most_tokens)
                found = tops
                tops += 1
            last = found
            leader[x] = found
        # The next labels, in the order in which candidates first name them.
        number = np.full(tops, -1, dtype=np.int32)
        first_label, labels = label_size, 0
        new_weight, new_tokens = np.empty(tops, dtype=np.int64), np.empty(tops, dtype=np.int64)
        for x in range(here):
            j = leader[x]
            if number[j] < 0:
                number[j] = labels
                for q in range(words):
                    profile[labels, q] = kept[j, q]
                new_weight[labels], new_tokens[labels] = kept_weight[j], kept_tokens[j]
                labels += 1
            group[offset + x] = first_label + number[j]
        weight[:labels], tokens[:labels] = new_weight, new_tokens
        while label_size + labels > len(label_soft):
            label_soft = np.append(label_soft, label_soft)
        label_size += labels
        # Smoothed maximum over the candidates of a label.
        highest, total = np.full(labels, -np.inf), np.zeros(labels)
        for x in range(here):
            g = group[offset + x] - first_label
            highest[g] = max(highest[g], soft[offset + x])
        for x in range(here):
            g = group[offset + x] - first_label
            total[g] += np.exp((soft[offset + x] - highest[g]) / smoothing)
        for g in range(labels):
            label_soft[first_label + g] = highest[g] + smoothing * np.log(total[g])
    first[rounds] = candidates
    return (
        complete,
        best,
        work,
        parent[:candidates],
        kind[:candidates],
        group[:candidates],
        soft[:candidates],
        label_soft[:label_size],
        round_of[:rounds],
        first[: rounds + 1],
    )


@njit(cache=True, nogil=True)
def expected_starts(parent, kind, group, soft, label_soft, round_of, first, smoothing, types, horizon):
    """Expected starts of each type in each round, shape (R, K), when packings are drawn by their smoothed gains."""
    starts = np.zeros((horizon, types))
    chance, label_chance = np.zeros(len(parent)), np.zeros(len(label_soft))
    if len(parent) == 0:
        return starts
    ends = group[first[-2] :].min()
    highest = label_soft[ends:].max()
    label_chance[ends:] = np.exp((label_soft[ends:] - highest) / smoothing)
    label_chance /= label_chance.sum()
    for r in range(len(round_of) - 1, -1, -1):
        for x in range(first[r + 1] - 1, first[r] - 1, -1):
            chance[x] += label_chance[group[x]] * np.exp((soft[x] - label_soft[group[x]]) / smoothing)
            if kind[x] < 0:
                label_chance[-1 - parent[x]] += chance[x]
            else:
                chance[parent[x]] += chance[x]
                starts[round_of[r], kind[x]] += chance[x]
    return starts
