"""``kvopt fluid``: equilibrium, stable loads, WAIT thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.cli.completing import time_names
from kvopt.cli.console import Json, Quiet, echo_json, exact, say
from kvopt.cli.request_types import mix_of_rates
from kvopt.errors import InputError

if TYPE_CHECKING:
    from kvopt.fluid import Condition, Equilibrium, Mix, NestedWaitThresholds, Stability, WaitThresholds
    from kvopt.hardware import IterationTime


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(fluid)


def fluid(
    types: Annotated[
        list[str] | None, typer.Option("--type", help="PROMPT,OUTPUT,RATE (requests per second); repeat for each type.")
    ] = None,
    types_file: Annotated[str | None, typer.Option(help="The same from a file, .csv or .json.")] = None,
    time: Annotated[
        str | None, typer.Option(autocompletion=time_names, help="Iteration time: llama-2-7b-a100, ... Or own figures:")
    ] = None,
    fixed_ms: Annotated[float | None, typer.Option(help="milliseconds of an empty iteration (d0),")] = None,
    token_ms: Annotated[float | None, typer.Option(help="per token held (d0 + d1 * tokens held);")] = None,
    prefill_ms: Annotated[float | None, typer.Option(help="or per prompt token,")] = None,
    decode_ms: Annotated[float | None, typer.Option(help="per decoding request,")] = None,
    kv_ms: Annotated[float | None, typer.Option(help="and per KV token.")] = None,
    capacity: Annotated[int | None, typer.Option(help="Tokens of KV cache. Or of hardware:")] = None,
    model: Annotated[str | None, typer.Option(help="Llama-2-7B, ..., on")] = None,
    gpu: Annotated[str, typer.Option(help="this GPU,")] = "A100-80GB",
    gpus: Annotated[int, typer.Option(help="so many of them,")] = 1,
    fraction: Annotated[str, typer.Option(help="with this part of the memory.")] = "0.9",
    token_budget: Annotated[
        int | None, typer.Option(help="Tokens an iteration may process (default: that of the iteration time).")
    ] = None,
    thresholds: Annotated[str | None, typer.Option(help="Check these, N1,N2,...; otherwise some are proposed.")] = None,
    nested: Annotated[bool, typer.Option("--nested", help="Nested WAIT (outputs unknown) instead of WAIT.")] = False,
    horizon_s: Annotated[float, typer.Option(help="Nested: seconds for which the memory shall suffice.")] = 1000.0,
    failure_probability: Annotated[float, typer.Option(help="Nested: that it does not.")] = 0.01,
    plot: Annotated[str | None, typer.Option(help="Picture of the stable loads of two types to write.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Equilibrium, stable loads and WAIT thresholds of the fluid model; exit code 1 if the load is not stable."""
    from kvopt.fluid import UnstableLoadError, equilibrium, stability

    own = {"d0_ms": fixed_ms, "token_ms": token_ms, "prefill_ms": prefill_ms, "decode_ms": decode_ms, "kv_ms": kv_ms}
    iteration_time = choose_time(time, own)
    mix = choose_mix(types, types_file)
    if model is not None:
        if capacity is not None:
            raise InputError("--capacity and --model both give the capacity; choose one")
        capacity = hardware_capacity(model, gpu, gpus, fraction)
    budget = iteration_time.token_budget if token_budget is None else token_budget
    if plot is not None:
        draw(plot, mix, iteration_time, capacity, budget)
    found = stability(mix, iteration_time, capacity=capacity, token_budget=budget)
    report: dict[str, Any] = {
        "types": [{"prompt": int(p), "output": int(o), "rate": float(r)} for p, o, r in columns(mix)],
        "time": iteration_time,
        "capacity": capacity,
        "token_budget": budget,
        "stable": found.stable,
        "load": found.load,
        "bottleneck": found.bottleneck,
        "use": dict(found.use),
        "equilibrium": None,
        "nested" if nested else "wait": None,
    }
    lines = describe_limits(found, mix, capacity, budget)
    try:
        balance = equilibrium(mix, iteration_time)
        report["equilibrium"] = as_dict(balance)
        lines += describe_equilibrium(balance, mix)
        checked = choose_thresholds(
            mix,
            iteration_time,
            capacity,
            thresholds,
            nested,
            horizon_s=horizon_s,
            failure_probability=failure_probability,
        )
        report["nested" if nested else "wait"] = as_dict(checked)
        lines += describe_thresholds(checked, nested)
    except UnstableLoadError as error:
        lines.append(str(error))
    if json:
        echo_json(report)
    else:
        typer.echo("\n".join(lines))
    if plot is not None:
        say(f"written to {plot}", quiet)
    if not found.stable:
        raise typer.Exit(1)


def choose_mix(types: list[str] | None, path: str | None) -> Mix:
    """The types of the options, or of the file."""
    from kvopt.io.mixes import read_mix

    if bool(types) == (path is not None):
        raise InputError("give --type PROMPT,OUTPUT,RATE, once for each type, or --types-file FILE")
    return read_mix(path) if path is not None else mix_of_rates(types or [])


def choose_time(name: str | None, own: dict[str, float | None]) -> IterationTime:
    """The preset, or an iteration time of its own figures."""
    from kvopt.fluid import resident_time
    from kvopt.hardware import IterationTime, find_iteration_time

    given = {key: value for key, value in own.items() if value is not None}
    if (name is not None) == bool(given):
        raise InputError("give --time NAME, or own figures: --fixed-ms with --token-ms, or with --prefill-ms and so on")
    if name is not None:
        return find_iteration_time(name)
    if given.keys() == {"d0_ms", "token_ms"}:
        return resident_time(given["d0_ms"], given["token_ms"])
    if given.keys() == own.keys() - {"token_ms"}:
        return IterationTime(**given)  # type: ignore[arg-type]
    raise InputError("own figures: --fixed-ms with --token-ms alone, or with --prefill-ms, --decode-ms and --kv-ms")


def hardware_capacity(model: str, gpu: str, gpus: int, fraction: str) -> int:
    """Tokens of KV cache, weights counted as ``kvopt capacity`` does by default."""
    from kvopt.hardware import KvCache, find_gpu, find_model

    return KvCache(find_model(model), find_gpu(gpu), gpus, exact(fraction, "--fraction")).capacity


def choose_thresholds(
    mix: Mix, time: IterationTime, capacity: int | None, given: str | None, nested: bool, **more: float
) -> WaitThresholds | NestedWaitThresholds:
    """Thresholds given or proposed, checked."""
    from kvopt.fluid import check_nested_wait, check_wait, nested_thresholds, wait_thresholds

    if given is None:
        if nested:
            return nested_thresholds(mix, time, capacity=capacity, **more)
        return wait_thresholds(mix, time, capacity=capacity)
    try:
        n = [float(part) for part in given.split(",")]
    except ValueError:
        raise InputError(f"--thresholds: expected numbers such as 10,4, got {given!r}") from None
    if nested:
        return check_nested_wait(mix, time, n, capacity=capacity, **more)
    return check_wait(mix, time, n, capacity=capacity)


def draw(path: str, mix: Mix, time: IterationTime, capacity: int | None, budget: int | None) -> None:
    """Write the picture."""
    from kvopt.plot import save, stability

    save(stability(mix, time, capacity, budget).figure.figure, path)


def columns(mix: Mix) -> Any:
    """(prompt, output, rate) of each type."""
    return zip(mix.prompt, mix.output, mix.rate, strict=True)


def as_dict(found: Equilibrium | WaitThresholds | NestedWaitThresholds) -> dict[str, Any]:
    """A result for ``--json``: lists for arrays, conditions with both sides; infinities become null."""
    from dataclasses import asdict

    out = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in asdict(found).items()}
    conditions: tuple[Condition, ...] = getattr(found, "conditions", ())
    if conditions:
        out["conditions"] = [asdict(c) | {"holds": c.holds} for c in conditions]
        out["feasible"] = all(c.holds for c in conditions)
    if hasattr(found, "needed"):
        out["needed"] = found.needed
    return out


def describe_limits(found: Stability, mix: Mix, capacity: int | None, budget: int | None) -> list[str]:
    """How much of each limit is taken, for people."""
    verdict = "stable" if found.stable else "NOT STABLE"
    values = {"memory": capacity, "tokens": budget}
    lines = [f"{verdict}: {mix.total_rate:g} requests/s take {100 * found.load:.2f} % of {found.bottleneck}"]
    for limit, use in found.use.items():
        value = "" if values.get(limit) is None else f" ({values[limit]:,} tokens)"
        most = found.largest(limit) * mix.total_rate
        lines.append(f"  {limit}{value}: {100 * use:.2f} % taken, reached at {most:.4g} requests/s of this mix")
    return lines


def describe_equilibrium(found: Equilibrium, mix: Mix) -> list[str]:
    """The equilibrium, for people."""
    stages = ", ".join(f"{n:.4g} of {p}/{o}" for n, (p, o, _) in zip(found.per_stage, columns(mix), strict=True))
    return [
        f"equilibrium: iteration {1000 * found.iteration_s:.4g} ms, memory {found.memory:,.0f} tokens, "
        f"{found.throughput_tokens_per_s:,.4g} output tokens/s",
        f"  requests per stage: {stages}",
    ]


def describe_thresholds(found: WaitThresholds | NestedWaitThresholds, nested: bool) -> list[str]:
    """Thresholds and conditions, for people."""
    n = ", ".join(f"{value:.4g}" for value in found.thresholds)
    lines = [
        f"{'Nested WAIT' if nested else 'WAIT'} thresholds {n}: {'feasible' if found.feasible else 'NOT FEASIBLE'}, "
        f"full batch {1000 * found.iteration_s:.4g} ms, {found.memory:,.0f} tokens"
    ]
    buffers = getattr(found, "buffers", None)
    if buffers is not None:
        lines.append(
            f"  safety buffers {buffers.sum():,.0f} tokens, with the batch {found.memory + buffers.sum():,.0f}"
        )
    return lines + [f"  {condition}" for condition in found.conditions]
