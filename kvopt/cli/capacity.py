"""``kvopt capacity``: tokens of KV cache that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.cli.console import Json, Quiet, echo_json, exact, say
from kvopt.errors import ArgumentError, InputError

if TYPE_CHECKING:
    from kvopt.hardware import Gpu, KvCache, Model


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(capacity)


def capacity(
    model: Annotated[str | None, typer.Option(help="Llama-2-7B, Llama-2-70B, Llama-3-8B, ... (or --config).")] = None,
    gpu: Annotated[str, typer.Option(help="A100-40GB, A100-80GB, H100-80GB, H200, L40S, ...")] = "A100-80GB",
    gpus: Annotated[int, typer.Option(help="GPUs that share the model (tensor parallel).")] = 1,
    fraction: Annotated[str, typer.Option(help="Part of the memory that may be used.")] = "0.9",
    reserve_mb: Annotated[str, typer.Option(help="Buffers on each GPU, in 10^6 bytes.")] = "0",
    weights: Annotated[str | None, typer.Option(help="fp32, fp16, bf16, fp8, int8, int4.")] = None,
    cache: Annotated[str, typer.Option(help="The same for the cache.")] = "fp16",
    unit: Annotated[str, typer.Option(help="What the nominal memory counts: GiB or GB.")] = "GiB",
    count: Annotated[str, typer.Option(help="Weights counted: all, or layers (without embeddings).")] = "all",
    block: Annotated[int, typer.Option(help="Round down to KV blocks of this many tokens.")] = 1,
    config: Annotated[str | None, typer.Option(help="Model from a Hugging Face config.json.")] = None,
    layers: Annotated[int | None, typer.Option(help="Model by its own figures: layers,")] = None,
    kv_heads: Annotated[int | None, typer.Option(help="KV heads,")] = None,
    head_size: Annotated[int | None, typer.Option(help="numbers per head,")] = None,
    parameters: Annotated[int | None, typer.Option(help="and parameters in all.")] = None,
    gpu_memory: Annotated[int | None, typer.Option(help="Nominal memory of a GPU that is not listed.")] = None,
    references: Annotated[bool, typer.Option("--references", help="Show the published reference points.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tokens of KV cache that fit beside a model's weights, with every assumption."""
    from kvopt.hardware import REFERENCE_POINTS, KvCache

    if references:
        if json:
            points = [describe(p.cache) | {"published": p.tokens, "source": p.source} for p in REFERENCE_POINTS]
            echo_json(points)
            return
        for point in REFERENCE_POINTS:
            typer.echo(
                f"{point.cache.capacity:,} (published {point.tokens:,}), {point.cache.model.name}: {point.source}"
            )
            for line in point.cache.assumptions():
                typer.echo(f"  {line}")
        return
    own = {"layers": layers, "kv_heads": kv_heads, "head_size": head_size, "parameters": parameters}
    chosen, stated = choose_model(model, config, own)
    if exact(reserve_mb, "--reserve-mb") < 0:
        raise ArgumentError("reserve_mb", "must be at least 0", reserve_mb)
    kv = KvCache(
        model=chosen,
        gpu=choose_gpu(gpu, gpu_memory),
        gpus=gpus,
        fraction=exact(fraction, "--fraction"),
        weight_type=weights or stated or "fp16",
        cache_type=cache,
        reserve_bytes=round(exact(reserve_mb, "--reserve-mb") * 10**6),
        unit=unit,  # type: ignore[arg-type]
        count=count,  # type: ignore[arg-type]
        block=block,
    )
    if json:
        echo_json(describe(kv))
    else:
        typer.echo(kv.capacity)
        say(f"tokens of KV cache for {kv.model.name}, from:", quiet)
        for line in kv.assumptions():
            say(f"  {line}", quiet)


def choose_model(name: str | None, config: str | None, own: dict[str, int | None]) -> tuple[Model, str | None]:
    """The one model that the options describe, and the data type its config states."""
    from kvopt.hardware import Model, find_model, read_config

    given = [value for value in own.values() if value is not None]
    if (name is not None) + (config is not None) + bool(given) != 1:
        raise InputError("give one of --model NAME, --config FILE, or --layers --kv-heads --head-size --parameters")
    if name is not None:
        return find_model(name), None
    if config is not None:
        return read_config(config)
    missing = [f"--{key.replace('_', '-')}" for key, value in own.items() if value is None]
    if missing:
        raise InputError(f"a model by its own figures also needs {', '.join(missing)}")
    return Model("own figures", **{key: value for key, value in own.items() if value is not None}), None


def choose_gpu(name: str, memory: int | None) -> Gpu:
    """A listed GPU, or one given by its memory alone."""
    from kvopt.hardware import Gpu, find_gpu

    return find_gpu(name) if memory is None else Gpu("GPU", memory)


def describe(kv: KvCache) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    return {
        "capacity": kv.capacity,
        "model": kv.model.name,
        "gpu": kv.gpu.name,
        "gpus": kv.gpus,
        "memory_bytes": kv.memory_bytes,
        "fraction": str(kv.fraction),
        "weight_bytes": float(kv.weight_bytes),
        "reserve_bytes": kv.reserve_bytes * kv.gpus,
        "token_bytes": float(kv.token_bytes),
        "assumptions": kv.assumptions(),
    }
