"""WAIT and Nested WAIT: the published row, and what they are worth near and past overload.

Llama-2-7B on one A100-80GB (calibrated iteration time, M = 122,752), Poisson arrivals of a few types. First the
published row (arXiv 2504.11320: 512/20, 5,000 requests, mean latencies of chunked prefill with a budget of 512
tokens and of WAIT), then three mixes up to far beyond the fluid limit, always at equal budget: WAIT with n = 1 runs
prompts at once, 512 + 19 tokens, so beside the row first come, first served is shown with 531 too; past overload
all policies have 512 tokens. Under a budget the simulator's look-ahead asks for room for all peaks at once, since
chunks shift growth; so where memory limits, policies are also shown with whole prompts, for which it is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kvopt.experiments.experiment import Experiment, Row, figures, mean, under_load
from kvopt.experiments.workload import LLAMA_7B_CAPACITY, LLAMA_7B_TIME, of_types
from kvopt.fluid import Mix, limit_shares
from kvopt.fluid.nested import Segments
from kvopt.hardware import find_iteration_time
from kvopt.online import Seconds, SimulationResult, Unknown, simulate
from kvopt.policies import find_policy
from kvopt.policies.nested_wait import NestedWait, NestedWaitAdvancing
from kvopt.policies.wait import Wait, WaitAdvancing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Requests per second -> published mean latency in seconds: chunked prefill, WAIT.
PUBLISHED = {
    12.0: (0.409, 0.394),
    14.0: (0.469, 0.451),
    16.0: (0.545, 0.523),
    18.0: (0.646, 0.619),
    20.0: (0.773, 0.744),
    21.0: (0.862, 0.830),
    22.0: (0.985, 0.951),
    23.0: (1.255, 1.206),
    24.0: (2.668, 1.735),
}
#: Up to here seeds differ little enough for a comparison.
COMPARED = 22.0
ROW_REQUESTS = 5_000
BUDGET, WHOLE = 512, 512 + 19
#: Policy and token budget of the lines beside the row.
ROW_LINES = (("fcfs", BUDGET), ("fcfs", WHOLE), ("wait-advancing", WHOLE), ("wait", WHOLE))

#: Case -> types (prompt, output, share of requests), number of requests.
CASES: dict[str, tuple[list[tuple[int, int, float]], int]] = {
    "tokens": ([(512, 20, 1.0)], 3_000),
    "memory": ([(512, 1000, 1.0)], 1_500),
    "mixed": ([(512, 100, 0.75), (512, 1000, 0.25)], 2_500),
}
TITLES = {
    "tokens": "512/20: the token budget limits",
    "memory": "512/1000: memory limits",
    "mixed": "75 % 512/100, 25 % 512/1000: memory limits",
}
OVERLOAD_POLICIES = ("fcfs", "vllm-fcfs", "wait-advancing", "nested-wait-advancing", "wait", "nested-wait")
#: Also run with whole prompts where memory limits.
WHOLE_POLICIES = ("fcfs", "vllm-fcfs", "wait-advancing")
OVERLOAD_LINES = (*OVERLOAD_POLICIES, *(f"{policy}, whole prompts" for policy in WHOLE_POLICIES))
#: Part of the capacity that a full batch may take, and how far n_k / n_{k-1} is above p_k (1: up to 1).
FILLED, SLACK = 0.97, 0.1


def cells(seed: int, quick: bool) -> list[Row]:
    """The row, then the loads of each case; the same requests for all policies."""
    rates = (12.0, 18.0, 22.0) if quick else tuple(PUBLISHED)
    row = [
        {"part": "row", "rate": rate, "requests": ROW_REQUESTS, "policy": policy, "token_budget": budget, "seed": s}
        for rate in rates
        for s in range(seed, seed + (1 if quick else 6))
        for policy, budget in ROW_LINES
    ]
    overload = [
        {
            "part": case,
            "load": load,
            "rate": load * limit(case),
            "requests": requests,
            "policy": policy,
            "token_budget": budget,
            "seed": s,
        }
        for case, (_, requests) in CASES.items()
        for load in ((1.3,) if quick else (0.8, 0.95, 1.2, 1.5))
        for s in range(seed, seed + (1 if quick else 2))
        for policy, budget in (
            *((name, BUDGET) for name in (OVERLOAD_POLICIES[:4] if quick else OVERLOAD_POLICIES)),
            *((name, None) for name in (() if case == "tokens" else WHOLE_POLICIES)),
        )
    ]
    return row + overload


def case_mix(case: str, rate: float, first_token: int = 0) -> Mix:
    """Types of a case at this many requests per second; `first_token` is taken off the outputs."""
    types = [(512, 20, 1.0)] if case == "row" else CASES[case][0]
    return Mix.from_rows([(prompt, output - first_token, share * rate) for prompt, output, share in types])


def shares(case: str) -> dict[tuple[int, int], float]:
    """(prompt, output) -> part of the fluid limit that one request of it per second takes.

    The simulator gives the first token with the prompt, hence one output token less.
    """
    mix = case_mix(case, 1.0, first_token=1)
    time = find_iteration_time(LLAMA_7B_TIME)
    found = limit_shares(mix, time, capacity=LLAMA_7B_CAPACITY, token_budget=BUDGET)
    largest = max(found.values(), key=lambda share: float(mix.rate @ share))
    return dict(zip(lengths(case_mix(case, 1.0)), largest.tolist(), strict=True))


def limit(case: str) -> float:
    """Requests per second of a case at the fluid limit."""
    return 1 / sum(share * part for part, (_, _, share) in zip(shares(case).values(), CASES[case][0], strict=True))


def lengths(mix: Mix) -> list[tuple[int, int]]:
    """(prompt, output) of each type."""
    return list(zip(mix.prompt.tolist(), mix.output.tolist(), strict=True))


def policy_of(cell: Row) -> Any:
    """The policy, WAIT with thresholds: n = 1 beside the row, elsewhere as many as fill the capacity."""
    name = cell["policy"]
    if "wait" not in name:
        return find_policy(name)
    kind: Any = {"wait": Wait, "wait-advancing": WaitAdvancing, "nested-wait": NestedWait}.get(
        name, NestedWaitAdvancing
    )
    if cell["part"] == "row":
        return kind(1)
    mix = case_mix(cell["part"], 1.0)
    if kind in (Wait, WaitAdvancing):
        period = FILLED * LLAMA_7B_CAPACITY / float(mix.rate @ mix.token_iterations)
        return kind(dict(zip(lengths(mix), (period * mix.rate).tolist(), strict=True)))
    segments = Segments.of(mix)
    going_on = segments.continuation[1:]
    shape = np.cumprod([1.0, *(going_on + SLACK * (1 - going_on))])
    first = FILLED * LLAMA_7B_CAPACITY / float(shape @ segments.token_iterations)
    return kind((first * shape).tolist(), mix.output[:-1].tolist())


def measure(cell: Row) -> Row:
    """One run; Nested WAIT is told nothing about outputs.

    ``sustained`` is the part of the fluid limit that is reached under load: by work done where memory limits, by
    completions where the token budget does.
    """
    traffic = of_types(case_mix(cell["part"], cell["rate"]), LLAMA_7B_CAPACITY, cell["requests"], cell["seed"])
    clock = Seconds(find_iteration_time(LLAMA_7B_TIME), token_budget=cell["token_budget"])
    predictions = Unknown() if "nested" in cell["policy"] else None
    result = simulate(traffic, policy_of(cell), clock, predictions=predictions, seed=cell["seed"])
    row = figures(result)
    if cell["part"] == "row":
        return row | {"line": f"{cell['policy']}, {cell['token_budget']} tokens"}
    whole = "" if cell["token_budget"] else ", whole prompts"
    if cell["part"] == "tokens":  # started prompts queue for the budget, so a run says little about when work was done
        reached = row["sustained_per_s"] / limit("tokens")
    else:
        reached = sustained(result, shares(cell["part"]))
    return row | {"line": cell["policy"] + whole, "sustained": reached}


def sustained(result: SimulationResult, part: dict[tuple[int, int], float]) -> float:
    """Part of the fluid limit of memory that the work done under load stands for.

    A request counts for its share of the limit, spread over its run (the one that completed) like the tokens it
    holds: of an output o after a prompt s a part x is generated with the part x (2 s + x o) / (2 s + o) of them.
    """
    prompt, output = result.source.prompt, result.source.output
    share = np.array([part[kind] for kind in zip(prompt.tolist(), output.tolist(), strict=True)])

    def done(time: float) -> np.ndarray:
        progress = np.clip((time - result.start) / (result.completion - result.start), 0, 1)
        return progress * (2 * prompt + progress * output) / (2 * prompt + output)

    first, last = under_load(result)
    return float(share @ (done(last) - done(first))) / (last - first)


def draw(rows: Sequence[Row]) -> Figure:
    """The row with the published points; completions per second over the load for each mix."""
    from matplotlib.ticker import FuncFormatter

    from kvopt.plot.canvas import Picture
    from kvopt.plot.curves import curves

    figure = Picture(figsize=(11.0, 8.2), layout="constrained")
    panels = figure.subplots(2, 2).ravel().tolist()
    beside = [row for row in rows if row["part"] == "row"]
    ax = panels[0]
    ax.set_title("512/20, 5,000 requests: the published row", loc="left", fontsize="medium")
    ax.plot(
        list(PUBLISHED), [pair[0] for pair in PUBLISHED.values()], "kx", label="published, chunked prefill", zorder=9
    )
    ax.plot(list(PUBLISHED), [pair[1] for pair in PUBLISHED.values()], "k+", label="published, WAIT", zorder=9)
    if beside:
        curves(beside, "rate", "mean_latency_s", "line", ax=ax)
    ax.set_yscale("log", subs=(1, 2, 4, 6))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("requests/s")
    ax.set_ylabel("mean latency in s")
    ax.legend(fontsize="x-small")
    for ax, case in zip(panels[1:], CASES, strict=True):
        here = [row for row in rows if row["part"] == case]
        ax.set_title(TITLES[case], loc="left", fontsize="medium")
        if here:
            curves(here, "load", "sustained", "line", OVERLOAD_LINES, ax)
            highest = max(row["load"] for row in here)
            ax.plot([0.8, 1.0, highest], [0.8, 1.0, 1.0], color="#999999", linewidth=0.8, zorder=0)
        ax.set_xlabel("arrival rate over the fluid limit")
        ax.set_ylabel("served under load, part of the fluid limit")
        if here and case != "memory":  # its lines are those of the last panel
            ax.legend(fontsize="x-small", loc="lower right")
    return figure


def findings(rows: Sequence[Row]) -> list[str]:
    """Largest deviations from the published row, latencies at equal budget, and throughputs far beyond the limit."""
    found = []
    rates = sorted({row["rate"] for row in rows if row["part"] == "row"})
    published = ("published chunked prefill", "published WAIT")
    for policy, budget, column in (("fcfs", BUDGET, 0), ("wait-advancing", WHOLE, 1)):
        errors = {}
        for rate in rates:
            value = mean(rows, "mean_latency_s", part="row", rate=rate, policy=policy, token_budget=budget)
            if value is not None:
                errors[rate] = value / PUBLISHED[rate][column] - 1
        worst = max((error for rate, error in errors.items() if rate <= COMPARED), key=abs)
        beyond = ", ".join(f"{100 * error:+.0f} % at {rate:g}" for rate, error in errors.items() if rate > COMPARED)
        found.append(
            f"{policy} with {budget} tokens against {published[column]}, up to {COMPARED:g} requests/s: "
            f"at most {100 * worst:+.1f} % off{'; ' if beyond else ''}{beyond}"
        )
    for rate in (rates[0], rates[-1]):
        values = [
            (line, mean(rows, "mean_latency_s", part="row", rate=rate, policy=line[0], token_budget=line[1]))
            for line in ROW_LINES
        ]
        found.append(
            f"{rate:g} requests/s: mean latency "
            + ", ".join(f"{policy} ({budget}) {value:.3f} s" for (policy, budget), value in values if value)
        )
    for case in CASES:
        loads = sorted({row["load"] for row in rows if row["part"] == case})
        shown = [(line, mean(rows, "sustained", part=case, load=loads[-1], line=line)) for line in OVERLOAD_LINES]
        found.append(
            f"{TITLES[case]}, fluid limit {limit(case):.3f} requests/s, arrivals {loads[-1]:g} times that: served "
            + ", ".join(f"{line} {100 * value:.1f} %" for line, value in shown if value)
        )
    return found


EXPERIMENT = Experiment("WAIT and Nested WAIT against chunked prefill", cells, measure, draw, findings)
