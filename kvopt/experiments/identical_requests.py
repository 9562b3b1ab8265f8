"""Identical requests: optimal values for n = 1..N over a grid of (s, o, M), and the rule behind them.

Starts ``floor(k / r)`` never hold more than ``s ceil(o r) + sum_{j=1..o} ceil(j r)`` tokens, and no schedule sustains
a larger rate r than the largest with which this stays within M (docs/findings.md has both proofs). The optima are
compared with that rate, with the schedule that follows it until the last few requests, and with MC-SF.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from kvopt.experiments.experiment import Experiment, Row
from kvopt.experiments.smallest_counterexamples import optimal_schedule
from kvopt.model import Instance, IntArray
from kvopt.policies.backlog import list_schedule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Grid of a full run: prompts, outputs, and numbers of requests 1..N; capacities up to 3/2 volumes.
PROMPTS, OUTPUTS, REQUESTS = (0, 1, 3), range(1, 7), 48
#: Grid of a quick run.
QUICK_PROMPTS, QUICK_OUTPUTS, QUICK_REQUESTS = (0, 1), range(1, 5), 24
#: Values of n that a recurrence must explain beyond its own period before it counts.
EVIDENCE = 10
#: Lines of the picture: column, words, how it goes from one capacity to the next.
LINES_DRAWN = (
    ("volume_rate", "M / vol", "default"),
    ("rate", "best possible", "steps-post"),
    ("mc_sf_rate", "MC-SF", "steps-post"),
)
#: Rounds of the optimal pattern that go into the table.
SHOWN_ROUNDS = 30


def cells(seed: int, quick: bool) -> list[Row]:
    """All (s, o, M) with peak <= M <= 3/2 vol; nothing is random, the seed does not matter."""
    prompts, outputs, most = (QUICK_PROMPTS, QUICK_OUTPUTS, QUICK_REQUESTS) if quick else (PROMPTS, OUTPUTS, REQUESTS)
    return [
        {"prompt": s, "output": o, "capacity": capacity, "requests": most}
        for s in prompts
        for o in outputs
        for capacity in range(s + o, 3 * least_capacity(s, o, Fraction(1)) // 2 + 1)
    ]


def measure(cell: Row) -> Row:
    """Proved optima for n = 1..N, their recurrence, and how the rules compare."""
    s, o, capacity, most = cell["prompt"], cell["output"], cell["capacity"], cell["requests"]
    rate = sustained_rate(s, o, capacity)
    greedy = shortest_first(s, o, capacity, most)
    schedules = [optimal_schedule(identical(s, o, capacity, n)) for n in range(1, most + 1)]
    optimum = [0] + [schedule.total_latency for schedule in schedules]
    follows = [spread_then_greedy(s, o, capacity, n, rate) for n in range(1, most + 1)]
    found = recurrence(optimum)
    shortest = np.cumsum(greedy + o)
    ratios = [Fraction(int(shortest[n - 1]), optimum[n]) for n in range(1, most + 1)]
    worst = max(range(most), key=ratios.__getitem__)
    return {
        "rate": str(rate),
        "volume_rate": str(Fraction(capacity, least_capacity(s, o, Fraction(1)))),
        "mc_sf_rate": str(greedy_rate(s, o, capacity)),
        "period_requests": None if found is None else found[0],
        "period_rounds": None if found is None else found[1],
        "constant": None if found is None else found[2],
        "from_n": None if found is None else found[3],
        "mc_sf_optimal_for": sum(ratio == 1 for ratio in ratios),
        "mc_sf_first_fails": next((n for n, ratio in enumerate(ratios, 1) if ratio != 1), None),
        "mc_sf_worst_ratio": round(float(ratios[worst]), 4),
        "mc_sf_worst_n": worst + 1,
        "rule_optimal_for": sum(a == b for a, b in zip(follows, optimum[1:], strict=True)),
        "rule_worst_ratio": round(max(a / b for a, b in zip(follows, optimum[1:], strict=True)), 4),
        "optimum": optimum[-1],
        "bound": latency_bound(s, o, capacity, most),
        "pattern": pattern(schedules[-1].starts),
    }


def identical(prompt: int, output: int, capacity: int, requests: int) -> Instance:
    """A backlog of equal requests."""
    return Instance.from_rows(capacity, [(prompt, output, requests)])


def least_capacity(prompt: int, output: int, rate: Fraction) -> int:
    """Tokens that starts in rounds ``floor(k / rate)`` need: ``s ceil(o r) + sum_{j=1..o} ceil(j r)``.

    With rate 1 this is the volume of a request.

    Parameters
    ----------
    prompt, output : int
    rate : Fraction
        Requests a round, > 0.

    Returns
    -------
    int
        O(output).

    Examples
    --------
    >>> least_capacity(0, 3, Fraction(1)), least_capacity(0, 5, Fraction(3, 4))
    (6, 13)
    """

    def started(rounds: int) -> int:
        return -(-rounds * rate.numerator // rate.denominator)

    return prompt * started(output) + sum(started(j) for j in range(1, output + 1))


def sustained_rate(prompt: int, output: int, capacity: int) -> Fraction:
    """The largest rate, in requests a round, at which equal requests can be started for ever.

    `least_capacity` is a step function of the rate that jumps just after fractions with a denominator of at most
    `output`, so only those are tried.

    Parameters
    ----------
    prompt, output, capacity : int
        With prompt + output <= capacity.

    Returns
    -------
    Fraction
        O(output^2 log capacity).

    Examples
    --------
    >>> sustained_rate(0, 5, 13), sustained_rate(0, 19, 190), sustained_rate(1, 3, 4)
    (Fraction(3, 4), Fraction(1, 1), Fraction(1, 3))
    """
    best = Fraction(1, output)
    for rounds in range(1, output + 1):
        # At least `low`, fewer than `high` requests fit in so many rounds.
        low, high = 0, capacity * rounds + 1
        while high - low > 1:
            middle = (low + high) // 2
            if least_capacity(prompt, output, Fraction(middle, rounds)) <= capacity:
                low = middle
            else:
                high = middle
        best = max(best, Fraction(low, rounds))
    return best


def spread(rate: Fraction, requests: int) -> IntArray:
    """Start rounds ``floor(k / rate)``, k = 0..n-1.

    >>> spread(Fraction(3, 4), 6).tolist()
    [0, 1, 2, 4, 5, 6]
    """
    return np.arange(requests, dtype=np.int64) * rate.denominator // rate.numerator


def latency_bound(prompt: int, output: int, capacity: int, requests: int) -> int:
    """A lower bound on the total latency: request m = 0, 1, ... starts no earlier than ``(m + 1 - floor(o r)) / r``.

    r is `sustained_rate`; docs/findings.md has the proof. The starts ``floor(m / r)`` come within
    ``n (floor(o r) - 1) / r`` of it, a constant for each request.

    Examples
    --------
    >>> latency_bound(0, 19, 190, 1000), int(spread(Fraction(1), 1000).sum()) + 1000 * 19
    (500671, 518500)
    """
    rate = sustained_rate(prompt, output, capacity)
    ahead = output * rate.numerator // rate.denominator
    late = (max(0, m + 1 - ahead) * rate.denominator for m in range(requests))
    return requests * output + sum(-(-rounds // rate.numerator) for rounds in late)


def spread_then_greedy(prompt: int, output: int, capacity: int, requests: int, rate: Fraction) -> int:
    """Total latency when the first m requests are spread and the others started by MC-SF, the best over all m."""
    leads = (spread(rate, lead) for lead in range(requests + 1))
    return min(int(completed(prompt, output, capacity, lead, requests).sum()) for lead in leads) + requests * output


def completed(prompt: int, output: int, capacity: int, lead: IntArray, requests: int) -> IntArray:
    """Starts of all requests when the first ones are given: each of the others as early as it fits, in order."""
    starts = lead.tolist()
    while len(starts) < requests:
        now = starts[-1] if starts else 0
        running = [p for p in starts if p + output > now]
        while not fits(prompt, output, capacity, running, now):
            now += 1
            running = [p for p in running if p + output > now]
        starts.append(now)
    return np.array(starts, dtype=np.int64)


def fits(prompt: int, output: int, capacity: int, running: list[int], now: int) -> bool:
    """Whether one more request may start now, not before any of the running ones: room in each of their last rounds."""
    together = [*running, now]
    return all(
        sum(prompt + output - (later - p) for later in together if p <= later < p + output) <= capacity
        for p in together
    )


def shortest_first(prompt: int, output: int, capacity: int, requests: int) -> IntArray:
    """Start rounds of MC-SF, which takes equal requests by index; each does not depend on the later ones."""
    return list_schedule(identical(prompt, output, capacity, requests), np.arange(requests))


def greedy_rate(prompt: int, output: int, capacity: int) -> Fraction:
    """Requests a round that MC-SF starts in the long run: its starts repeat as soon as the running requests do.

    >>> greedy_rate(0, 19, 190)
    Fraction(10, 19)
    """
    requests = 64
    while True:
        starts = shortest_first(prompt, output, capacity, requests).tolist()
        seen: dict[tuple[int, ...], int] = {}
        first = 0
        for i, now in enumerate(starts):
            while starts[first] + output <= now:
                first += 1
            state = tuple(now - p for p in starts[first : i + 1])
            if state in seen:
                return Fraction(i - seen[state], now - starts[seen[state]])
            seen[state] = i
        requests *= 2


def recurrence(optimum: Sequence[int]) -> tuple[int, int, int, int] | None:
    """The least c with ``OPT(n + c) = OPT(n) + L n + K`` for all n from some n0 to the end of the table.

    Parameters
    ----------
    optimum : sequence of int
        OPT(0) = 0, OPT(1), ..., OPT(N).

    Returns
    -------
    tuple of int or None
        (c, L, K, n0); None unless at least max(2 c, `EVIDENCE`) values of n agree.

    Examples
    --------
    >>> recurrence([3 * n + n * (n - 1) // 2 for n in range(30)])
    (1, 1, 3, 0)
    """
    values = np.array(optimum)
    for c in range(1, len(values) // 2):
        gain = values[c:] - values[:-c]
        rounds = int(gain[-1] - gain[-2])
        constant = gain - rounds * np.arange(len(gain))
        differs = np.flatnonzero(constant != constant[-1])
        first = int(differs[-1]) + 1 if len(differs) else 0
        if len(gain) - first >= max(2 * c, EVIDENCE):
            return c, rounds, int(constant[-1]), first
    return None


def pattern(starts: IntArray) -> str:
    """Starts in each of the first rounds, a dot for none.

    >>> pattern(np.array([0, 0, 1, 3]))
    '21.1'
    """
    return "".join(str(count) if count else "." for count in np.bincount(starts)[:SHOWN_ROUNDS].tolist())


def draw(rows: Sequence[Row]) -> Figure:
    """Rates over the capacity in volumes, a panel for each output, for the least and the largest prompt."""
    from kvopt.plot.canvas import Picture, line_styles

    outputs = sorted({row["output"] for row in rows if row["output"] > 1}) or sorted({row["output"] for row in rows})
    prompts = sorted({row["prompt"] for row in rows})
    figure = Picture(figsize=(10.0, 2.6 * len(prompts)), layout="constrained")
    panels = figure.subplots(len(prompts), len(outputs), sharex=True, sharey=True, squeeze=False)
    for (i, j), ax in np.ndenumerate(panels):
        here = [row for row in rows if row["prompt"] == prompts[i] and row["output"] == outputs[j]]
        x = [float(Fraction(row["volume_rate"])) for row in here]
        for (key, name, steps), style in zip(LINES_DRAWN, line_styles(), strict=False):
            rates = [float(Fraction(row[key])) for row in here]
            ax.plot(x, rates, label=name, drawstyle=steps, linewidth=1.5, **style)
        known = [row for row in here if row["period_requests"] is not None]
        ax.plot(
            [float(Fraction(row["volume_rate"])) for row in known],
            [row["period_requests"] / row["period_rounds"] for row in known],
            "o",
            markersize=2.6,
            color="#009e73",
            label="period of the optima",
        )
        ax.set_title(f"s = {prompts[i]}, o = {outputs[j]}", loc="left", fontsize="small")
        ax.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("M / vol", fontsize="medium")
    figure.supylabel("requests started a round", fontsize="medium")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure


def findings(rows: Sequence[Row]) -> list[str]:
    """How often the rules hold on the grid."""
    most = rows[0]["requests"]
    total = most * len(rows)
    known = [row for row in rows if row["period_requests"] is not None]
    same = [row for row in known if Fraction(row["period_requests"], row["period_rounds"]) == Fraction(row["rate"])]
    rule, greedy = (sum(row[key] for row in rows) for key in ("rule_optimal_for", "mc_sf_optimal_for"))
    tight = [
        row for row in rows if least_capacity(row["prompt"], row["output"], Fraction(row["rate"])) == row["capacity"]
    ]
    worst = max(rows, key=lambda row: row["mc_sf_worst_ratio"])
    poorest = max(rows, key=lambda row: row["rule_worst_ratio"])
    slower = [row for row in rows if Fraction(row["mc_sf_rate"]) < Fraction(row["rate"])]
    never = [row for row in rows if row["mc_sf_optimal_for"] == most]
    return [
        f"{total:,} optima, each verified: {len(rows)} triples (s, o, M), n = 1..{most}",
        f"a recurrence OPT(n + c) = OPT(n) + L n + K is seen for {len(known)} triples; c / L is the best possible rate "
        f"in {len(same)} of them",
        f"spread, then greedy is optimal for {rule:,} of {total:,} ({100 * rule / total:.1f} %), at worst "
        f"{poorest['rule_worst_ratio']:.4f} times the optimum; where M is just enough for the rate: "
        f"{sum(row['rule_optimal_for'] for row in tight):,} of {most * len(tight):,}",
        f"MC-SF is optimal for {greedy:,} of {total:,} ({100 * greedy / total:.1f} %), for all n on {len(never)} "
        f"triples; its rate is below the best possible on {len(slower)}",
        f"largest MC-SF / optimum {worst['mc_sf_worst_ratio']:.4f}: s = {worst['prompt']}, o = {worst['output']}, "
        f"M = {worst['capacity']}, n = {worst['mc_sf_worst_n']}",
    ]


EXPERIMENT = Experiment("Identical requests: optima, periods and rates", cells, measure, draw, findings)
