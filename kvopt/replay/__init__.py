"""The checker of search, sublimation and packing certificates, compiled: `kvopt.verify` in machine integers.

`kvopt.verify` follows labels, arcs and candidates in bare Python, at a microsecond to some for each. Here Numba kernels
follow the same ones in 64-bit integers: independent of `kvopt.exact` and `kvopt.bounds`, and of the way in which
`kvopt.verify` packs profiles. Kernels can only accept a certificate. Where a rule does not hold, or a number might not
fit its machine integer, `kvopt.verify` goes over the certificate from the beginning and has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvopt import verify
from kvopt.replay import labels, packings, paths
from kvopt.replay.limits import Unfit

#: By kind of certificate: what finds the bound that one proves, None if a rule does not hold.
FOLLOWED = {"search": labels.followed, "sublimation": paths.followed, "packing": packings.followed}


def check(problem: verify.Problem, certificate: Mapping[str, Any]) -> int:
    """The bound that a certificate of these kinds proves, found by kernels if they can.

    Raises
    ------
    kvopt.verify.Refusal
        If the certificate proves nothing.
    """
    kind = certificate["kind"]
    try:
        accepted = FOLLOWED[kind](problem, certificate)
    except Unfit:
        accepted = None
    return verify.CHECKS[kind](problem, certificate) if accepted is None else accepted


#: To be given to `kvopt.verify.verify_result`.
CHECKS = {**verify.CHECKS, **dict.fromkeys(FOLLOWED, check)}
