"""Keys that stand twice in one JSON object: parsers keep the last in silence, and the file means not what it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

#: A colon inside a string that the text does not show as one.
ESCAPED_COLON = re.compile(rb"\\u003a", re.IGNORECASE)
#: Types of JSON values that hold no colon.
NUMBERS = {int, float}


class Members(tuple[tuple[str, Any], ...]):
    """An object's keys and values as they stand in the text."""


def has_repeated_keys(data: bytes) -> bool:
    """Whether an object of a JSON text repeats a key; O(size), without a look at any number.

    A colon follows each key. Where the text has more colons than the decoded keys and strings account for, a
    key was lost on the way.

    >>> has_repeated_keys(b'{"a": {"b": 1, "c:": ":"}}'), has_repeated_keys(b'{"a": {"b": 1, "b": 1}}')
    (False, True)
    """
    if ESCAPED_COLON.search(data):
        return any(repeated_keys(data))
    return data.count(b":") != colons(msgspec.json.decode(data))


def colons(raw: Any) -> int:
    """Colons that a decoded JSON value needs as text: one for each key, and those inside keys and strings."""
    total, level = 0, [raw]
    while level:
        objects = [value for value in level if type(value) is dict]
        strings = [value for value in level if type(value) is str]
        total += sum(map(len, objects))
        total += "".join(chain(strings, *objects)).count(":")
        members = chain.from_iterable(value.values() for value in objects)
        elements = chain.from_iterable(value for value in level if type(value) is list)
        level = [value for value in chain(members, elements) if type(value) not in NUMBERS]
    return total


def repeated_keys(data: bytes) -> Iterator[str]:
    """One error for each repeated key of a JSON text, with its path.

    >>> list(repeated_keys(b'{"a": [{"b": 1, "b": 2}]}'))
    ['$.a[0].b: this key stands 2 times']
    """
    left = [("$", json.loads(data, object_pairs_hook=Members, parse_int=str, parse_float=str))]
    while left:
        path, value = left.pop()
        inner: list[tuple[str, Any]] = []
        if isinstance(value, Members):
            times: dict[str, int] = {}
            for key, member in value:
                times[key] = times.get(key, 0) + 1
                inner.append((f"{path}.{key}", member))
            for key, number in times.items():
                if number > 1:
                    yield f"{path}.{key}: this key stands {number} times"
        elif isinstance(value, list):
            inner = [(f"{path}[{i}]", member) for i, member in enumerate(value) if not isinstance(member, str)]
        left += reversed(inner)
