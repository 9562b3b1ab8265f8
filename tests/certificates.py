"""What tests of certificates share: codes in their form, and the checker's word on them."""

from __future__ import annotations

import base64
import zlib

from kvopt import Instance, replay
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
    """The bound that the checker accepts, or None for a refusal; kernels that follow such certificates say the same."""
    problem = Problem.of(instance)
    try:
        bound = check_certificate(problem, certificate)
    except Refusal:
        bound = None
    if certificate.get("kind") in replay.FOLLOWED:
        try:
            assert replay.FOLLOWED[certificate["kind"]](problem, certificate) == bound
        except Refusal:
            assert bound is None
        except replay.Unfit:
            pass
    return bound
