"""The values of small release games in tables: what docs/adversary.md shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from kvopt.adversary.deterministic import deterministic_value
from kvopt.adversary.families import LargePrompts, Stream
from kvopt.adversary.game import Game
from kvopt.adversary.random_start import RandomStart, random_start
from kvopt.adversary.randomised import randomised_value
from kvopt.monitor import Monitor
from kvopt.rounding import decimal


@dataclass(frozen=True)
class Row:
    """A game and its value.

    Attributes
    ----------
    menu : str
        ``small-and-long`` or ``large-prompts``.
    game : Game
    randomised : bool
    lower, upper : Fraction or None
        The value is within these; equal for deterministic policies, None when a limit ended the run.
    """

    menu: str
    game: Game
    randomised: bool
    lower: Fraction | None
    upper: Fraction | None


#: Name -> types for a capacity.
MENUS: dict[str, Callable[[int], list[tuple[int, int]]]] = {
    "small-and-long": lambda m: [(1, 1), (1, m - 1)],
    "large-prompts": lambda m: [(m // 2, 1), (m // 2, m // 2)],
}
#: Deterministic: menu, capacities, numbers of requests, horizon less capacity or less half of it.
DETERMINISTIC: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    ("small-and-long", (4, 5, 6, 7, 8, 9, 10), (3, 4, 5, 6, 7)),
    ("large-prompts", (6, 8, 10, 16), (4, 5, 6)),
]
#: Randomised: menu, M, N, H.
RANDOMISED: list[tuple[str, int, int, int]] = [
    ("small-and-long", 4, 4, 4),
    ("small-and-long", 5, 4, 4),
    ("small-and-long", 6, 5, 5),
    ("small-and-long", 8, 4, 6),
    ("large-prompts", 10, 4, 8),
    ("large-prompts", 16, 5, 10),
]
#: Random start of the stream: adversary, latest beginning, distance between beginnings.
RANDOM_STARTS: list[tuple[Stream | LargePrompts, int, int]] = [
    *((LargePrompts(2 * s), 6 * s, 1) for s in (8, 16, 32)),
    (LargePrompts(128), 512, 4),
    (LargePrompts(256), 1024, 8),
    (LargePrompts(512), 4096, 32),
    *((Stream(m), 4 * m, 1) for m in (16, 32)),
    (Stream(64), 512, 4),
    (Stream(128), 1024, 8),
    (Stream(256), 4096, 16),
]


def horizon(menu: str, capacity: int) -> int:
    """Last round with a release in the deterministic tables."""
    return capacity if menu == "small-and-long" else capacity // 2 + 3


def random_starts(monitor: Monitor) -> Iterator[RandomStart]:
    """Every bound of the table of random starts in turn; a stopped monitor ends them."""
    for family, last, every in RANDOM_STARTS:
        if monitor.stopped:
            return
        yield random_start(family, last, every)


def rows(monitor: Monitor) -> Iterator[Row]:
    """Every value of the tables of games in turn; a stopped monitor ends them."""
    for menu, capacities, requests in DETERMINISTIC:
        for n in requests:
            for m in capacities:
                game = Game.of(m, MENUS[menu](m), n, horizon(menu, m))
                value = deterministic_value(game, monitor).value
                if monitor.stopped:
                    return
                yield Row(menu, game, False, value, value)
    for menu, m, n, h in RANDOMISED:
        game = Game.of(m, MENUS[menu](m), n, h)
        found = randomised_value(game, monitor)
        if monitor.stopped:
            return
        yield Row(menu, game, True, found.lower, found.upper)


def markdown(found: list[Row], started: list[RandomStart]) -> str:
    """The values as Markdown tables."""
    parts = []
    for menu, capacities, requests in DETERMINISTIC:
        values = {
            (row.game.requests, row.game.menu.capacity): str(row.lower)
            for row in found
            if row.menu == menu and not row.randomised
        }
        lines = [f"Deterministic, menu {menu}; columns: M (H = {'M' if menu == 'small-and-long' else 'M/2 + 3'}).", ""]
        lines += ["| N | " + " | ".join(map(str, capacities)) + " |", "|---" * (len(capacities) + 1) + "|"]
        lines += [
            f"| {n} | " + " | ".join(values.get((n, m), "not computed") for m in capacities) + " |" for n in requests
        ]
        parts.append("\n".join(lines))
    lines = ["Randomised; at least and at most, both proved.", ""]
    lines += ["| menu | M | N | H | at least | fraction | at most |", "|---|---|---|---|---|---|---|"]
    for row in found:
        if row.randomised and row.lower is not None and row.upper is not None:
            g = row.game
            fraction = str(row.lower) if row.lower.denominator < 10**5 else "long"
            proved = f"{decimal(row.lower, 8, up=False)} | {fraction} | {decimal(row.upper, 8, up=True)}"
            lines.append(f"| {row.menu} | {g.menu.capacity} | {g.requests} | {g.horizon} | {proved} |")
    parts.append("\n".join(lines))
    lines = ["Random start of the stream; proved for randomised policies.", ""]
    lines += ["| family | M | n | begins by | every | at least |", "|---|---|---|---|---|---|"]
    for bound in started:
        family = "stream" if isinstance(bound.family, Stream) else "large-prompts"
        size = f"{bound.family.capacity} | {bound.requests:,} | {bound.last:,} | {bound.every}"
        lines.append(f"| {family} | {size} | {decimal(bound.lower, 8, up=False)} |")
    parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
