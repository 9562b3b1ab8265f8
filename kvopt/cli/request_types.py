"""The option ``--type PROMPT,OUTPUT,NUMBER`` of commands on streams of requests: a type and its rate or share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvopt.errors import InputError

if TYPE_CHECKING:
    from kvopt.fluid import Mix


def split_type(text: str, last: str) -> tuple[int, int, str]:
    """Prompt, output, and the number as typed; `last` is what that number is called.

    >>> split_type("512,20,12.5", "RATE")
    (512, 20, '12.5')
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts[:2]):
        raise InputError(f"--type: expected PROMPT,OUTPUT,{last} such as 512,20,0.7, got {text!r}")
    return int(parts[0]), int(parts[1]), parts[2]


def mix_of_rates(types: Sequence[str]) -> Mix:
    """The mix of types with rates.

    >>> mix_of_rates(["512,20,12", "512,50,6.5"]).total_rate
    18.5
    """
    from kvopt.fluid import Mix

    rows = []
    for text in types:
        prompt, output, rate = split_type(text, "RATE")
        try:
            rows.append((prompt, output, float(rate)))
        except ValueError:
            raise InputError(f"--type {text}: the rate is not a number") from None
    return Mix.from_rows(rows)
