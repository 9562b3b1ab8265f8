"""``kvopt adversary``: release games, families that are bad for a policy, the search for bad instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.cli.console import (
    Json,
    MemoryLimit,
    ProgressLine,
    Quiet,
    Seed,
    TimeLimit,
    check_output,
    echo_json,
    exact,
    interruptible,
    say,
)
from kvopt.errors import InputError
from kvopt.rounding import decimal

if TYPE_CHECKING:
    from kvopt.adversary.curve import Point
    from kvopt.adversary.game import Game
    from kvopt.adversary.random_start import RandomStart
    from kvopt.model import Instance
    from kvopt.monitor import Monitor

PolicyName = Annotated[str, typer.Option(help="Online policy, with options as in alpha-greedy:alpha=0.2.")]

Capacities = Annotated[str, typer.Option("--capacity", help="KV cache capacity, or several as in 64,256,1024.")]
Released = Annotated[
    str | None, typer.Option("--output", "-o", help="Instance file for what was released (last capacity).")
]

#: Letters of families without options, as they are listed in the literature notes.
LETTERS = {"A": "burst", "C": "large-prompts"}

commands = typer.Typer(
    help="Worst cases of online policies: games, families, search.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(commands, name="adversary")


@commands.command()
def game(
    capacity: Annotated[int, typer.Option(help="KV cache capacity in tokens.")],
    menu: Annotated[str, typer.Option(help='Types that may be released, "PROMPT,OUTPUT;PROMPT,OUTPUT;...".')],
    requests: Annotated[int, typer.Option(help="N, most requests released.")],
    horizon: Annotated[int, typer.Option(help="H, last round with a release.")],
    randomised: Annotated[bool, typer.Option("--randomised", help="Against randomised policies.")] = False,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = 2.0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="With --randomised: file for the adversary's mix.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Best competitive ratio in the finite release game: a lower bound for all online policies.

    Exit code 1 if a limit ended the run before the value was found.
    """
    from kvopt.adversary.deterministic import deterministic_value
    from kvopt.adversary.game import Game

    check_output(output, json)
    if output is not None and not randomised:
        raise InputError("--output takes the mix of a randomised game; add --randomised")
    played = Game.of(capacity, parse_menu(menu), requests, horizon)
    monitor, line = watched(played.menu, time_limit, memory_limit, 0, quiet)
    with interruptible(monitor):
        if randomised:
            report, text = solve_randomised(played, monitor, output)
        else:
            found = deterministic_value(played, monitor)
            report = {
                "value": None if found.value is None else str(found.value),
                "above": str(found.above),
                "below": str(found.below),
                "tests": found.tests,
                "states": found.states,
                "histories": found.nodes,
            }
            if found.value is None:
                text = f"stopped: the value lies strictly between {found.above} and {found.below}"
            else:
                text = (
                    f"value {found.value} = {float(found.value):.6f}, exact: no deterministic online policy is better"
                )
    line.end()
    known = {"policies": "randomised" if randomised else "deterministic", **described(played), **report}
    known |= {"runtime_s": round(monitor.elapsed_s, 3), "stopped_by": monitor.stop_reason}
    if json:
        echo_json(known)
    else:
        types = " ".join(f"({s},{o})" for s, o in played.types)
        typer.echo(f"game M={capacity}, menu {types}, N={requests}, H={horizon}: {text}", err=output == "-")
        say("values grow with N and H: a lower bound on the competitive ratio, not the ratio itself", quiet)
    end(monitor, found=report["value"] is not None)


def solve_randomised(game: Game, monitor: Monitor, output: str | None) -> tuple[dict[str, Any], str]:
    """The report of a randomised game, and a line of text."""
    from kvopt.adversary.mix_file import write_mix
    from kvopt.adversary.randomised import randomised_value

    found = randomised_value(game, monitor)
    report = {
        "value": found.value,
        "lower": None if found.lower is None else str(found.lower),
        "upper": None if found.upper is None else str(found.upper),
        "sequences": None if found.mix is None else len(found.mix.plays),
        "variables": found.variables,
        "coefficients": found.coefficients,
        "states": found.states,
        "histories": found.nodes,
    }
    if found.lower is None or found.upper is None or found.mix is None:
        return report, "stopped before a value was found"
    if output is not None:
        write_mix(found.mix, found.lower, output)
    text = (
        f"linear programme {found.value:.8f}; proved: at least {decimal(found.lower, 8, up=False)} ({found.lower}) "
        f"by a mix of {len(found.mix.plays)} release sequences, at most {decimal(found.upper, 8, up=True)}"
    )
    return report, text


@commands.command()
def check(
    file: Annotated[str, typer.Argument(help="Mix file, - for standard input.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute the ratio that an adversary's mix certifies, in integers; exit code 1 if it is not the one claimed."""
    from kvopt.adversary.mix import certified_ratio
    from kvopt.adversary.mix_file import read_mix

    mix, claimed = read_mix(file)
    ratio = certified_ratio(mix)
    if json:
        echo_json({"claimed": str(claimed), "certified": str(ratio), "sequences": len(mix.plays)})
    elif ratio == claimed:
        typer.echo(f"PROVED  no online policy, randomised or not, has a competitive ratio below {ratio}")
    else:
        typer.echo(f"REFUSED  the mix certifies {ratio}, not {claimed}")
    if ratio != claimed:
        raise typer.Exit(1)


@commands.command()
def tables(
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = 2.0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The values of small games, deterministic and randomised, as Markdown tables."""
    from kvopt.adversary.tables import markdown, random_starts, rows

    monitor, line = watched(None, time_limit, memory_limit, 0, quiet)
    found, started = [], []
    with interruptible(monitor):
        for row in rows(monitor):
            found.append(row)
            monitor.report(force=True, values=len(found))
        for bound in random_starts(monitor):
            started.append(bound)
            monitor.report(force=True, values=len(found) + len(started))
    line.end()
    if json:
        listed = [
            {
                "policies": "randomised" if row.randomised else "deterministic",
                **described(row.game),
                "lower": None if row.lower is None else str(row.lower),
                "upper": None if row.upper is None else str(row.upper),
            }
            for row in found
        ]
        starts = [random_as_dict(bound) for bound in started]
        echo_json(
            {
                "rows": listed,
                "random_starts": starts,
                "runtime_s": round(monitor.elapsed_s, 3),
                "stopped_by": monitor.stop_reason,
            }
        )
    else:
        typer.echo(markdown(found, started), nl=False)
    say(f"{len(found) + len(started)} values in {monitor.elapsed_s:.1f} s", quiet)
    end(monitor, found=not monitor.stopped)


@commands.command("random-start")
def random_start(
    family: Annotated[str, typer.Option(help="stream or large-prompts.")],
    capacity: Annotated[int, typer.Option(help="KV cache capacity in tokens.")],
    last: Annotated[int, typer.Option(help="Latest round in which the stream begins.")],
    every: Annotated[int, typer.Option(help="Rounds between possible beginnings.")] = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Lower bound for randomised policies: the family's stream begins in a random round, or never."""
    from kvopt.adversary.families import FAMILIES, LargePrompts, Stream
    from kvopt.adversary.random_start import random_start as best_start
    from kvopt.errors import UnknownNameError

    makers = {key: make for key, make in FAMILIES.items() if make in (Stream, LargePrompts)}
    if family not in makers:
        raise UnknownNameError("family with a stream", family, list(makers))
    found = best_start(makers[family](capacity), last, every)
    if json:
        echo_json(random_as_dict(found))
    else:
        typer.echo(
            f"{family}, M={capacity:,}, n={found.requests:,}, beginning in 0..{last:,} every {every} or never: "
            f"no online policy, randomised or not, has a competitive ratio below {decimal(found.lower, 8, up=False)} "
            f"({len(found.weights)} beginnings)"
        )


def random_as_dict(found: RandomStart) -> dict[str, Any]:
    """A random start in JSON; weights by round, the one of never beside them."""
    return {
        "capacity": found.family.capacity,
        "requests": found.requests,
        "last": found.last,
        "every": found.every,
        "lower": float(found.lower),
        "value": found.value,
        "weights": [{"round": begin, "weight": weight} for begin, weight in found.weights.items()],
    }


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
    from kvopt.io.formats import write
    from kvopt.policies import find_policy

    check_output(output, json)
    chosen = find_policy(policy)
    adversaries = [FAMILIES[name](m, **options) for m in whole_numbers(capacity, "--capacity")]
    points: list[Point] = []
    interrupted = False
    try:
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


@commands.command()
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
    monitor, line = watched(None, time_limit, None, seed, quiet)
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


def parse_menu(text: str) -> list[tuple[int, int]]:
    """Types from text such as ``1,1;1,3``."""
    types = []
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        try:
            prompt, output = (int(value) for value in part.split(","))
        except ValueError:
            raise InputError(f"--menu: expected PROMPT,OUTPUT;PROMPT,OUTPUT;..., got {part!r}") from None
        types.append((prompt, output))
    return types


def watched(
    instance: Instance | None, time_limit_s: float | None, memory_limit_gb: float | None, seed: int, quiet: bool
) -> tuple[Monitor, ProgressLine]:
    """A monitor with a progress line; its instance matters only where schedules are offered."""
    from kvopt.model import Instance
    from kvopt.monitor import Monitor

    line = ProgressLine(quiet)
    anything = instance or Instance.from_rows(1, [(0, 1)])
    monitor = Monitor(anything, time_limit_s=time_limit_s, memory_limit_gb=memory_limit_gb, seed=seed, on_progress=line)
    return monitor, line


def described(game: Game) -> dict[str, Any]:
    """A game in JSON."""
    return {
        "capacity": game.menu.capacity,
        "menu": [{"prompt": s, "output": o} for s, o in game.types],
        "requests": game.requests,
        "horizon": game.horizon,
    }


def end(monitor: Monitor, *, found: bool) -> None:
    """The exit code of a run that may have been stopped."""
    if monitor.interrupted:
        raise typer.Exit(130)
    if not found:
        raise typer.Exit(1)


commands.command("burst", help="A long request; when it has almost ended, many short ones at once.")(plain_family)
commands.command("stream")(stream)
commands.command(
    "large-prompts", help="Prompts of half the capacity: a long request, then a short one in every round."
)(plain_family)
commands.command("shortest-first")(shortest_first)
commands.command("A", hidden=True, help="The same as burst.")(plain_family)
commands.command("B", hidden=True, help="The same as stream.")(stream)
commands.command("C", hidden=True, help="The same as large-prompts.")(plain_family)
