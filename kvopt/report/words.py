"""What the verifier makes of a result, in sentences; the solver's own claim never stands alone."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from kvopt import verify
from kvopt.model import Result
from kvopt.rounding import percent
from kvopt.verify import Verification

#: Violations that are listed.
VIOLATIONS_MAX = 20
#: What each kind of certificate is, in a clause.
KINDS = {
    "volume": "the token-rounds that memory can serve in time",
    "flow": "a flow of token-rounds from requests to rounds",
    "prices": "a price for the memory of each round",
    "growth": "prices that see how memory grows between completions",
    "room": "prices, and charges round by round for the memory that running requests will grow into",
    "packing": "whole requests packed into whole memory, each free to run more than once",
    "search": "a search of all states that could lead to a better schedule",
    "sublimation": "all paths that could be better schedules, and none is left once requests of each type are counted",
    "tree": "a tree of cases, each of which rules out a better schedule",
}


class Words(NamedTuple):
    """A heading, its grade for the style sheet (``proved``, ``open`` or ``refused``), and the grounds."""

    heading: str
    grade: str
    grounds: list[str]


def proof_in_words(result: Result, verification: Verification) -> Words:
    """Heading and grounds of the verdict, plain text.

    Parameters
    ----------
    result : Result
    verification : Verification
        Of this result.

    Returns
    -------
    Words

    Examples
    --------
    >>> from kvopt import Instance, solve
    >>> result = solve(Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3]), "mc-sf")
    >>> proof_in_words(result, verify.verify(result)).heading
    'Feasible; the result does not prove how good it is'
    """
    value, bound = verification.total_latency, verification.lower_bound
    if verification.verdict == verify.REFUSED:
        grounds = ["The verifier found claims that do not hold; no figure of this result should be quoted."]
        grounds += [str(violation) for violation in verification.violations[:VIOLATIONS_MAX]]
        if len(verification.violations) > VIOLATIONS_MAX:
            grounds.append(f"... and {len(verification.violations) - VIOLATIONS_MAX:,} more violations.")
        return Words("Refused", "refused", grounds)
    if verification.verdict == verify.NOTHING:
        return Words("Nothing to check", "open", ["The result holds neither a schedule nor a certificate."])
    kind = "" if result.certificate is None else result.certificate.kind
    evidence = f"certificate of kind {kind!r} ({KINDS.get(kind, 'see docs/certificates.md')})"
    if value is None:
        grounds = [f"The verifier checked the {evidence}. The result holds no schedule."]
        return Words(f"Proved: no schedule is below {bound:,}", "proved", grounds)
    schedule = f"The verifier tested the memory of every round and recomputed the total latency: {value:,} rounds."
    if verification.optimal:
        grounds = [schedule, f"It checked the {evidence}: no schedule is below {bound:,}, and this one reaches it."]
        return Words("Proved optimal", "proved", grounds)
    if bound is not None:
        gap = percent(Fraction(value - bound, bound)) if bound else "unknown"
        grounds = [schedule, f"It checked the {evidence}: no schedule is below {bound:,}."]
        return Words(f"Proved to be within {gap} of the optimum", "proved", grounds)
    return Words("Feasible; the result does not prove how good it is", "open", [schedule, bare_claim(result)])


def bare_claim(result: Result) -> str:
    """What the solver claims without a certificate."""
    if result.lower_bound is None:
        return "The solver gives no lower bound."
    return (
        f"The solver claims that no schedule is below {result.lower_bound:,} (status {result.status.value!r}), "
        "but gives no certificate: a claim, not a proof."
    )
