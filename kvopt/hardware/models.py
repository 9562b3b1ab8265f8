"""Language models as far as memory goes: layers, KV heads, head size and number of parameters."""

from __future__ import annotations

from dataclasses import dataclass

from kvopt.errors import InputError, UnknownNameError


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
