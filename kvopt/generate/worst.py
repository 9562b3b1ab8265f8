"""Instances on which a policy does worst, as far as found: ``kvopt experiment worst-ratios``."""

from __future__ import annotations

from typing import NamedTuple

from kvopt.generate.classic import chosen
from kvopt.model import Instance


class WorstRatio(NamedTuple):
    """A backlog in order (ties of the policy go by index): rows are (prompt, output, count)."""

    policy: str
    capacity: int
    rows: tuple[tuple[int, int, int], ...]
    value: int
    optimum: int


#: For mc-sf one common prompt, for svf mixed ones; the last two of each policy have M >= 2 max peak.
WORST_RATIOS = (
    WorstRatio("mc-sf", 6, ((0, 3, 2), (0, 4, 2)), 22, 20),
    WorstRatio("mc-sf", 6, ((0, 3, 2), (0, 4, 1), (0, 5, 2)), 37, 33),
    WorstRatio("mc-sf", 12, ((0, 4, 3), (0, 6, 2), (0, 9, 3)), 107, 89),
    WorstRatio("mc-sf", 6, ((0, 2, 3), (0, 3, 3)), 24, 21),
    WorstRatio("mc-sf", 18, ((4, 1, 3), (4, 3, 7)), 58, 46),
    WorstRatio("svf", 10, ((4, 2, 1), (0, 4, 1), (9, 1, 1), (0, 4, 1), (9, 1, 1)), 40, 19),
    WorstRatio("svf", 13, ((5, 1, 2), (2, 1, 1), (0, 5, 1), (2, 4, 1), (0, 5, 1)), 25, 19),
    WorstRatio(
        "svf",
        10,
        ((0, 1, 1), (2, 3, 1), (3, 1, 1), (4, 1, 1), (2, 3, 1), (0, 4, 1), (4, 1, 1), (0, 2, 1), (1, 4, 1), (0, 4, 1)),
        52,
        39,
    ),
)


def worst_ratio(*, number: int = 1) -> Instance:
    """Row `number` (1..8) of `WORST_RATIOS`; policy and both values are in `meta`."""
    case = chosen(WORST_RATIOS, number)
    meta = {"policy": case.policy, case.policy: case.value, "optimum": case.optimum}
    return Instance.from_rows(case.capacity, case.rows, meta=meta)
