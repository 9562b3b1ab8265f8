"""Numba kernels of the packing bound (`kvopt.bounds.packing`): a sweep over the rounds, and steps on what it leaves.

A *label* is what a packing of starts has led to: the memory profile of its running requests from the present round
on, and its gain. Profiles are packed into 64-bit words, the highest bit of each cell free, so that one subtraction
compares all cells of a word. Arrays are indexed by unsigned integers, and not sliced, where time matters: that
lets the compiler make vectors of loops, and spares it counting references.
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: Kept labels that are looked at together.
BLOCK = 64
#: Ranks of a cell in a mark, and bins of a cell's tokens when ranks are assigned.
RANKS, BINS = 8, 256
#: Paths worse than the best one of a label by more than this many times the smoothing do not count.
CUT_OFF = 20.0


@njit(cache=True, nogil=True, inline="always")
def move_on(profile, tokens, x, words, bits):
    """Label x one round later."""
    back = np.uint64(64 - bits)
    tokens[x] -= np.int64(profile[x, 0] & np.uint64((1 << bits) - 1))
    for q in range(words):
        after = profile[x, q + 1] << back if q + 1 < words else np.uint64(0)
        profile[x, q] = (profile[x, q] >> np.uint64(bits)) | after


@njit(cache=True, nogil=True)
def expand(profile, gained, tokens, waited, shapes, volumes, counts, gains, capacity, high, bits, most):
    """The candidates of a round: its labels, and these with further starts.

    Parameters
    ----------
    profile : uint64 array of shape (L, words)
        Of the labels, moved on in place.
    gained, tokens : int64 arrays of shape (L,)
        Their gains, and all tokens that their runs still hold, round by round.
    waited : int
        Rounds since that of the labels.
    shapes : uint64 array of shape (K, words)
        Packed profile of a run of each type from its start.
    volumes, counts, gains : int64 arrays of shape (K,)
        Gains of a start in this round; types that do not gain are left out.
    capacity, high : uint64
        A word whose cells hold the capacity; a word with the highest bit of each cell.
    bits : int
        Bits of a cell.
    most : int
        Candidates beyond which the round is given up; then there are more than that.

    Returns
    -------
    profile, gained, tokens : arrays of C candidates
        As above, one round later.
    parent, kind : int32 and int16 arrays of shape (C,)
        Candidate to which a start is added, or label; the type, or -1 for a label as it is.
    """
    labels, words = profile.shape
    for _ in range(min(waited, words * (64 // bits))):
        for x in range(labels):
            move_on(profile, tokens, x, words, bits)
    room = 2 * labels + 64
    cells, gain, held = np.empty((room, words), np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    parent, kind = np.empty(room, np.int32), np.empty(room, np.int16)
    head = np.empty(room, np.uint64)  # the first word, in which most starts do not fit
    for x in range(labels):
        for q in range(words):
            cells[x, q] = profile[x, q]
        head[x], gain[x], held[x], parent[x], kind[x] = cells[x, 0], gained[x], tokens[x], x, -1
    here = labels
    for k in range(len(gains)):
        if gains[k] <= 0:
            continue
        begin, end = 0, here
        for _ in range(counts[k]):
            for x in range(begin, end):
                fits = ((capacity | high) - head[x] - shapes[k, 0]) & high == high
                if not fits:
                    continue
                for q in range(1, words):
                    fits &= ((capacity | high) - cells[x, q] - shapes[k, q]) & high == high
                if not fits:
                    continue
                if here == room:
                    room *= 2
                    cells, head = np.append(cells, cells).reshape(-1, words), np.append(head, head)
                    gain, held = np.append(gain, gain), np.append(held, held)
                    parent, kind = np.append(parent, parent), np.append(kind, kind)
                for q in range(words):
                    cells[here, q] = cells[x, q] + shapes[k, q]
                head[here] = cells[here, 0]
                gain[here], held[here] = gain[x] + gains[k], held[x] + volumes[k]
                parent[here], kind[here] = x, k
                here += 1
            begin, end = end, here
            if begin == end or here > most:
                break
        if here > most:
            break
    for x in range(here):
        move_on(cells, held, x, words, bits)
    return cells[:here], gain[:here], held[:here], parent[:here], kind[:here]


@njit(cache=True, nogil=True)
def marks(profile, bits, length, capacity):
    """Marks of profiles, and the bits that put kept labels into families.

    A mark has `RANKS` bits for each of eight cells, as many set as the cell's rank among all: a profile that is nowhere
    above another has no bit that the other one has not, a cheap test that most pairs fail. The bit of a cell that is
    nearest to being set in half of the marks tells families apart, the fewer profiles the fewer cells.
    """
    count = len(profile)
    mark = np.zeros(count, np.uint64)
    cells, cut = 64 // bits, np.uint64((1 << bits) - 1)
    coarse = np.uint64(0)
    while capacity >= BINS:
        capacity >>= 1
        coarse += np.uint64(1)
    rank, bin_of = np.empty(BINS, np.uint64), np.empty(count, np.uint8)
    chosen, balance = np.zeros(8, np.uint64), np.zeros(8)
    for i in range(8):
        u = i * (length - 1) // 8
        word, place = u // cells, np.uint64(bits * (u % cells))
        number = np.zeros(BINS, np.int64)
        for x in range(count):
            bin_of[x] = ((profile[x, word] >> place) & cut) >> coarse
            number[bin_of[x]] += 1
        before = 0
        for b in range(BINS):
            levels = min(before * RANKS // max(count - 1, 1), RANKS)
            # As many bits as there are ranks at or below the share of profiles that are lower.
            rank[b] = ((np.uint64(1) << np.uint64(levels)) - np.uint64(1)) << np.uint64(RANKS * i)
            if number[b] > 0 and min(before, count - before) > balance[i]:
                balance[i] = min(before, count - before)
                chosen[i] = np.uint64(1) << np.uint64(RANKS * i + max(levels - 1, 0))
            before += number[b]
        for x in range(count):
            mark[x] |= rank[bin_of[x]]
    family, parts = np.uint64(0), count >> 10
    while parts > 0 and balance.max() > 0:
        evenest = balance.argmax()
        family |= chosen[evenest]
        balance[evenest] = 0
        parts >>= 1
    return mark, family


@njit(cache=True, nogil=True, inline="always")
def dominator(x, start, blocks, profile, gained, mark, kept, kept_gain, kept_mark, block_mark, block_gain, words, high):
    """Slot of a kept label that holds no more than candidate x and gained no less, in blocks from `start` on, or -1.

    Also returned is the number of blocks looked at.
    """
    without, gain = ~mark[x], gained[x]
    looked = 0
    for b in range(start, blocks):
        if block_mark[b] & without != 0 or block_gain[b] < gain:
            continue
        looked += 1
        base = np.uint64(b * BLOCK)
        possible = 0
        for j in range(BLOCK):
            at = base + np.uint64(j)
            possible += ((kept_mark[at] & without) == 0) & (kept_gain[at] >= gain)
        if possible == 0:
            continue
        for j in range(BLOCK):
            at = base + np.uint64(j)
            if (kept_mark[at] & without) == 0 and kept_gain[at] >= gain:
                holds_less = True
                for q in range(words):
                    if ((profile[x, q] | high) - kept[at, q]) & high != high:
                        holds_less = False
                        break
                if holds_less:
                    return np.int64(at), looked
    return -1, looked


@njit(cache=True, nogil=True)
def search(
    lo, hi, order, blocks, leader, profile, gained, mark, kept, kept_gain, kept_mark, block_mark, block_gain, high
):
    """Find dominators of candidates ``order[lo:hi]`` in the first blocks; returns what it cost, in blocks."""
    words = profile.shape[1]
    work = 0
    for place in range(lo, hi):
        x = order[place]
        leader[x], looked = dominator(
            x, 0, blocks, profile, gained, mark, kept, kept_gain, kept_mark, block_mark, block_gain, words, high
        )
        work += looked + (blocks >> 4)
    return work


@njit(cache=True, nogil=True)
def settle(
    lo, hi, order, searched, leader, profile, gained, mark, family, open_block, kept_from, block_size,
    kept, kept_gain, kept_mark, block_mark, block_gain, high
):  # fmt: skip
    """Keep candidates ``order[lo:hi]`` that no kept one dominates; the first blocks have been searched.

    Returns the number of blocks and what it cost.
    """
    words = profile.shape[1]
    work, blocks = 0, searched
    for place in range(lo, hi):
        x = order[place]
        if leader[x] >= 0:
            continue
        found, looked = dominator(
            x, searched, blocks, profile, gained, mark, kept, kept_gain, kept_mark, block_mark, block_gain, words, high
        )
        work += looked + ((blocks - searched) >> 4)
        if found < 0:
            number, rest = 0, family
            while rest != 0:
                lowest = rest & (~rest + np.uint64(1))
                number = 2 * number + (mark[x] & lowest != 0)
                rest ^= lowest
            b = open_block[number]
            if b < searched or block_size[b] == BLOCK:
                b = blocks
                open_block[number] = b
                block_mark[b], block_gain[b], block_size[b] = mark[x] & family, gained[x], 0
                for j in range(BLOCK):
                    kept_gain[b * BLOCK + j] = np.iinfo(np.int64).min
                blocks += 1
            found = b * BLOCK + block_size[b]
            block_size[b] += 1
            block_gain[b] = max(block_gain[b], gained[x])
            for q in range(words):
                kept[found, q] = profile[x, q]
            kept_from[found], kept_gain[found], kept_mark[found] = x, gained[x], mark[x]
        leader[x] = found
    return blocks, work


@njit(cache=True, nogil=True)
def named(leader, kept_from, blocks):
    """Label of each candidate, candidate of each label; labels in the order in which candidates first name them."""
    number = np.full(blocks * BLOCK, -1, np.int32)
    group, whose = np.empty(len(leader), np.int32), np.empty(len(leader), np.int32)
    labels = 0
    for x in range(len(leader)):
        slot = leader[x]
        if number[slot] < 0:
            number[slot] = labels
            whose[labels] = kept_from[slot]
            labels += 1
        group[x] = number[slot]
    return group, whose[:labels]


@njit(cache=True, nogil=True)
def smoothed(
    parent, kind, group, first, round_of, labels, gains, smoothing, soft, label_soft, chance, label_chance, starts
):
    """Smoothed largest gain of the packings of a sweep, and the expected starts, when gains are others than they were.

    Parameters
    ----------
    parent, kind, group : arrays with an entry for each candidate
        As in `kvopt.bounds.packing.Swept`.
    first, round_of, labels : int64 arrays of shape (rounds + 1,), (rounds,), (rounds + 1,)
        First candidate of each round in which something starts; these rounds; labels before each, and in all.
    gains : float64 array of shape (R, K)
        Gain of a start of each type in each round; not all need be positive.
    smoothing : float
        The maximum of values v is replaced by ``smoothing * log(sum(exp(v / smoothing)))``.
    soft, label_soft, chance, label_chance : float64 arrays
        Room for each candidate, and for each label.
    starts : float64 array of shape (R, K)
        Expected starts are added, as if packings were drawn by their gains.

    Returns
    -------
    float
    """
    rounds = len(round_of)
    label_soft[0] = 0.0
    inverse = 1 / smoothing
    for r in range(rounds):
        t = round_of[r]
        before, here = np.int64(labels[r]), np.int64(labels[r + 1])
        for g in range(here, labels[r + 2]):
            label_soft[g], label_chance[g] = -np.inf, 0.0
        for x in range(first[r], first[r + 1]):
            if kind[x] < 0:
                value = label_soft[before + parent[x]]
            else:
                value = soft[first[r] + parent[x]] + gains[t, kind[x]]
            soft[x] = value
            g = here + group[x]
            label_soft[g] = max(label_soft[g], value)
        for x in range(first[r], first[r + 1]):
            chance[x] = 0.0
            short = soft[x] - label_soft[here + group[x]]
            if short > -CUT_OFF * smoothing:
                weight = 1.0 if short == 0 else np.exp(short * inverse)
                label_chance[here + group[x]] += weight
        for g in range(here, labels[r + 2]):
            if label_chance[g] > 1:
                label_soft[g] += smoothing * np.log(label_chance[g])
            label_chance[g] = 0.0
    ends, end = labels[rounds], labels[rounds + 1]
    highest, total = -np.inf, 0.0
    for g in range(ends, end):
        highest = max(highest, label_soft[g])
    for g in range(ends, end):
        total += np.exp((label_soft[g] - highest) * inverse)
    highest += smoothing * np.log(total)
    for g in range(ends, end):
        label_chance[g] = np.exp((label_soft[g] - highest) * inverse)
    for r in range(rounds - 1, -1, -1):
        t = round_of[r]
        before, here = np.int64(labels[r]), np.int64(labels[r + 1])
        for g in range(before, here):
            label_chance[g] = 0.0
        for x in range(first[r + 1] - 1, first[r] - 1, -1):
            share = chance[x]
            g = here + group[x]
            if label_chance[g] > 0:
                short = soft[x] - label_soft[g]
                if short > -CUT_OFF * smoothing:
                    share += label_chance[g] * (1.0 if short == 0 else np.exp(short * inverse))
            if share > 1e-12:
                if kind[x] < 0:
                    label_chance[before + parent[x]] = share
                else:
                    chance[first[r] + parent[x]] += share
                    starts[t, kind[x]] += share
    return highest


@njit(cache=True, nogil=True)
def narrowed(parent, kind, group, first, round_of, labels, gains, margin):
    """Largest gain of the packings of a sweep, and what is left of it without candidates that are far from that.

    Parameters
    ----------
    parent, kind, group, first, round_of, labels, gains : arrays
        As in `smoothed`.
    margin : float
        Candidates stay where the best packing with them gains at most that much less than the best of all.

    Returns
    -------
    best : float
    parent, kind, group, first, round_of, labels : arrays
        Of the candidates that stay, and of their labels.
    """
    rounds, last = len(round_of), labels[len(round_of)]
    gained, to_come = np.empty(len(parent)), np.full(len(parent), -np.inf)
    label_gained, label_to_come = np.full(labels[-1], -np.inf), np.full(labels[-1], -np.inf)
    label_gained[0] = 0.0
    for r in range(rounds):
        t, begin = round_of[r], np.uint64(first[r])
        before, here = np.uint64(labels[r]), np.uint64(labels[r + 1])
        for x in range(begin, np.uint64(first[r + 1])):
            if kind[x] < 0:
                value = label_gained[before + np.uint64(parent[x])]
            else:
                value = gained[begin + np.uint64(parent[x])] + gains[t, np.uint64(kind[x])]
            gained[x] = value
            g = here + np.uint64(group[x])
            label_gained[g] = max(label_gained[g], value)
    best = label_gained[last:].max()
    label_to_come[last:] = 0.0
    stays, label_stays = np.zeros(len(parent), np.bool_), np.zeros(labels[-1], np.bool_)
    number = 0
    for r in range(rounds - 1, -1, -1):
        t, begin = round_of[r], np.uint64(first[r])
        before, here = np.uint64(labels[r]), np.uint64(labels[r + 1])
        for back in range(np.uint64(first[r + 1]) - begin):
            own = np.uint64(first[r + 1]) - np.uint64(1) - back
            g = here + np.uint64(group[own])
            value = max(to_come[own], label_to_come[g])
            to_come[own] = value
            near = gained[own] + value >= best - margin
            # Whatever the last places of sums say, where something comes from stays.
            if near or stays[own] or (label_stays[g] and gained[own] == label_gained[g]):
                number += 1
                stays[own] = label_stays[g] = True
            origin = np.uint64(parent[own])
            if kind[own] < 0:
                label_to_come[before + origin] = value
                label_stays[before + origin] = stays[own]
            else:
                to_come[begin + origin] = max(to_come[begin + origin], value + gains[t, np.uint64(kind[own])])
                stays[begin + origin] |= stays[own]
    new_parent, new_kind, new_group = np.empty(number, np.int32), np.empty(number, np.int16), np.empty(number, np.int32)
    new_first, new_labels = np.zeros(rounds + 1, np.int64), np.zeros(rounds + 2, np.int64)
    place, label_place = np.empty(len(parent), np.int32), np.zeros(labels[-1], np.int32)
    new_labels[1] = 1
    at = 0
    for r in range(rounds):
        count = 0
        for label in range(labels[r + 1], labels[r + 2]):
            label_place[label] = count
            count += label_stays[label]
        new_labels[r + 2] = new_labels[r + 1] + count
        for old in range(first[r], first[r + 1]):
            if stays[old]:
                place[old] = at - new_first[r]
                is_label = kind[old] < 0
                new_parent[at] = label_place[labels[r] + parent[old]] if is_label else place[first[r] + parent[old]]
                new_kind[at], new_group[at] = kind[old], label_place[labels[r + 1] + group[old]]
                at += 1
        new_first[r + 1] = at
    return best, (new_parent, new_kind, new_group, new_first, round_of, new_labels)


@njit(cache=True, nogil=True)
def memory_held(starts, prompt, output, rounds):
    """Tokens held in each of the first rounds by (expected) starts, shape (rounds,)."""
    held = np.zeros(rounds)
    for p in range(len(starts)):
        for k in range(len(prompt)):
            if starts[p, k] > 0:
                for j in range(min(output[k], rounds - p)):
                    held[p + j] += starts[p, k] * (prompt[k] + j + 1)
    return held
