"""``kvopt simulate``: online runs of policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.cli.completing import policy_names
from kvopt.cli.console import Json, Quiet, Seed, check_output, echo_json, say, terminable, visible, watched
from kvopt.cli.request_types import mix_of_rates
from kvopt.errors import InputError

if TYPE_CHECKING:
    from kvopt.fluid import Mix
    from kvopt.hardware import PowerModel
    from kvopt.model import Instance
    from kvopt.online import Clock, SimulationResult, Traffic


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(simulate)


def simulate(
    file: Annotated[
        str | None, typer.Argument(help="Instance file, - for standard input; with --source a trace. Or none: --type.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="mc-sf, fcfs, vllm-fcfs, alpha-greedy:alpha=0.3, ...; repeat to compare.", autocompletion=policy_names
        ),
    ] = None,
    clock: Annotated[str, typer.Option(help="rounds or seconds.")] = "rounds",
    iteration_time: Annotated[
        str | None, typer.Option(help="Seconds: llama-2-7b-a100, ..., or a CSV file of measured iterations.")
    ] = None,
    token_budget: Annotated[
        int | None, typer.Option(help="Seconds: tokens of an iteration (chunked prefill); 0 for whole prompts.")
    ] = None,
    max_running: Annotated[
        int | None, typer.Option(help="Seconds: most requests running at a time (default 256).")
    ] = None,
    separate_prefill: Annotated[
        bool, typer.Option("--separate-prefill", help="Seconds: the prompt's iteration yields no token.")
    ] = False,
    seconds_per_round: Annotated[
        float | None, typer.Option(help="Seconds: length of an arrival round of an instance file.")
    ] = None,
    prediction: Annotated[
        str, typer.Option(help="What policies are told: exact, over:X, interval:X, noisy:X or none.")
    ] = "exact",
    source: Annotated[str | None, typer.Option(help="FILE is a trace: azure, vidur, csv, ... (kvopt import).")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="--source csv: column of prompt tokens,")] = None,
    output_column: Annotated[str | None, typer.Option(help="of output tokens,")] = None,
    arrival_column: Annotated[str | None, typer.Option(help="of arrivals in seconds.")] = None,
    limit: Annotated[int | None, typer.Option(help="--source: keep the first so many usable requests.")] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="PROMPT,OUTPUT,RATE (per second or round) instead of FILE; repeat for each type."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Draw lengths from FILE anew, Poisson arrivals at this rate.")
    ] = None,
    requests: Annotated[int | None, typer.Option(help="Seconds: requests of a drawn stream (default 5000).")] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds: rounds with arrivals of a drawn stream (default 1000).")
    ] = None,
    capacity: Annotated[int | None, typer.Option(help="KV cache capacity, for --type and --source.")] = None,
    busy_w: Annotated[float | None, typer.Option(help="Energy model: watts at full use (A100-SXM: 400),")] = None,
    idle_w: Annotated[float | None, typer.Option(help="and when idle.")] = None,
    seed: Seed = 0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File with every request, .json or .csv.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run policies on arriving requests; one line each, latencies and the like; Ctrl-C keeps what was measured."""
    import msgspec

    from kvopt.compiling import compiling_apart
    from kvopt.io.files import write_bytes
    from kvopt.online import find_predictions
    from kvopt.online import simulate as run
    from kvopt.policies import find_policy

    if not policy:
        raise InputError("give --policy NAME, once for each policy")
    check_output(output, json)
    policies = [(text, find_policy(text)) for text in policy]
    predictions = find_predictions(prediction)
    power = choose_power(busy_w, idle_w, clock)
    if clock not in ("rounds", "seconds"):
        raise InputError(f"--clock: expected rounds or seconds, got {clock!r}")
    used = choose_clock(clock, iteration_time, token_budget, max_running, separate_prefill)
    drawn, in_seconds = bool(types) or rate is not None, clock == "seconds"
    refuse_unused(
        {
            "--requests": (requests, drawn and in_seconds, "a stream drawn in seconds"),
            "--rounds": (rounds, drawn and not in_seconds, "a stream drawn in rounds"),
            "--seconds-per-round": (seconds_per_round, in_seconds and not drawn and not source, "an instance file"),
            "--limit": (limit, source is not None, "--source"),
            "--prompt-column": (prompt_column, source is not None, "--source"),
            "--output-column": (output_column, source is not None, "--source"),
            "--arrival-column": (arrival_column, source is not None, "--source"),
            "--iteration-time": (iteration_time, in_seconds, "--clock seconds"),
            "--token-budget": (token_budget, in_seconds, "--clock seconds"),
            "--max-running": (max_running, in_seconds, "--clock seconds"),
            "--separate-prefill": (separate_prefill or None, in_seconds, "--clock seconds"),
        }
    )
    stream = {
        "rate": rate,
        "requests": 5000 if requests is None else requests,
        "rounds": 1000 if rounds is None else rounds,
        "seed": seed,
    }
    columns = {"prompt_column": prompt_column, "output_column": output_column, "arrival_column": arrival_column}
    read = {"source": source, "limit": limit, **columns}
    mix: Mix | None
    if types:
        if file is not None or source is not None or rate is not None:
            raise InputError("--type draws a stream of its own: leave out FILE, --source and --rate")
        subject, mix = draw_types(types, capacity, used, stream)
    elif file is None:
        raise InputError("give FILE, or --type PROMPT,OUTPUT,RATE")
    else:
        subject, mix = read_file(file, capacity, used, seconds_per_round, stream, read)
    if mix is not None:
        warn_of_overload(mix, subject.capacity, used, quiet)
    monitor, line = watched(quiet)
    results: list[SimulationResult] = []
    with terminable(), compiling_apart(monitor):
        for _, chosen in policies:
            results.append(run(subject, chosen, used, predictions=predictions, seed=seed, on_progress=line))
            line.end()
            if results[-1].stopped_by == "interrupted":
                break
    labelled = [(text, result) for (text, _), result in zip(policies, results, strict=False)]
    if output is not None:
        content = as_csv(labelled) if output.endswith((".csv", ".csv.gz")) else None
        write_bytes(output, content or msgspec.json.encode(as_object(labelled, power, details=True)) + b"\n")
    if json:
        echo_json(as_object(labelled, power, details=False))
    elif not quiet:
        show(labelled, power, err=output == "-")
    for text, result in labelled:
        if result.stopped_by is not None:
            say(f"{text}: {result.done:,} of {result.n:,} requests completed: {result.stopped_by}", quiet)
    if output is not None:
        say(f"written to {output}", quiet)
    if results[-1].stopped_by == "interrupted":
        raise typer.Exit(130)
    if not all(result.finished for result in results):
        raise typer.Exit(1)


def refuse_unused(options: dict[str, tuple[Any, bool, str]]) -> None:
    """An option that would change nothing is a mistake: option -> value, whether it is used, what it goes with."""
    for option, (value, used, goes_with) in options.items():
        if value is not None and not used:
            raise InputError(f"{option} goes with {goes_with}")


def choose_clock(
    name: str, iteration_time: str | None, token_budget: int | None, max_running: int | None, separate_prefill: bool
) -> Clock:
    """The clock of the options."""
    from kvopt.io.profile import choose_iteration_time
    from kvopt.online import Rounds, Seconds

    if name == "rounds":
        return Rounds()
    if iteration_time is None:
        raise InputError("--clock seconds needs --iteration-time, a preset such as llama-2-7b-a100 or a CSV file")
    model = choose_iteration_time(iteration_time)
    budget = model.token_budget if token_budget is None else token_budget or None
    return Seconds(model, budget, 256 if max_running is None else max_running, separate_prefill)


def choose_power(busy_w: float | None, idle_w: float | None, clock: str) -> PowerModel | None:
    """The energy model of the options, None if they ask for none."""
    from kvopt.hardware import PowerModel

    if busy_w is None and idle_w is None:
        return None
    if busy_w is None or idle_w is None:
        raise InputError("the energy model needs both --busy-w and --idle-w")
    if clock != "seconds":
        raise InputError("energy needs --clock seconds: rounds have no length")
    return PowerModel(idle_w, busy_w)


def draw_types(
    types: Sequence[str], capacity: int | None, clock: Clock, stream: dict[str, Any]
) -> tuple[Instance | Traffic, Mix]:
    """A Poisson stream of the types."""
    from kvopt.online import Seconds, poisson_rounds, poisson_seconds

    if capacity is None:
        raise InputError("--type needs --capacity")
    mix = mix_of_rates(types)
    if isinstance(clock, Seconds):
        return poisson_seconds(mix, capacity, stream["requests"], stream["seed"]), mix
    return poisson_rounds(mix, capacity, stream["rounds"], stream["seed"]), mix


def read_file(
    file: str,
    capacity: int | None,
    clock: Clock,
    seconds_per_round: float | None,
    stream: dict[str, Any],
    read: dict[str, Any],
) -> tuple[Instance | Traffic, Mix | None]:
    """The requests of a file, or a stream with lengths drawn from it and what it asks for on average."""
    import numpy as np

    from kvopt.fluid import Mix
    from kvopt.io import formats
    from kvopt.io.traces import import_trace
    from kvopt.io.traffic import read_traffic
    from kvopt.online import Seconds, Traffic, resampled_rounds, resampled_seconds

    in_seconds, rate = isinstance(clock, Seconds), stream["rate"]
    found: Instance | Traffic
    if read["source"] is not None:
        if capacity is None:
            raise InputError("--source needs --capacity")
        options = {key: value for key, value in read.items() if key != "source" and value is not None}
        reader = read_traffic if in_seconds else import_trace
        found, _ = reader(read["source"], file, capacity, **options)
    else:
        if capacity is not None:
            raise InputError("an instance file has a capacity of its own: leave out --capacity")
        found = formats.read(file)
        if in_seconds and rate is None:
            if seconds_per_round is None and found.has_arrivals:
                raise InputError("arrivals of an instance are rounds: --clock seconds needs --seconds-per-round")
            found = Traffic.from_instance(found, 1.0 if seconds_per_round is None else seconds_per_round)
    if rate is None:
        return found, None
    if in_seconds:
        drawn: Instance | Traffic = resampled_seconds(found, rate, stream["requests"], stream["seed"])
    else:
        drawn = resampled_rounds(found, rate, stream["rounds"], stream["seed"])
    return drawn, Mix(found.prompt, found.output, np.full(found.n, rate / found.n))


def warn_of_overload(mix: Mix, capacity: int, clock: Clock, quiet: bool) -> None:
    """Say when no policy can keep up, and by how much."""
    from kvopt.online.load import offered_load

    load, limit = offered_load(mix, capacity, clock)
    if load > 1:
        say(f"unstable: the stream asks for {100 * load:.1f} % of {limit}; queues grow as long as it lasts", quiet)


def as_object(
    results: Sequence[tuple[str, SimulationResult]], power: PowerModel | None, details: bool
) -> dict[str, Any]:
    """The JSON object of a comparison; `details` adds a list for each column of the requests."""
    runs = []
    for text, result in results:
        figures = result.as_dict(power) if details else result.summary(power)
        runs.append({**figures, "policy": text})
    name = results[0][1].source.name
    return {"format": "kvopt/simulation", "version": 1, "name": name, "runs": runs}


def as_csv(results: Sequence[tuple[str, SimulationResult]]) -> bytes:
    """A row for each policy and request."""
    from kvopt.io.tables import csv_bytes

    columns = [result.columns() for _, result in results]
    rows = (
        [label, i, *row]
        for (label, _), found in zip(results, columns, strict=True)
        for i, row in enumerate(zip(*found.values(), strict=True))
    )
    return csv_bytes(["policy", "request", *columns[0]], rows)


def show(results: Sequence[tuple[str, SimulationResult]], power: PowerModel | None, err: bool) -> None:
    """A table on standard output, or on standard error if that is taken."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    first = results[0][1]
    unit = "s" if first.clock == "seconds" else "round"
    title = f"{first.source.name}: {first.n:,} requests, capacity {first.source.capacity:,}; times in {first.clock}"
    table = Table(title=Text(visible(title)), title_justify="left", box=box.SIMPLE)
    headings = ["done", "mean", "p50", "p99", "first token", "per token", f"tokens/{unit}", "memory", "evictions"]
    for heading in ("policy", *headings, *(["J/request"] if power else [])):
        table.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=True)
    for text, result in results:
        figures = result.summary(power)
        latency = figures["latency"] or {}
        cells = [latency.get("mean"), latency.get("p50"), latency.get("p99")]
        cells += [(figures[key] or {}).get("mean") for key in ("time_to_first_token", "time_per_output_token")]
        cells.append(figures["throughput_tokens"])
        row = [text, f"{result.done:,}", *(number(cell) for cell in cells)]
        row += [f"{100 * result.mean_memory / result.source.capacity:.1f} %", f"{figures['evictions']:,}"]
        table.add_row(*row, *([number(figures["energy_per_request_j"])] if power else []))
    Console(width=200, stderr=err).print(table)  # as wide as it needs, also in a pipe


def number(value: float | None) -> str:
    """Four significant digits, - for missing."""
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
