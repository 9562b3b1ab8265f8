"""``kvopt adversary``: release games and random starts, which bound every online policy, and their certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.cli import bad_instances
from kvopt.cli.console import (
    Json,
    MemoryLimit,
    Quiet,
    TimeLimit,
    check_output,
    echo_json,
    interruptible,
    say,
    watched,
)
from kvopt.errors import InputError
from kvopt.rounding import decimal

if TYPE_CHECKING:
    from kvopt.adversary.game import Game
    from kvopt.adversary.random_start import RandomStart
    from kvopt.monitor import Monitor


def register(app: typer.Typer) -> None:
    """Add the commands of this module and those of `kvopt.cli.bad_instances`."""
    commands = typer.Typer(
        help="Worst cases of online policies: games, families, search.", no_args_is_help=True, rich_markup_mode=None
    )
    commands.command()(game)
    commands.command()(check)
    commands.command()(tables)
    commands.command("random-start")(random_start)
    bad_instances.register(commands)
    app.add_typer(commands, name="adversary")


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
    from kvopt.compiling import compiling_apart

    check_output(output, json)
    if output is not None and not randomised:
        raise InputError("--output takes the mix of a randomised game; add --randomised")
    played = Game.of(capacity, parse_menu(menu), requests, horizon)
    monitor, line = watched(quiet, played.menu, time_limit_s=time_limit, memory_limit_gb=memory_limit)
    with interruptible(monitor), compiling_apart(monitor):
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


def tables(
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = 2.0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The values of small games, deterministic and randomised, as Markdown tables."""
    from kvopt.adversary.tables import markdown, random_starts, rows
    from kvopt.compiling import compiling_apart

    monitor, line = watched(quiet, time_limit_s=time_limit, memory_limit_gb=memory_limit)
    found, started = [], []
    with interruptible(monitor), compiling_apart(monitor):
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
    from kvopt.compiling import compiling_apart
    from kvopt.errors import UnknownNameError

    makers = {key: make for key, make in FAMILIES.items() if make in (Stream, LargePrompts)}
    if family not in makers:
        raise UnknownNameError("family with a stream", family, list(makers))
    monitor, _ = watched(quiet)
    with compiling_apart(monitor):
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
