"""The states of a release game, numbered, with their successors and what clearing them costs."""

from __future__ import annotations

import numpy as np

from kvopt.adversary.game import Game, Running, older, starts
from kvopt.errors import TooLargeError
from kvopt.model import IntArray

#: Most game states (waiting counts and running requests) that are enumerated.
MOST_STATES = 1_000_000


class States:
    """The states a policy can be in, numbered, with their successors.

    State ``c * W + w`` has running requests number c and waiting counts number w. W is the number of codes of
    waiting counts in base N + 1, so a release adds a constant to the number of a state.

    Attributes
    ----------
    present : int64 array of shape (C * W,)
        Requests in the system, the cost of a round spent in the state; -1 where no play comes.
    first : int64 array of shape (C * W + 1,), successor : int64 array
        ``successor[first[x]:first[x+1]]``: the distinct states one round after a choice of starts in x.
    clearing : int64 array of shape (C * W,)
        Least total latency from here if nothing more is released.
    releases : int64 array of shape (R, 2)
        Each possible release of a round: its size, and what it adds to the number of a state; the empty one first.
    release_counts : list of tuple
        The same as counts per type.

    Raises
    ------
    TooLargeError
        If there are more than `MOST_STATES` states.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        n, kinds = game.requests, len(game.menu)
        base = n + 1
        codes = base**kinds
        if codes > MOST_STATES:
            raise TooLargeError(
                f"{codes:,} combinations of waiting counts; a game takes at most {MOST_STATES:,} states"
            )
        power = [base**k for k in range(kinds)]
        code = {w: sum(c * p for c, p in zip(w, power, strict=True)) for w in game.waiting(n)}
        number: dict[Running, int] = {(): 0}
        configs: list[Running] = [()]
        # What may start beside a configuration: (counts, their size, code, configuration a round later).
        moves: list[list[tuple[tuple[int, ...], int, int]]] = []
        for config in configs:
            row = []
            everything = (n - len(config),) * kinds
            for rest, running in starts(config, everything, game):
                if len(running) > n:
                    continue
                after = older(running)
                if after not in number:
                    number[after] = len(configs)
                    configs.append(after)
                    if len(configs) * codes > MOST_STATES:
                        raise TooLargeError(
                            f"more than {MOST_STATES:,} game states: fewer requests, fewer types or less capacity"
                        )
                counts = tuple(a - b for a, b in zip(everything, rest, strict=True))
                row.append((counts, code[counts], number[after]))
            moves.append(row)

        size = len(configs) * codes
        self.present = np.full(size, -1, dtype=np.int64)
        per_state: list[list[int]] = [[] for _ in range(size)]
        for c, config in enumerate(configs):
            for w in game.waiting(n - len(config)):
                x = c * codes + code[w]
                self.present[x] = len(config) + sum(w)
                per_state[x] = sorted(
                    {
                        then * codes + code[w] - started
                        for counts, started, then in moves[c]
                        if all(a <= b for a, b in zip(counts, w, strict=True))
                    }
                )
        self.first = np.concatenate(([0], np.cumsum([len(row) for row in per_state]))).astype(np.int64)
        self.successor = np.array([y for row in per_state for y in row], dtype=np.int64)
        self.clearing = self._clearing(configs, codes, code, per_state)
        self.release_counts = sorted(game.waiting(n), key=sum)
        self.releases = np.array([(sum(w), code[w]) for w in self.release_counts], dtype=np.int64)

    def _clearing(
        self, configs: list[Running], codes: int, code: dict[tuple[int, ...], int], per_state: list[list[int]]
    ) -> IntArray:
        """Backward induction over the rounds left to run, which every useful choice makes fewer."""
        output = self.game.menu.output.tolist()
        work = np.full(len(self.present), -1, dtype=np.int64)
        for c, config in enumerate(configs):
            for w in self.game.waiting(self.game.requests - len(config)):
                left = sum(left for _, left in config) + sum(a * b for a, b in zip(w, output, strict=True))
                work[c * codes + code[w]] = left
        clearing = np.zeros(len(self.present), dtype=np.int64)
        for x in np.argsort(work, kind="stable").tolist():
            if work[x] > 0:
                # Idle with nothing running leads back to x and never helps.
                clearing[x] = self.present[x] + min(clearing[y] for y in per_state[x] if y != x)
        return clearing

    def __len__(self) -> int:
        return len(self.present)
