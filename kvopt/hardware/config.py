"""The model of a Hugging Face ``config.json``: its sizes as far as memory goes, and the type of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from kvopt.errors import InputError
from kvopt.hardware.models import Model
from kvopt.io.files import read_bytes

#: model_type -> what its architecture adds to `Model.from_sizes`; other types count differently and are refused.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "mixtral": {},
    "phi3": {},
    "qwen2": {"qkv_bias": True},
    "qwen3": {"qk_norm": True},
    "gemma": {"tied": True},
    "gemma2": {"tied": True, "norms": 4},
}

#: What to do about a config that is not understood.
OWN_FIGURES = "give --layers, --kv-heads, --head-size and --parameters instead"

#: Data type names of config.json -> names used here.
CONFIG_TYPES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


class Config(msgspec.Struct):
    """The keys of a Hugging Face ``config.json`` that decide memory; the others are ignored."""

    num_hidden_layers: int
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    vocab_size: int
    model_type: str
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    tie_word_embeddings: bool | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    num_local_experts: int = 1
    torch_dtype: str | None = None
    dtype: str | None = None
    quantization_config: dict[str, Any] | None = None


def read_config(path: str | Path) -> tuple[Model, str | None]:
    """The model of a Hugging Face ``config.json`` and the data type of its weights (None if not stated).

    Parameters are counted from the sizes: grouped-query attention, tied embeddings, experts and biases included.

    Parameters
    ----------
    path : str or Path
        The file ``config.json`` of a model.

    Returns
    -------
    model : Model
    weights : str or None
        Data type of the weights, as the file names it.

    Raises
    ------
    InputError
        If the file cannot be read, a key is missing or wrong, or the architecture is not one of `ARCHITECTURES`.
    """
    data = read_bytes(path)
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: $: expected an object")
    known = raw.get("model_type", "llama")
    if not isinstance(known, str) or known not in ARCHITECTURES:
        raise InputError(
            f"{path}: $.model_type: {known!r} has a layout of its own (known: {', '.join(ARCHITECTURES)}); "
            + own_figures(raw)
        )
    required = [field.name for field in msgspec.structs.fields(Config) if field.required]
    if missing := [key for key in required if key not in raw]:
        several = len(missing) > 1
        names = ", ".join(map(repr, missing))
        raise InputError(f"{path}: $: the key{'s' * several} {names} {'are' if several else 'is'} missing")
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None
    sizes = {
        "num_hidden_layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_attention_heads": config.num_attention_heads,
        "vocab_size": config.vocab_size,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "num_local_experts": config.num_local_experts,
    }
    for key, value in sizes.items():
        if value is not None and value < 1:
            raise InputError(f"{path}: $.{key}: must be at least 1, got {value}")
    if config.head_dim is None and config.hidden_size % config.num_attention_heads:
        raise InputError(
            f"{path}: $.head_dim: missing, and hidden_size {config.hidden_size} is not a multiple of "
            f"num_attention_heads {config.num_attention_heads}"
        )
    if config.num_attention_heads % (config.num_key_value_heads or 1):
        raise InputError(
            f"{path}: $.num_key_value_heads: {config.num_key_value_heads} does not divide num_attention_heads "
            f"{config.num_attention_heads}"
        )
    more = dict(ARCHITECTURES[config.model_type])
    if config.tie_word_embeddings is not None:
        more["tied"] = config.tie_word_embeddings
    if config.attention_bias:
        more |= {"qkv_bias": True, "output_bias": True}
    model = Model.from_sizes(
        str(raw.get("_name_or_path") or Path(path).stem),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        heads=config.num_attention_heads,
        vocabulary=config.vocab_size,
        kv_heads=config.num_key_value_heads,
        head_size=config.head_dim,
        experts=config.num_local_experts,
        mlp_bias=config.mlp_bias,
        **more,
    )
    if config.quantization_config is not None:
        return model, quantised_type(config.quantization_config)
    stated = config.torch_dtype or config.dtype
    return model, None if stated is None else CONFIG_TYPES.get(stated, stated)


def own_figures(raw: dict[str, Any]) -> str:
    """How to give the model of a config by its own figures, as far as the config tells them.

    Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434) caches one vector of ``kv_lora_rank`` numbers and
    one of ``qk_rope_head_dim`` for each token and layer, as much as keys and values of one head half as large.

    >>> own_figures({"kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_hidden_layers": 61})[-65:]
    'give --layers 61 --kv-heads 1 --head-size 288 --parameters NUMBER'
    """
    if isinstance(raw.get("text_config"), dict):
        return "the sizes in $.text_config leave out its other parts: " + OWN_FIGURES
    layers, latent, rotary = (raw.get(key) for key in ("num_hidden_layers", "kv_lora_rank", "qk_rope_head_dim"))
    if not (type(layers) is type(latent) is type(rotary) is int) or (latent + rotary) % 2:
        return OWN_FIGURES
    return (
        f"multi-head latent attention caches {latent} + {rotary} = {latent + rotary} numbers for each token and "
        f"layer: give --layers {layers} --kv-heads 1 --head-size {(latent + rotary) // 2} --parameters NUMBER"
    )


def quantised_type(quantisation: dict[str, Any]) -> str:
    """Data type of quantised weights; the method's name, or that they are, where that does not tell it.

    >>> quantised_type({"quant_method": "awq", "bits": 4})
    'int4'
    """
    bits = quantisation.get("bits")
    return f"int{bits}" if bits in (4, 8) else str(quantisation.get("quant_method", "quantised"))
