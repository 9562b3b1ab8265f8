"""Language models as far as memory goes: layers, KV heads, head size and number of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kvopt.errors import InputError, UnknownNameError
from kvopt.io.files import read_bytes


@dataclass(frozen=True)
class Model:
    """A decoder-only transformer.

    Attributes
    ----------
    name : str
    layers, kv_heads, head_size : int
        Each token caches a key and a value of `head_size` numbers for each KV head of each layer.
    parameters : int
        All weights: matrices, embeddings, norms and biases.
    layer_parameters : int or None
        Weights of the attention and MLP matrices alone; None where only the total is known.
    """

    name: str
    layers: int
    kv_heads: int
    head_size: int
    parameters: int
    layer_parameters: int | None = None

    def __post_init__(self) -> None:
        for field in ("layers", "kv_heads", "head_size", "parameters"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"model {self.name!r}: {field} must be an integer of at least 1, got {value!r}")

    @classmethod
    def from_sizes(
        cls,
        name: str,
        *,
        layers: int,
        hidden: int,
        intermediate: int,
        heads: int,
        vocabulary: int,
        kv_heads: int | None = None,
        head_size: int | None = None,
        tied: bool = False,
        experts: int = 1,
        norms: int = 2,
        qkv_bias: bool = False,
        output_bias: bool = False,
        mlp_bias: bool = False,
        qk_norm: bool = False,
    ) -> Model:
        """Count the parameters of a Llama-like transformer (gated MLP, RMS norms, rotary positions).

        Parameters
        ----------
        layers, hidden, intermediate, heads, vocabulary : int
            Sizes as in a ``config.json``; `intermediate` is that of one expert.
        kv_heads, head_size : int, optional
            Grouped-query attention has fewer KV heads than heads; default ``heads`` and ``hidden / heads``.
        tied : bool
            Input and output embeddings share one matrix.
        experts : int
            MLP copies per layer; above 1 with a router.
        norms : int
            RMS norms per layer.
        qkv_bias, output_bias, mlp_bias, qk_norm : bool
            Biases of the attention's input and output and of the MLP, norms of queries and keys.

        Examples
        --------
        >>> sizes = {"layers": 32, "hidden": 4096, "intermediate": 11008, "heads": 32, "vocabulary": 32000}
        >>> Model.from_sizes("Llama-2-7B", **sizes).parameters
        6738415616
        """
        kv_heads = heads if kv_heads is None else kv_heads
        head_size = hidden // heads if head_size is None else head_size
        wide, narrow = heads * head_size, kv_heads * head_size
        attention = hidden * (2 * wide + 2 * narrow)
        mlp = experts * 3 * hidden * intermediate + (hidden * experts if experts > 1 else 0)
        small = norms * hidden
        small += qkv_bias * (wide + 2 * narrow) + output_bias * hidden
        small += mlp_bias * (2 * intermediate + hidden) + qk_norm * 2 * head_size
        embeddings = vocabulary * hidden * (1 if tied else 2)
        return cls(
            name=name,
            layers=layers,
            kv_heads=kv_heads,
            head_size=head_size,
            parameters=layers * (attention + mlp + small) + embeddings + hidden,
            layer_parameters=layers * (attention + mlp),
        )


#: Sizes from the models' own config.json files; tests hold the resulting totals against the published ones.
MODELS: dict[str, Model] = {
    name: Model.from_sizes(name, **sizes)  # type: ignore[arg-type]
    for name, sizes in {
        "Llama-2-7B": {"layers": 32, "hidden": 4096, "intermediate": 11008, "heads": 32, "vocabulary": 32000},
        "Llama-2-13B": {"layers": 40, "hidden": 5120, "intermediate": 13824, "heads": 40, "vocabulary": 32000},
        "Llama-2-70B": {
            "layers": 80, "hidden": 8192, "intermediate": 28672, "heads": 64, "kv_heads": 8, "vocabulary": 32000,
        },
        "Llama-3-8B": {
            "layers": 32, "hidden": 4096, "intermediate": 14336, "heads": 32, "kv_heads": 8, "vocabulary": 128256,
        },
        "Llama-3-70B": {
            "layers": 80, "hidden": 8192, "intermediate": 28672, "heads": 64, "kv_heads": 8, "vocabulary": 128256,
        },
        "Llama-3.1-405B": {
            "layers": 126, "hidden": 16384, "intermediate": 53248, "heads": 128, "kv_heads": 8, "vocabulary": 128256,
        },
        "Llama-3.2-1B": {
            "layers": 16, "hidden": 2048, "intermediate": 8192, "heads": 32, "kv_heads": 8, "vocabulary": 128256,
            "tied": True,
        },
        "Llama-3.2-3B": {
            "layers": 28, "hidden": 3072, "intermediate": 8192, "heads": 24, "kv_heads": 8, "vocabulary": 128256,
            "tied": True,
        },
        "CodeLlama-34B": {
            "layers": 48, "hidden": 8192, "intermediate": 22016, "heads": 64, "kv_heads": 8, "vocabulary": 32000,
        },
        "Mistral-7B": {
            "layers": 32, "hidden": 4096, "intermediate": 14336, "heads": 32, "kv_heads": 8, "vocabulary": 32000,
        },
        "Mixtral-8x7B": {
            "layers": 32, "hidden": 4096, "intermediate": 14336, "heads": 32, "kv_heads": 8, "vocabulary": 32000,
            "experts": 8,
        },
        "Qwen2.5-7B": {
            "layers": 28, "hidden": 3584, "intermediate": 18944, "heads": 28, "kv_heads": 4, "vocabulary": 152064,
            "qkv_bias": True,
        },
        "Qwen2.5-72B": {
            "layers": 80, "hidden": 8192, "intermediate": 29568, "heads": 64, "kv_heads": 8, "vocabulary": 152064,
            "qkv_bias": True,
        },
        "Qwen3-8B": {
            "layers": 36, "hidden": 4096, "intermediate": 12288, "heads": 32, "kv_heads": 8, "vocabulary": 151936,
            "qk_norm": True,
        },
    }.items()
}  # fmt: skip


def find_model(name: str) -> Model:
    """A known model, upper and lower case alike.

    Parameters
    ----------
    name : str
        A key of `MODELS`.

    Returns
    -------
    Model

    Raises
    ------
    UnknownNameError
        If there is none of that name; the message lists the names.
    """
    for known, model in MODELS.items():
        if known.lower() == name.lower():
            return model
    raise UnknownNameError("model", name, list(MODELS))


# ---------------------------------------------------------------- config.json


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
