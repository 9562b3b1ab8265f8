"""The checker: schedules, objectives, bounds and certificates, in plain integers and fractions.

This file needs nothing but Python's standard library, not even the rest of kvopt: who does not trust kvopt
can copy it, read it in one sitting and run ``python verify.py INSTANCE RESULT``. It trusts no figure of a
result file. The total latency is recomputed, every round's memory is tested, and a lower bound counts only
where its certificate yields exactly the number claimed. docs/certificates.md says why each certificate
proves its bound.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import ceil
from typing import Any

PROVED = "PROVED"
FEASIBLE = "FEASIBLE"
REFUSED = "REFUSED"
NOTHING = "NOTHING"


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold, where, and by how much."""

    rule: str
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.where}: {self.detail}"


@dataclass(frozen=True)
class Verification:
    """What could be verified of a result.

    Attributes
    ----------
    verdict : str
        ``PROVED``: schedule and objective are right and the certificate yields the claimed lower bound;
        ``FEASIBLE``: schedule and objective are right, the bound is not certified;
        ``NOTHING``: there is neither a schedule nor a certificate;
        ``REFUSED``: some claim is wrong, see `violations`.
    total_latency : int or None
        Recomputed.
    lower_bound : int or None
        The certified bound, None where no certificate was checked.
    violations : tuple of Violation
    """

    verdict: str
    total_latency: int | None
    lower_bound: int | None
    violations: tuple[Violation, ...] = ()

    @property
    def optimal(self) -> bool:
        """Whether the schedule is proved optimal."""
        return self.verdict == PROVED and self.total_latency is not None and self.total_latency == self.lower_bound


class Refusal(Exception):
    """A certificate does not prove what it should."""


@dataclass(frozen=True)
class Problem:
    """An instance as plain lists; `types` are the distinct (prompt, output, arrival), sorted, with counts."""

    capacity: int
    prompt: list[int]
    output: list[int]
    arrival: list[int]

    @property
    def types(self) -> list[tuple[int, int, int, int]]:
        """Sorted list of (prompt, output, arrival, count)."""
        count: dict[tuple[int, int, int], int] = {}
        for request in zip(self.prompt, self.output, self.arrival, strict=True):
            count[request] = count.get(request, 0) + 1
        return [(*request, count[request]) for request in sorted(count)]

    @property
    def digest(self) -> str:
        """Hash of capacity and requests in order, as in result files."""
        text = "".join(f"{s} {o} {a}\n" for s, o, a in zip(self.prompt, self.output, self.arrival, strict=True))
        return "sha256:" + hashlib.sha256(f"{self.capacity}\n{text}".encode()).hexdigest()


# ---------------------------------------------------------------- schedules


def schedule_violations(
    capacity: int, prompt: Sequence[int], output: Sequence[int], arrival: Sequence[int], starts: Sequence[int]
) -> list[Violation]:
    """Every start before its arrival, and every completion round in which memory exceeds the capacity.

    Memory grows between completions, so its local peaks are the last rounds of running requests; testing
    those is testing every round. O(n log n).

    >>> schedule_violations(5, [1, 1], [3, 3], [0, 0], [0, 0])[0].detail
    '8 tokens, 3 above the capacity 5'
    """
    if len(starts) != len(output):
        return [Violation("one start for each request", "starts", f"{len(starts)} starts for {len(output)} requests")]
    found = [
        Violation("start >= arrival", f"request {i}", f"starts {a - p} rounds before its arrival in round {a}")
        for i, (p, a) in enumerate(zip(starts, arrival, strict=True))
        if p < a
    ]
    # In round r a running request holds (s - p + 1) + r tokens.
    begin = sorted((p, s - p + 1) for p, s in zip(starts, prompt, strict=True))
    end = sorted((p + o, s - p + 1) for p, o, s in zip(starts, output, prompt, strict=True))
    running = level = i = 0
    for k, (completion, base) in enumerate(end):
        while i < len(begin) and begin[i][0] < completion:
            level += begin[i][1]
            running += 1
            i += 1
        last = completion - 1
        if k == 0 or end[k - 1][0] != completion:
            held = level + running * last
            if held > capacity:
                excess = f"{held} tokens, {held - capacity} above the capacity {capacity}"
                found.append(Violation("memory <= capacity", f"round {last}", excess))
        level -= base
        running -= 1
    return found


def total_latency(output: Sequence[int], arrival: Sequence[int], starts: Sequence[int]) -> int:
    """Sum of start + output - arrival.

    >>> total_latency([1, 1, 3, 3], [0, 0, 0, 0], [0, 1, 0, 3])
    12
    """
    return sum(starts) + sum(output) - sum(arrival)


# ---------------------------------------------------------------- certificates


def check_volume(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Rank-wise maximum of sorted outputs and prefix volumes over M (problem with or without arrivals).

    The k-th completion is no earlier than the k-th smallest output, and no earlier than the round by which
    the k smallest volumes fit into k rounds of M tokens each; arrivals only delay.
    """
    outputs = sorted(problem.output)
    volumes = sorted(s * o + o * (o + 1) // 2 for s, o in zip(problem.prompt, problem.output, strict=True))
    prefix = accumulate(volumes)
    ranks = sum(max(o, -(-v // problem.capacity)) for o, v in zip(outputs, prefix, strict=True))
    return max(ranks - sum(problem.arrival), sum(outputs))


def check_prices(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """Lagrangian bound of the memory prices ``prices[t] / denominator``, t = 0, 1, ...; zero afterwards."""
    denominator = whole(certificate, "denominator", 1)
    prices = whole_list(certificate, "prices", 0)
    horizon = len(prices)
    # Prefix sums of price and of round * price: a run's priced memory is then a difference of two each.
    plain = [0, *accumulate(prices)]
    timed = [0, *accumulate(t * price for t, price in enumerate(prices))]
    total = -problem.capacity * plain[horizon]
    for s, o, a, count in problem.types:
        best = (max(a, horizon) + o - a) * denominator
        for p in range(a, horizon):
            q = min(p + o, horizon)
            cost = (p + o - a) * denominator + (s + 1 - p) * (plain[q] - plain[p]) + timed[q] - timed[p]
            best = min(best, cost)
        total += count * best
    return ceil(Fraction(total, denominator))


#: certificate kind -> the bound it proves, or Refusal.
CHECKS: dict[str, Callable[[Problem, Mapping[str, Any]], int]] = {
    "volume": check_volume,
    "prices": check_prices,
}


def whole(certificate: Mapping[str, Any], key: str, least: int) -> int:
    """An integer entry of a certificate, at least `least`."""
    value = certificate.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refusal(f"{key} must be an integer of at least {least}, got {value!r}")
    return value


def whole_list(certificate: Mapping[str, Any], key: str, least: int) -> list[int]:
    """A list entry of a certificate whose elements are integers of at least `least`."""
    values = certificate.get(key)
    if not isinstance(values, list):
        raise Refusal(f"{key} must be a list")
    for t, value in enumerate(values):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Refusal(f"{key}[{t}] must be an integer of at least {least}, got {value!r}")
    return values


def check_certificate(problem: Problem, certificate: Mapping[str, Any]) -> int:
    """The lower bound that a certificate proves; raises Refusal when it proves none."""
    kind = certificate.get("kind")
    if kind not in CHECKS:
        raise Refusal(f"unknown certificate kind {kind!r}")
    return CHECKS[kind](problem, certificate)


# ---------------------------------------------------------------- results


def verify_result(problem: Problem, result: Mapping[str, Any]) -> Verification:
    """Check every claim of a result file's JSON object against the instance."""
    found: list[Violation] = []
    expected = problem.digest
    given = result["instance"]["digest"]
    if given != expected:
        found.append(Violation("same instance", "instance.digest", f"{given} is not {expected}"))
    value = None
    starts = result["starts"]
    if starts is not None:
        found += schedule_violations(problem.capacity, problem.prompt, problem.output, problem.arrival, starts)
        if len(starts) == len(problem.output):
            value = total_latency(problem.output, problem.arrival, starts)
    if result["total_latency"] != value:
        detail = f"claimed {result['total_latency']}, the starts give {value}"
        found.append(Violation("objective", "total_latency", detail))
    claimed = result["lower_bound"]
    status = result["status"]
    if claimed is not None and value is not None and claimed > value:
        found.append(Violation("lower bound <= total latency", "lower_bound", f"{claimed} is above {value}"))
    if status == "infeasible":
        found.append(Violation("status", "status", "every instance has a schedule: one request after the other"))
    if status == "optimal" and (value is None or claimed != value):
        found.append(Violation("status", "status", f"optimal, yet bound {claimed} and total latency {value} differ"))
    if (status == "unknown") != (starts is None) and status != "infeasible":
        found.append(Violation("status", "status", f"{status!r} does not go with the starts given"))
    certified = None
    certificate = result["certificate"]
    if certificate is not None:
        try:
            certified = check_certificate(problem, certificate)
        except Refusal as refusal:
            found.append(Violation("certificate", f"certificate of kind {certificate.get('kind')!r}", str(refusal)))
        else:
            if certified != claimed:
                detail = f"claimed {claimed}, the certificate gives {certified}"
                found.append(Violation("lower bound = certified bound", "lower_bound", detail))
    if found:
        return Verification(REFUSED, value, None, tuple(found))
    if certified is not None:
        return Verification(PROVED, value, certified)
    return Verification(FEASIBLE if starts is not None else NOTHING, value, None)


def verify(result: Any) -> Verification:
    """Verify a `kvopt.model.Result` (its claims, not its origin).

    >>> from kvopt import Instance, solve
    >>> verify(solve(Instance(capacity=5, prompt=[1] * 4, output=[1, 1, 3, 3]), "mc-sf")).verdict
    'FEASIBLE'
    """
    instance, schedule, certificate = result.instance, result.schedule, result.certificate
    problem = Problem(instance.capacity, instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist())
    claims = {
        "instance": {"digest": instance.digest},
        "status": str(result.status),
        "total_latency": result.total_latency,
        "lower_bound": result.lower_bound,
        "starts": None if schedule is None else schedule.starts.tolist(),
        "certificate": None if certificate is None else certificate.as_dict(),
    }
    return verify_result(problem, claims)


def problem_of(raw: Mapping[str, Any]) -> Problem:
    """The plain problem in an instance file's JSON object."""
    rows = [row for row in raw["requests"] for _ in range(row.get("count", 1))]
    return Problem(
        raw["capacity"],
        [row["prompt"] for row in rows],
        [row["output"] for row in rows],
        [row.get("arrival", 0) for row in rows],
    )


def main(arguments: Sequence[str]) -> int:
    """``python verify.py INSTANCE RESULT``: print the verdict; exit code 0 unless refused."""
    raw = []
    for path in arguments:
        with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as file:
            raw.append(json.load(file))
    verification = verify_result(problem_of(raw[0]), raw[1])
    print(f"{verification.verdict}  total latency {verification.total_latency}, bound {verification.lower_bound}")
    for violation in verification.violations:
        print(f"  {violation}")
    return 0 if verification.verdict in (PROVED, FEASIBLE) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
