"""What tests of certificates share: codes in their form, and the checker's word on them."""

from __future__ import annotations

import base64
import zlib

from kvopt import Instance
from kvopt.verify import Problem, Refusal, check_certificate


def packed(numbers: list[int]) -> str:
    """Codes in the form of a certificate."""
    data = bytearray()
    for number in numbers:
        while number >= 128:
            data.append(number & 127 | 128)
            number >>= 7
        data.append(number)
    return base64.b64encode(zlib.compress(bytes(data))).decode()


def proved(instance: Instance, certificate: dict) -> int | None:
    """The bound that the checker accepts, or None for a refusal."""
    try:
        return check_certificate(Problem.of(instance), certificate)
    except Refusal:
        return None
