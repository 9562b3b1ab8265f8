"""Instances made by hand: the counterexamples to shortest-first, lessons, and the baseline of general solvers."""

from __future__ import annotations

from typing import Any, NamedTuple

from kvopt.errors import InputError
from kvopt.model import Instance


class Counterexample(NamedTuple):
    """A backlog with one common prompt on which shortest-first is not optimal."""

    prompt: int
    capacity: int
    outputs: tuple[int, ...]
    shortest_first: int
    optimum: int


#: Found by exact computation; no smaller ones exist (none with n <= 3, none with n <= 4 when M >= 2 max peak).
COUNTEREXAMPLES = (
    Counterexample(1, 5, (1, 1, 3, 3), 13, 12),
    Counterexample(2, 8, (1, 1, 3, 3), 12, 11),
    Counterexample(0, 4, (2, 2, 3, 3), 16, 15),
    Counterexample(1, 6, (2, 2, 3, 3), 16, 15),
    Counterexample(1, 9, (3,) * 5, 27, 25),
    Counterexample(0, 6, (3,) * 5, 27, 25),
    Counterexample(1, 7, (1, 1, 1, 2, 2, 2), 14, 13),
    Counterexample(2, 10, (2, 2, 3, 3, 3), 22, 21),
    Counterexample(0, 12, (3, 3, 3, 3, 6, 6, 6), 45, 39),
)


class Lesson(NamedTuple):
    """A teaching instance: rows are (prompt, output, count, arrival)."""

    title: str
    capacity: int
    rows: tuple[tuple[int, int, int, int], ...]
    point: str


LESSONS = (
    Lesson("by-hand", 6, ((1, 1, 1, 0), (1, 2, 1, 0), (2, 2, 1, 0), (1, 3, 1, 0)), "small enough for pen and paper"),
    Lesson("staggering", 6, ((0, 3, 8, 0),), "equal requests: one start a round beats waves of as many as fit"),
    Lesson("long-first", 6, ((1, 2, 2, 0), (1, 3, 2, 0)), "the only optimum lets a long request finish first"),
    Lesson("wait-for-arrivals", 6, ((1, 5, 1, 0), (1, 1, 3, 1)), "starting at once blocks those to come"),
    Lesson("mixed-prompts", 9, ((8, 1, 1, 0), (1, 2, 3, 0)), "a short output with a long prompt is not small"),
    Lesson("one-large", 8, ((0, 8, 1, 0), (1, 1, 6, 0)), "one request as large as the cache among small ones"),
    Lesson("two-types", 9, ((1, 2, 3, 0), (1, 3, 3, 0)), "a state graph that still fits on a page"),
)  # fmt: skip


class Baseline(NamedTuple):
    """General solvers were timed on it when the goals of the engine were set; rows are (prompt, output, count)."""

    title: str
    capacity: int
    rows: tuple[tuple[int, int, int], ...]
    optimum: int


#: Chosen before the engine was written; the optima were found then, by another programme.
BASELINES = (
    Baseline("k2-n020-m34", 34, ((2, 5, 9), (3, 17, 11)), 744),
    Baseline("k2-n020-m30", 30, ((2, 13, 9), (3, 6, 11)), 556),
    Baseline("k2-n040-m30", 30, ((2, 13, 17), (3, 6, 23)), 1930),
    Baseline("k2-n060-m30", 30, ((2, 13, 25), (3, 6, 35)), 4125),
    Baseline("k3-n020-m36", 36, ((2, 20, 9), (5, 9, 4), (5, 10, 7)), 1075),
    Baseline("k3-n040-m46", 46, ((2, 11, 12), (2, 19, 13), (3, 1, 15)), 1313),
)


def counterexample(*, number: int = 1) -> Instance:
    """Row `number` (1..9) of `COUNTEREXAMPLES`; both values are in `meta`."""
    case = chosen(COUNTEREXAMPLES, number)
    values: dict[str, Any] = {"shortest_first": case.shortest_first, "optimum": case.optimum}
    return Instance.from_rows(case.capacity, [(case.prompt, output) for output in case.outputs], meta=values)


def teaching(*, number: int = 1) -> Instance:
    """Lesson `number` (1..7) of `LESSONS`."""
    lesson = chosen(LESSONS, number)
    return Instance.from_rows(lesson.capacity, lesson.rows, meta={"lesson": lesson.title, "point": lesson.point})


def baseline(*, number: int = 1) -> Instance:
    """Row `number` (1..6) of `BASELINES`; its optimum is in `meta`."""
    case = chosen(BASELINES, number)
    return Instance.from_rows(case.capacity, case.rows, meta={"optimum": case.optimum})


def chosen(cases: tuple[Any, ...], number: int) -> Any:
    """Case `number`, counted from 1."""
    if not 1 <= number <= len(cases):
        raise InputError(f"number must be within 1..{len(cases)}, got {number}")
    return cases[number - 1]
