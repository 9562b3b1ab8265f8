"""The largest MC-SF / optimum with one common prompt, and SVF / optimum with mixed prompts.

All small instances, seeded annealing over larger ones with the exact search as yardstick, and two families that grow.
Every ratio of an instance in the table divides by an optimum whose certificate passed the verifier.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement, groupby
from typing import TYPE_CHECKING

import numpy as np

from kvopt.bounds import volume
from kvopt.experiments.experiment import Experiment, Row
from kvopt.experiments.identical_requests import greedy_rate, identical, least_capacity, sustained_rate
from kvopt.experiments.smallest_counterexamples import (
    PROMPTS,
    claimed_schedule,
    common_prompt,
    mc_sf,
    optimal_schedule,
    svf,
)
from kvopt.generate import generate
from kvopt.model import Instance, Schedule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICIES = {"mc-sf": mc_sf, "svf": svf}
#: (policy, least M over the largest peak) -> words.
KINDS = {
    ("mc-sf", 1): "MC-SF, one prompt",
    ("mc-sf", 2): "MC-SF, one prompt, M ≥ 2 max peak",
    ("svf", 1): "SVF, mixed prompts",
    ("svf", 2): "SVF, mixed prompts, M ≥ 2 max peak",
}

#: Exhaustive grid: numbers of requests, and the largest capacity.
EXHAUSTED_REQUESTS, EXHAUSTED_CAPACITY = range(3, 7), 8
#: Annealing: numbers of requests, seeds, steps, first and last temperature, largest capacity.
SEARCHED_REQUESTS, RESTARTS, STEPS, HOT, COLD, LARGEST_CAPACITY = (4, 5, 6, 8, 10), 3, 2_000, 0.05, 0.002, 30
#: Grid of limits for equal requests: prompts, largest output; capacities up to twice the volume.
LIMIT_PROMPTS, LARGEST_OUTPUT, QUICK_LARGEST_OUTPUT = (0, 1, 2, 4, 8), 20, 5
#: Sizes of the families: outputs of equal requests and their number; outputs of the long requests and pairs.
EQUAL_OUTPUTS, EQUAL_REQUESTS = (3, 5, 7, 9), (10, 20, 40, 80, 160)
PAIR_OUTPUTS, PAIRS = (3, 4, 5, 6, 8), (2, 3, 4, 5, 8, 16, 32)


def cells(seed: int, quick: bool) -> list[Row]:
    """Exhaustive cells, annealing for both policies, then the families; all but the annealing without randomness."""
    exhausted, searched, steps = (range(3, 5), (4, 6), 200) if quick else (EXHAUSTED_REQUESTS, SEARCHED_REQUESTS, STEPS)
    sizes = 3 if quick else None
    everything: list[Row] = [
        {"method": "exhaustive", "policy": "mc-sf", "least_capacity_over_peak": factor, "requests": n}
        for factor in (1, 2)
        for n in exhausted
    ]
    everything += [
        {
            "method": "search",
            "policy": policy,
            "least_capacity_over_peak": factor,
            "requests": n,
            "seed": seed + restart,
            "steps": steps,
        }
        for policy in POLICIES
        for factor in (1, 2)
        for n in searched
        for restart in range(1 if quick else RESTARTS)
    ]
    everything += [
        {"method": "equal requests", "policy": "mc-sf", "output": o, "requests": n}
        for o in EQUAL_OUTPUTS[:sizes]
        for n in EQUAL_REQUESTS[:sizes]
    ]
    everything += [
        {"method": "alternating pairs", "policy": "svf", "output": o, "requests": 2 * pairs}
        for o in PAIR_OUTPUTS[:sizes]
        for pairs in PAIRS[:sizes]
    ]
    most = QUICK_LARGEST_OUTPUT if quick else LARGEST_OUTPUT
    everything += [
        {"method": "limits", "policy": "mc-sf", "prompt": s, "output": o}
        for s in LIMIT_PROMPTS
        for o in range(1, most + 1)
    ]
    return everything


def measure(cell: Row) -> Row:
    """The worst instance of a cell, or the one instance of a family."""
    method = {
        "exhaustive": exhausted,
        "search": annealed,
        "equal requests": equal_requests,
        "alternating pairs": alternating_pairs,
        "limits": limits,
    }
    return method[cell["method"]](cell)


def exhausted(cell: Row) -> Row:
    """All capacities, prompts and multisets of outputs of the grid."""
    ratios = Ratios("mc-sf", optimal_schedule)
    n, factor = cell["requests"], cell["least_capacity_over_peak"]
    best = (Fraction(0), identical(0, 1, 1, n))
    for capacity in range(1, EXHAUSTED_CAPACITY + 1):
        for s in PROMPTS:
            for outputs in combinations_with_replacement(range(1, capacity // factor - s + 1), n):
                instance = common_prompt(s, capacity, outputs)
                ratio = ratios.above(instance, best[0])
                if ratio is not None and ratio > best[0]:
                    best = (ratio, instance)
    return described("mc-sf", best[1]) | {"examined": ratios.examined, "solved": ratios.solved}


class Ratios:
    """Policy over optimum, where the volume bound does not show at once that it is too small to matter.

    Parameters
    ----------
    policy : str
    optimum : callable
        Instance -> optimal schedule.
    """

    def __init__(self, policy: str, optimum: Callable[[Instance], Schedule]) -> None:
        self.policy = POLICIES[policy]
        self.optimum = optimum
        self.examined = self.solved = 0

    def above(self, instance: Instance, threshold: Fraction | float) -> Fraction | None:
        """The ratio; None if a lower bound on the optimum proves that it is at most `threshold`."""
        self.examined += 1
        value = self.policy(instance)
        if Fraction(value, volume.bound(instance).value) <= threshold:
            return None
        self.solved += 1
        return Fraction(value, self.optimum(instance).total_latency)


def annealed(cell: Row) -> Row:
    """Simulated annealing on the ratio; the same cell gives the same instance. Only the final optimum is verified."""
    policy, n, factor, steps = (cell[key] for key in ("policy", "requests", "least_capacity_over_peak", "steps"))
    random = np.random.Generator(np.random.PCG64([cell["seed"], n, factor, list(POLICIES).index(policy)]))
    ratios = Ratios(policy, claimed_schedule)
    common = policy == "mc-sf"
    capacity = 12
    lengths = [(0, int(o)) for o in random.integers(1, capacity // factor, n, endpoint=True)]
    now = (Fraction(0), (capacity, lengths))
    best = now
    for step in range(steps):
        candidate = neighbour(random, *now[1], factor, common)
        temperature = HOT * (COLD / HOT) ** (step / steps)
        # The threshold of acceptance is drawn first, so that most refusals cost no exact search.
        threshold = float(now[0]) + temperature * math.log(1.0 - random.random())
        instance = Instance.from_rows(*candidate)
        ratio = ratios.above(instance, threshold)
        if ratio is not None and ratio > threshold:
            now = (ratio, candidate)
            best = max(best, now, key=lambda state: state[0])
    return described(policy, Instance.from_rows(*best[1])) | {"examined": ratios.examined, "solved": ratios.solved}


def neighbour(
    random: np.random.Generator, capacity: int, lengths: list[tuple[int, int]], factor: int, common: bool
) -> tuple[int, list[tuple[int, int]]]:
    """One change: an output, a prompt (all of them where they are common), a copy of a request, or the capacity.

    Lengths that no longer fit are cut, first the output.
    """
    requests = list(lengths)
    i, j = random.integers(0, len(lengths), 2).tolist()
    by = int(random.choice((-3, -2, -1, 1, 2, 3)))
    kind = int(random.integers(4))
    prompt, output = requests[i]
    if kind == 0:
        requests[i] = (prompt, output + by)
    elif kind == 1 and common:
        requests = [(s + by, o) for s, o in requests]
    elif kind == 1:
        requests[i] = (prompt + by, output)
    elif kind == 2:
        requests[j] = requests[i]
    else:
        capacity = min(max(capacity + by, 2 * factor), LARGEST_CAPACITY)
    largest = capacity // factor
    cut = []
    for s, o in requests:
        s = min(max(s, 0), largest - 1)
        cut.append((s, min(max(o, 1), largest - s)))
    return capacity, cut


def equal_requests(cell: Row) -> Row:
    """Prompt 0, odd output o, M = vol = o (o + 1) / 2: MC-SF fills M with (o + 1) / 2 at once; limit 2 o / (o + 1)."""
    o, n = cell["output"], cell["requests"]
    capacity = o * (o + 1) // 2
    limit = sustained_rate(0, o, capacity) / greedy_rate(0, o, capacity)
    return described("mc-sf", identical(0, o, capacity, n)) | {"limit": str(limit)}


def alternating_pairs(cell: Row) -> Row:
    """Smallest-volume-first on its adversarial family (`kvopt.generate.adversarial`): ratio to (o + 1) / 2."""
    o = cell["output"]
    instance = generate("adversarial-svf", output=o, copies=cell["requests"] // 2)
    return described("svf", instance) | {"limit": str(Fraction(o + 1, 2))}


def limits(cell: Row) -> Row:
    """The capacity with the largest limit of MC-SF / optimum for many equal requests: the quotient of their rates."""
    s, o = cell["prompt"], cell["output"]
    capacities = range(s + o, 2 * least_capacity(s, o, Fraction(1)) + 1)
    quotients = {capacity: sustained_rate(s, o, capacity) / greedy_rate(s, o, capacity) for capacity in capacities}
    worst = max(capacities, key=quotients.__getitem__)
    limit = quotients[worst]
    return {
        "capacity": worst,
        "lengths": f"{s}+{o}",
        "ratio": float(limit),
        "limit": str(limit),
        "examined": len(capacities),
    }


def described(policy: str, instance: Instance) -> Row:
    """The instance, both values and their ratio."""
    value, optimum = POLICIES[policy](instance), optimal_schedule(instance).total_latency
    return {
        "capacity": instance.capacity,
        "lengths": shortened(instance),
        "policy_value": value,
        "optimum": optimum,
        "ratio": value / optimum,
    }


def shortened(instance: Instance) -> str:
    """The requests in order, as prompt+output x count, a repetition once.

    >>> shortened(Instance.from_rows(9, [(0, 3), (5, 1), (0, 3), (5, 1)])), shortened(identical(1, 2, 9, 4))
    ('(0+3x1 5+1x1) x2', '1+2x4')
    """
    rows = zip(instance.prompt.tolist(), instance.output.tolist(), strict=True)
    parts = [f"{s}+{o}x{len(list(run))}" for (s, o), run in groupby(rows)]
    for size in range(1, len(parts) // 2 + 1):
        if parts == parts[:size] * (len(parts) // size):
            return f"({' '.join(parts[:size])}) x{len(parts) // size}"
    return " ".join(parts)


def draw(rows: Sequence[Row]) -> Figure:
    """Largest ratios over n on the left, families over n with their limits on the right."""
    from kvopt.plot.canvas import LINES, Picture

    figure = Picture(figsize=(10.0, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2).tolist()
    for ((policy, factor), words), style in zip(KINDS.items(), LINES, strict=False):
        best = largest(rows, policy, factor)
        sizes = sorted(n for n in best if n <= max(EXHAUSTED_REQUESTS[-1], SEARCHED_REQUESTS[-1]))
        left.plot(sizes, [best[n]["ratio"] for n in sizes], marker="o", markersize=4, label=words, **style)
    for row in family_ends(rows):
        here = [other for other in rows if (other["method"], other.get("output")) == (row["method"], row["output"])]
        style = LINES[0] if row["method"] == "equal requests" else LINES[2]
        right.plot([r["requests"] for r in here], [r["ratio"] for r in here], marker="o", markersize=3, **style)
        right.annotate(
            f"o = {row['output']}, limit {row['limit']}",
            (row["requests"], row["ratio"]),
            xytext=(5, -3 if row["method"] == "alternating pairs" else 3 * row["output"] - 20),
            textcoords="offset points",
            fontsize="x-small",
        )
    left.set_title("largest found", loc="left", fontsize="medium")
    right.set_title("families: MC-SF, equal requests (black); SVF, pairs (orange)", loc="left", fontsize="medium")
    right.set_xscale("log")
    right.set_xlim(right=right.get_xlim()[1] * 3)
    left.legend(fontsize="small", frameon=False)
    for ax in (left, right):
        ax.set_xlabel("requests")
        ax.set_ylabel("policy / optimum")
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def largest(rows: Sequence[Row], policy: str, factor: int) -> dict[int, Row]:
    """The row with the largest ratio for each n, among those with M >= `factor` times the largest peak."""
    best: dict[int, Row] = {}
    for row in rows:
        n, within = row.get("requests"), factor == 1 or row.get("least_capacity_over_peak") == factor
        if row["policy"] == policy and within and n and (n not in best or row["ratio"] > best[n]["ratio"]):
            best[n] = row
    return best


def family_ends(rows: Sequence[Row]) -> list[Row]:
    """The largest member of each family."""
    last = {(row["method"], row["output"]): row for row in rows if "limit" in row and "optimum" in row}
    return list(last.values())


def findings(rows: Sequence[Row]) -> list[str]:
    """The largest ratio of each kind and the largest member of each family."""
    found = []
    for (policy, factor), words in KINDS.items():
        for n, row in sorted(largest(rows, policy, factor).items()):
            found.append(
                f"{words}, n = {n}: {row['policy_value']} / {row['optimum']} = {row['ratio']:.4f} "
                f"({row['method']}; M = {row['capacity']}, prompt+output {row['lengths']})"
            )
    for row in family_ends(rows):
        found.append(
            f"{row['method']}, o = {row['output']}, M = {row['capacity']}, n = {row['requests']}: {row['policy']} / "
            f"optimum {row['policy_value']} / {row['optimum']} = {row['ratio']:.4f}, limit {row['limit']}"
        )
    scanned = [row for row in rows if row["method"] == "limits"]
    if scanned:
        worst, count = max(scanned, key=lambda row: row["ratio"]), sum(row["examined"] for row in scanned)
        found.append(
            f"limits of MC-SF / optimum for equal requests, {count:,} triples (s, o, M): at most {worst['limit']}, "
            f"at s = {worst['prompt']}, o = {worst['output']}, M = {worst['capacity']}"
        )
    return found


EXPERIMENT = Experiment(
    "The largest ratios of shortest-first and smallest-volume-first", cells, measure, draw, findings
)
