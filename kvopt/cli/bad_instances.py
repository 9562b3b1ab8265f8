"""``kvopt adversary``: families that are bad for a policy, the search for instances that are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.cli.console import (
    Json,
    Quiet,
    Seed,
    TimeLimit,
    check_output,
    echo_json,
    exact,
    interruptible,
    say,
    watched,
)
from kvopt.errors import InputError

if TYPE_CHECKING:
    from kvopt.adversary.curve import Point

PolicyName = Annotated[str, typer.Option(help="Online policy, with options as in alpha-greedy:alpha=0.2.")]

Capacities = Annotated[str, typer.Option("--capacity", help="KV cache capacity, or several as in 64,256,1024.")]
Released = Annotated[
    str | None, typer.Option("--output", "-o", help="Instance file for what was released (last capacity).")
]

#: Letters of families without options, as they are listed in the literature notes.
LETTERS = {"A": "burst", "C": "large-prompts"}


def register(commands: typer.Typer) -> None:
    """Add the commands of this module to those of ``kvopt adversary``."""
    commands.command("burst", help="A long request; when it has almost ended, many short ones at once.")(plain_family)
    commands.command("stream")(stream)
    commands.command(
        "large-prompts", help="Prompts of half the capacity: a long request, then a short one in every round."
    )(plain_family)
    commands.command("shortest-first")(shortest_first)
    commands.command("A", hidden=True, help="The same as burst.")(plain_family)
    commands.command("B", hidden=True, help="The same as stream.")(stream)
    commands.command("C", hidden=True, help="The same as large-prompts.")(plain_family)
    commands.command()(search)


def plain_family(
    context: typer.Context,
    policy: PolicyName,
    capacity: Capacities,
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    output: Released = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Burst and large prompts: families without options."""
    name = str(context.info_name)
    run_family(LETTERS.get(name, name), {}, policy, capacity, seed, time_limit, output, json, quiet)


def stream(
    policy: PolicyName,
    capacity: Capacities,
    delay: Annotated[str, typer.Option(help="Part of the long request's run before the stream begins.")] = "0.3",
    long_output: Annotated[int | None, typer.Option(help="Output of the long request (default: capacity - 1).")] = None,
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    output: Released = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A long request; once it runs, a full load of short ones in every round."""
    options = {"delay": exact(delay, "--delay"), "long_output": long_output}
    run_family("stream", options, policy, capacity, seed, time_limit, output, json, quiet)


def shortest_first(
    policy: PolicyName,
    capacity: Capacities,
    copies: Annotated[int | None, typer.Option(help="Requests with a long prompt (default: sqrt(capacity)/3).")] = None,
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    output: Released = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A backlog of mixed prompts that is bad for shortest-first."""
    run_family("shortest-first", {"copies": copies}, policy, capacity, seed, time_limit, output, json, quiet)


def run_family(
    name: str,
    options: dict[str, Any],
    policy: str,
    capacity: str,
    seed: int,
    time_limit_s: float | None,
    output: str | None,
    json: bool,
    quiet: bool,
) -> None:
    """Run a policy against a family at each capacity and divide its total latency by the optimum."""
    from kvopt.adversary.curve import against, exponent
    from kvopt.adversary.families import FAMILIES
    from kvopt.bench.ranges import whole_numbers
    from kvopt.compiling import compiling_apart
    from kvopt.io.formats import write
    from kvopt.policies import find_policy

    check_output(output, json)
    chosen = find_policy(policy)
    adversaries = [FAMILIES[name](m, **options) for m in whole_numbers(capacity, "--capacity")]
    points: list[Point] = []
    interrupted = False
    monitor, _ = watched(quiet)
    try:
        with compiling_apart(monitor):
            for adversary in adversaries:
                points.append(against(adversary, chosen, seed=seed, time_limit_s=time_limit_s))
                if not json:
                    typer.echo(as_text(points[-1]), err=output == "-")
    except KeyboardInterrupt:
        interrupted = True
    ratios = [point.ratio for point in points]
    slopes = {}
    if len({point.instance.capacity for point in points}) > 1:
        slopes = {
            "capacity": exponent([point.instance.capacity for point in points], ratios),
            "requests": exponent([point.instance.n for point in points], ratios),
        }
    if json:
        echo_json(
            {"family": name, "policy": policy, "points": [as_dict(p) for p in points], "exponents": slopes or None}
        )
    else:
        for of, slope in slopes.items():
            text = f"ratio ~ {of} ^ {slope:.3f} (least squares on logarithms, {len(points)} points)"
            typer.echo(text, err=output == "-")
    if output is not None and points:
        write(points[-1].instance, output)
        say(f"written to {output}", quiet)
    if interrupted:
        raise typer.Exit(130)


def as_text(point: Point) -> str:
    """A line for a policy's run against an adversary."""
    known = point.yardstick
    if known.lower == known.upper:
        optimum, ratio = f"optimum {known.upper:,} ({known.proof})", f"ratio {float(point.ratio):.4f}"
    else:
        optimum = f"optimum within {known.lower:,}..{known.upper:,} ({known.proof})"
        ratio = f"ratio within {float(point.ratio):.4f}..{float(point.ratio_at_most):.4f}"
    size = f"M={point.instance.capacity:,} n={point.instance.n:,}"
    return f"{size}: {point.policy} {point.total_latency:,}, {optimum}, {ratio}"


def as_dict(point: Point) -> dict[str, Any]:
    """The same as a JSON object; ``ratio`` is proved from below, ``ratio_at_most`` from above."""
    return {
        "capacity": point.instance.capacity,
        "requests": point.instance.n,
        "total_latency": point.total_latency,
        "optimum_at_least": point.yardstick.lower,
        "optimum_at_most": point.yardstick.upper,
        "proof": point.yardstick.proof,
        "ratio": float(point.ratio),
        "ratio_at_most": float(point.ratio_at_most),
    }


def search(
    policy: PolicyName,
    capacity: Annotated[int, typer.Option(help="KV cache capacity in tokens.")],
    requests: Annotated[int, typer.Option(help="Requests of each instance.")] = 6,
    last_arrival: Annotated[int, typer.Option(help="Latest arrival; 0 for backlogs.")] = 0,
    prompt: Annotated[int | None, typer.Option(help="Prompt of all requests (default: any).")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instances to examine.")] = None,
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Instance file; the proof goes beside it.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search small instances for one on which a policy is far from the optimum (30 seconds unless told otherwise).

    With -o NAME.json the optimum and its certificate are written to NAME.result.json.
    """
    from kvopt.adversary.search import Space
    from kvopt.adversary.search import search as climb
    from kvopt.io.formats import write, write_result
    from kvopt.policies import find_policy

    check_output(output, json)
    if output is not None and not output.endswith((".json", ".json.gz")):
        raise InputError(f"{output}: the name of an instance file ends in .json or .json.gz")
    space = Space(capacity, requests, last_arrival, prompt)
    if steps is None and time_limit is None:
        time_limit = 30.0
    monitor, line = watched(quiet, time_limit_s=time_limit, seed=seed)
    with interruptible(monitor):
        found = climb(space, find_policy(policy), steps=steps, monitor=monitor)
    line.end()
    instance, result = found.instance, found.result
    rows = list(zip(instance.prompt.tolist(), instance.output.tolist(), instance.arrival.tolist(), strict=True))
    if output is not None:
        proof = output.removesuffix(".gz").removesuffix(".json") + ".result.json"
        write(instance, output)
        write_result(result, proof)
        say(f"written to {output} and {proof}", quiet)
    if json:
        echo_json(
            {
                "policy": policy,
                "capacity": capacity,
                "requests": [{"prompt": s, "output": o, "arrival": a} for s, o, a in rows],
                "total_latency": found.total_latency,
                "optimum_at_least": result.lower_bound,
                "optimum_at_most": result.total_latency,
                "ratio": float(found.ratio),
                "examined": found.examined,
                "stopped_by": monitor.stop_reason,
            }
        )
    else:
        text = " ".join(f"({s},{o})@{a}" for s, o, a in rows)
        status = "optimum" if result.status == "optimal" else "best schedule"
        typer.echo(
            f"M={capacity} {text}: {policy} {found.total_latency}, {status} {result.total_latency}, "
            f"ratio {found.ratio} = {float(found.ratio):.4f} ({found.examined:,} instances examined)"
        )
    if monitor.interrupted:
        raise typer.Exit(130)
