"""The schedule beside those of list policies, as ratios to a lower bound that was checked."""

from __future__ import annotations

from fractions import Fraction
from html import escape

from kvopt.bounds import volume
from kvopt.model import Result
from kvopt.rounding import decimal
from kvopt.solving import solve
from kvopt.verify import Verification

#: Policies to compare with, and the most requests for which they are run.
POLICIES = {
    "fcfs": "first come, first served",
    "mc-sf": "shortest output first",
    "svf": "smallest volume first",
}
REQUESTS_MAX = 200_000


def comparison(result: Result, verification: Verification) -> str:
    """HTML table of total and average latencies and their ratios to the best checked bound.

    The bound is the certified one of the result or, where it is larger or there is no other, the volume bound.

    Parameters
    ----------
    result : Result
    verification : Verification
        Of this result; a refused schedule is left out.

    Returns
    -------
    str
        Escaped HTML.
    """
    instance = result.instance
    if instance.n > REQUESTS_MAX:
        return f"<p>Left out: policies are compared up to {REQUESTS_MAX:,} requests.</p>"
    bound, source = volume.bound(instance).value, "the volume bound"
    if verification.lower_bound is not None and verification.lower_bound >= bound:
        bound, source = verification.lower_bound, "certified by this result"
    values: dict[str, int | None] = {}
    if verification.total_latency is not None and not verification.violations:
        values[f"{result.solver} (this result)"] = verification.total_latency
    for policy, rule in POLICIES.items():
        values[f"{policy}: {rule}"] = solve(instance, policy).total_latency
    rows = [
        f"<tr><td>{escape(name)}</td><td>{value:,}</td><td>{value / instance.n:,.2f}</td>"
        f"<td>{ratio(value, bound)}</td></tr>"
        for name, value in values.items()
        if value is not None
    ]
    return (
        f"<p>Ratios to the lower bound {bound:,} ({source}), rounded up; no schedule is below 1.</p>"
        '<div class="scroll"><table class="numbers"><thead><tr><th>schedule</th><th>total latency</th>'
        f"<th>average latency</th><th>ratio to the bound</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def ratio(value: int, bound: int) -> str:
    """Value over bound with four decimals, rounded up; exactly 1 only where they are equal.

    >>> ratio(13, 12), ratio(12, 12), ratio(10**9 + 1, 10**9)
    ('1.0834', '1', '1.0001')
    """
    exact = Fraction(value, bound)
    if exact == 1:
        return "1"
    return decimal(exact, 4, up=True)
