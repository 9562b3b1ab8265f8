"""The figures of docs/adversary.md against the code: all that take a moment."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from test_docs import ROOT, quoted, table

from kvopt.adversary.curve import against, exponent
from kvopt.adversary.deterministic import deterministic_value
from kvopt.adversary.families import FAMILIES, LargePrompts, Stream
from kvopt.adversary.game import Game
from kvopt.adversary.random_start import random_start
from kvopt.adversary.randomised import randomised_value
from kvopt.adversary.tables import MENUS, horizon
from kvopt.policies import find_policy
from kvopt.rounding import decimal

PAGE = ROOT / "docs/adversary.md"
MENU_OF = {"first": "small-and-long", "second": "large-prompts"}


@pytest.mark.parametrize("name", MENU_OF)
def test_deterministic_values(name):
    """Each value of up to five requests, and the smallest of each longer row."""
    for row in table(PAGE, f"N, {name} menu"):
        requests = int(row.pop(f"N, {name} menu"))
        for k, (column, value) in enumerate(row.items()):
            if requests <= 5 or k == 0:
                capacity = int(column.removeprefix("M="))
                menu = MENU_OF[name]
                game = Game.of(capacity, MENUS[menu](capacity), requests, horizon(menu, capacity))
                assert deterministic_value(game).value == Fraction(value), (requests, capacity)


def test_randomised_values():
    """Both bounds to the last digit; programmes of five requests are left to the command."""
    for row in table(PAGE, "menu", "M", "N", "H", "at least"):
        capacity, requests, last = (int(row[key]) for key in "MNH")
        if capacity > 10 or requests > 4:
            continue
        found = randomised_value(Game.of(capacity, MENUS[MENU_OF[row["menu"]]](capacity), requests, last))
        assert decimal(found.lower, 8, up=False) == row["at least"]
        assert decimal(found.upper, 8, up=True) == row["at most"]
        assert str(found.lower) == row["as a fraction"]


def test_families():
    """Total latency, optimum and ratio, except where the simulation takes long."""
    for row in table(PAGE, "family, `mc-sf`"):
        capacity, n = (int(row[key].replace(",", "")) for key in ("M", "n"))
        if n > 50_000 or (row["family, `mc-sf`"] == "shortest-first" and capacity == 900):
            continue
        point = against(FAMILIES[row["family, `mc-sf`"]](capacity), find_policy("mc-sf"))
        assert point.instance.n == n
        assert f"{point.total_latency:,}" == row["total latency"]
        known, ratios = point.yardstick, (point.ratio, point.ratio_at_most)
        if known.lower == known.upper:
            assert (f"{known.upper:,}", f"{float(ratios[0]):.3f}") == (row["optimum"], row["ratio"])
        else:
            assert row["optimum"] == f"{known.lower:,}..{known.upper:,}"
            assert row["ratio"] == "..".join(f"{float(ratio):.3f}" for ratio in ratios)


def test_quoted_exponents():
    """The slopes that the text gives, from the rows of the table."""
    slopes = {}
    for family in ("burst", "stream", "large-prompts"):
        rows = [row for row in table(PAGE, "family, `mc-sf`") if row["family, `mc-sf`"] == family]
        sizes = [int(row["n"].replace(",", "")) for row in rows]
        slopes[family] = exponent(sizes, [Fraction(row["ratio"]) for row in rows])
    assert {family: f"{slope:.2f}" for family, slope in slopes.items()} == {
        "burst": "0.42",
        "stream": "0.50",
        "large-prompts": "1.00",
    }


def test_random_starts():
    """The certified bounds, and the growth that the text reads off them."""
    rows = table(PAGE, "family, random start")
    for row in rows:
        capacity, last, every = (int(row[key].replace(",", "")) for key in ("M", "begins by", "every"))
        if last > 200:
            continue
        family = {"stream": Stream, "large-prompts": LargePrompts}[row["family, random start"]](capacity)
        found = random_start(family, last, every)
        assert decimal(found.lower, 8, up=False)[:6] == row["ratio at least"]
        assert found.requests == int(row["n"].replace(",", ""))
    for family, growth in (("large-prompts", "0.4"), ("stream", "0.2")):
        ends = [row for row in rows if row["family, random start"] == family]
        first, last = ends[0], ends[-1]
        ratio = float(last["ratio at least"]) / float(first["ratio at least"])
        size = int(last["n"].replace(",", "")) / int(first["n"].replace(",", ""))
        assert f"{math.log(ratio) / math.log(size):.1f}" == growth


def test_families_are_listed():
    """The table of families has all of them."""
    assert [quoted(row["family"])[0] for row in table(PAGE, "family", "released")] == list(FAMILIES)
