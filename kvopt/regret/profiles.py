"""The graph of running configurations: what a worker's running requests will hold, and how it can change.

All that the future needs to know about the running requests is their *profile*, the tokens they will hold in this
round and in the following ones if nothing more is started. Two moves change it: starting a request of type k adds
``s + 1, .., s + o``; advancing by one round drops the first entry. A profile is feasible if no entry exceeds the
capacity, so every sequence of moves through feasible profiles is a feasible schedule and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvopt.errors import TooLargeError
from kvopt.regret.mix import Mix

NodeArray = npt.NDArray[np.int32]

#: Most profiles `profile_graph` lists, and most entries of all of them together.
MAX_PROFILES, MAX_ENTRIES = 50_000, 5_000_000


@dataclass(frozen=True, eq=False)
class ProfileGraph:
    """All profiles reachable from the empty one, by remaining volume.

    Starts lead to larger numbers, advances to smaller ones (the empty profile, number 0, advances to itself).

    Attributes
    ----------
    mix : Mix
    profiles : tuple of tuples of int
        Tokens held in this round and the following ones, without trailing zeros.
    start : int32 array of shape (N, K)
        Number of the profile after the start of a request of type k, or -1 if that does not fit.
    advance : int32 array of shape (N,)
        Number of the profile one round later.
    """

    mix: Mix
    profiles: tuple[tuple[int, ...], ...]
    start: NodeArray
    advance: NodeArray

    def __len__(self) -> int:
        return len(self.profiles)


def profile_graph(mix: Mix, most: int = MAX_PROFILES) -> ProfileGraph:
    """List the profiles of a mix and their moves.

    Raises
    ------
    TooLargeError
        If there are more than `most` profiles: the exact methods are for capacities of a dozen tokens or so.

    Examples
    --------
    >>> graph = profile_graph(Mix(5, [1, 1], [1, 3], [1, 1]))
    >>> graph.profiles
    ((), (2,), (4,), (3, 4), (2, 3, 4), (5, 4), (4, 3, 4))
    >>> graph.start.tolist()[0], graph.advance.tolist()
    ([1, 4], [0, 0, 0, 2, 3, 2, 3])
    """
    if sum(mix.output) > MAX_ENTRIES:  # the ramps alone would not fit
        raise TooLargeError(f"outputs of {max(mix.output):,} tokens have too many running configurations to list")
    ramps = [tuple(range(s + 1, s + o + 1)) for s, o in zip(mix.prompt, mix.output, strict=True)]
    known: dict[tuple[int, ...], int] = {(): 0}
    queue: list[tuple[int, ...]] = [()]
    starts: list[list[int]] = []
    advances: list[int] = []

    entries = 0

    def number(profile: tuple[int, ...]) -> int:
        nonlocal entries
        if profile not in known:
            entries += len(profile)
            if len(known) == most or entries > MAX_ENTRIES:
                raise TooLargeError(f"more than {len(known):,} running configurations at capacity {mix.capacity}")
            known[profile] = len(known)
            queue.append(profile)
        return known[profile]

    for profile in queue:  # grows while it is read
        advances.append(number(profile[1:]))
        row = []
        for ramp in ramps:
            both = tuple(held + more for held, more in zip(profile, ramp, strict=False))
            fits = max(both, default=0) <= mix.capacity
            row.append(number(both + (profile[len(ramp) :] or ramp[len(profile) :])) if fits else -1)
        starts.append(row)

    order = sorted(range(len(queue)), key=lambda n: (sum(queue[n]), queue[n]))
    place = np.empty(len(order) + 1, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    place[-1] = -1  # the mark of a start that does not fit stays
    return ProfileGraph(
        mix=mix,
        profiles=tuple(queue[n] for n in order),
        start=np.ascontiguousarray(place[np.array(starts, np.int64)][order]),
        advance=np.ascontiguousarray(place[np.array(advances, np.int64)][order]),
    )
