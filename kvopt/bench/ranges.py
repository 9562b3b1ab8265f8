"""Whole numbers as people list them on a command line."""

from __future__ import annotations

import re

from kvopt.errors import InputError

#: Most numbers one list may name.
MAX_NUMBERS = 100_000


def whole_numbers(text: str, what: str) -> list[int]:
    """The numbers in a list such as ``0,3,10-12``, both ends of a range included, each once, in the order given.

    Raises
    ------
    InputError
        If a part is neither a whole number nor a rising range, or there are more than `MAX_NUMBERS`.

    Examples
    --------
    >>> whole_numbers("0,3,10-12", "seeds")
    [0, 3, 10, 11, 12]
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip(), re.ASCII)
        if match is None:
            raise InputError(f"{what}: expected whole numbers and ranges such as 0,3,10-12, got {part.strip()!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InputError(f"{what}: the range {part.strip()!r} falls")
        if len(found) + last - first >= MAX_NUMBERS:
            raise InputError(f"{what}: more than {MAX_NUMBERS:,} numbers")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)
