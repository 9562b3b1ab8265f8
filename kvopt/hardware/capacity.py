"""How many tokens of KV cache fit beside the weights, with every assumption stated.

Capacity = floor((fraction * memory - weights - reserve) / bytes per token), where a token takes
``2 * layers * KV heads * head size * bytes per number`` (a key and a value; Kwon et al., SOSP 2023, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal

from kvopt.arguments import whole_number
from kvopt.errors import ArgumentError, InputError, UnknownNameError
from kvopt.hardware.gpus import GPUS, Gpu
from kvopt.hardware.models import MODELS, Model
from kvopt.model import MAX_VALUE

#: More GPUs than anybody has.
MOST_GPUS = 1_000_000
#: Bytes per number. Scales and zero points of quantised weights are not counted.
DATA_TYPES: dict[str, Fraction] = {
    "fp32": Fraction(4),
    "fp16": Fraction(2),
    "bf16": Fraction(2),
    "fp8": Fraction(1),
    "int8": Fraction(1),
    "int4": Fraction(1, 2),
}
#: Bytes that one unit of a GPU's nominal memory stands for.
UNITS = {"GiB": 2**30, "GB": 10**9}


@dataclass(frozen=True)
class KvCache:
    """The KV cache of a model served by tensor-parallel GPUs.

    Parameters
    ----------
    model : Model
    gpu : Gpu
    gpus : int
        Number of GPUs; weights are split evenly, KV heads as evenly as whole heads allow.
    fraction : Fraction
        Part of the memory that the server may use, 0 < fraction <= 1.
    weight_type, cache_type : str
        One of `DATA_TYPES`.
    reserve_bytes : int
        Bytes on each GPU for activations, buffers and the like, beside the unused fraction.
    unit : {"GiB", "GB"}
        Whether the nominal memory counts 2^30 or 10^9 bytes.
    count : {"all", "layers"}
        Weights that take room: all parameters, or the attention and MLP matrices alone (as the simulator Vidur counts).
    block : int
        Tokens per KV block of a paged cache; the capacity is rounded down to whole blocks.

    Raises
    ------
    InputError
        If a value is out of range, or `count` is ``layers`` for a model of which only the total is known.

    Examples
    --------
    >>> from kvopt.hardware import find_gpu, find_model
    >>> KvCache(find_model("Llama-2-7B"), find_gpu("A100-80GB"), count="layers").capacity
    122752
    """

    model: Model
    gpu: Gpu
    gpus: int = 1
    fraction: Fraction = Fraction(9, 10)
    weight_type: str = "fp16"
    cache_type: str = "fp16"
    reserve_bytes: int = 0
    unit: Literal["GiB", "GB"] = "GiB"
    count: Literal["all", "layers"] = "all"
    block: int = 1

    def __post_init__(self) -> None:
        for name in (self.weight_type, self.cache_type):
            if name not in DATA_TYPES:
                raise UnknownNameError("data type", name, list(DATA_TYPES))
        if self.unit not in UNITS:
            raise UnknownNameError("unit", self.unit, list(UNITS))
        if self.count not in ("all", "layers"):
            raise UnknownNameError("way of counting weights", self.count, ["all", "layers"])
        if not 0 < self.fraction <= 1:
            raise ArgumentError("fraction", "must be above 0 and at most 1", float(self.fraction))
        whole_number("gpus", self.gpus, 1, MOST_GPUS)
        whole_number("block", self.block, 1)
        whole_number("reserve_bytes", self.reserve_bytes, 0)
        if self.count == "layers" and self.model.layer_parameters is None:
            raise InputError(
                f"model {self.model.name!r}: only its total number of parameters is known, not the layers'"
            )

    @property
    def memory_bytes(self) -> int:
        """Nominal memory of all GPUs."""
        return self.gpus * self.gpu.memory * UNITS[self.unit]

    @property
    def parameters(self) -> int:
        """Weights that are counted."""
        counted = self.model.parameters if self.count == "all" else self.model.layer_parameters
        assert counted is not None
        return counted

    @property
    def weight_bytes(self) -> Fraction:
        """Bytes of the weights on all GPUs."""
        return self.parameters * DATA_TYPES[self.weight_type]

    @property
    def heads_per_gpu(self) -> int:
        """KV heads that each GPU holds; heads are copied where there are more GPUs than heads."""
        return -(-self.model.kv_heads // self.gpus)

    @property
    def token_bytes(self) -> Fraction:
        """Bytes that one token takes on all GPUs together."""
        heads = self.heads_per_gpu * self.gpus
        return 2 * self.model.layers * heads * self.model.head_size * DATA_TYPES[self.cache_type]

    @property
    def free_bytes(self) -> Fraction:
        """Bytes left for the cache; negative when the weights do not fit."""
        return self.fraction * self.memory_bytes - self.weight_bytes - self.gpus * self.reserve_bytes

    @property
    def capacity(self) -> int:
        """Tokens that fit.

        Raises
        ------
        InputError
            If not even one block fits, or more than an instance may have (2^31 - 1).
        """
        tokens = floor(self.free_bytes / (self.token_bytes * self.block)) * self.block
        if tokens < 1:
            raise InputError(
                f"{self.model.name} does not fit: weights {float(self.weight_bytes) / 1e9:.2f} GB and reserve "
                f"{self.gpus * self.reserve_bytes / 1e9:.2f} GB leave no room for the cache in "
                f"{float(self.fraction * self.memory_bytes) / 1e9:.2f} GB ({self.gpus} x {self.gpu.name}, "
                f"fraction {float(self.fraction):g})"
            )
        if tokens > MAX_VALUE:
            raise InputError(f"{tokens} tokens are more than a capacity may be ({MAX_VALUE})")
        return tokens

    def assumptions(self) -> list[str]:
        """Every figure and rule that the capacity rests on, a sentence each."""
        model, gpu = self.model, self.gpu
        counted = (
            "all parameters" if self.count == "all" else "attention and MLP matrices only, no embeddings, no norms"
        )
        heads = f"{self.heads_per_gpu} of {model.kv_heads} KV heads on each GPU"
        if self.heads_per_gpu * self.gpus > model.kv_heads:
            heads += f", some copied ({self.heads_per_gpu * self.gpus} held in all)"
        usable = float(self.fraction * self.memory_bytes)
        lines = [
            f"memory: {self.gpus} x {gpu.name}, {gpu.memory} {self.unit} each counted as {UNITS[self.unit]:,} bytes "
            f"per {self.unit}: {self.memory_bytes:,} bytes (nominal; drivers report slightly less)",
            f"fraction {float(self.fraction):g} of it may be used: {usable:,.0f} bytes",
            f"weights: {self.parameters:,} ({counted}) in {self.weight_type}, split evenly: "
            f"{float(self.weight_bytes):,.0f} bytes",
            f"reserve for activations and buffers: {self.reserve_bytes:,} bytes on each GPU",
            f"cache: keys and values of {model.layers} layers, head size {model.head_size}, {self.cache_type}, "
            f"{heads}: {float(self.token_bytes):,.0f} bytes a token",
            "every layer caches every token (no sliding window, no sharing between requests)",
        ]
        if self.block > 1:
            lines.append(f"rounded down to blocks of {self.block} tokens")
        return lines


@dataclass(frozen=True)
class ReferencePoint:
    """A capacity that others use, and the assumptions that give it.

    Attributes
    ----------
    tokens : int
        The published or widely used value.
    cache : KvCache
        Assumptions under which `KvCache.capacity` equals `tokens`.
    source : str
        Who uses the value, and which of the assumptions are guesses.
    """

    tokens: int
    cache: KvCache
    source: str


#: Reserve on each of two GPUs that turns the published figures into 16,492; any 321,138,689 .. 321,302,528 does.
FITTED_RESERVE_BYTES = 321_250_000

REFERENCE_POINTS: tuple[ReferencePoint, ...] = (
    ReferencePoint(
        122_752,
        KvCache(MODELS["Llama-2-7B"], GPUS["A100-80GB"], count="layers"),
        "Vidur's memory planner with a margin of 10 % (Agrawal et al., MLSys 2024)",
    ),
    ReferencePoint(
        137_497,
        KvCache(MODELS["Llama-2-7B"], GPUS["A100-80GB"], fraction=Fraction(99, 100), count="layers"),
        "the same with a margin of 1 %",
    ),
    ReferencePoint(
        54_067,
        KvCache(MODELS["Llama-2-70B"], GPUS["A100-80GB"], gpus=2, count="layers"),
        "Vidur's memory planner with a margin of 10 %",
    ),
    ReferencePoint(
        16_492,
        KvCache(MODELS["Llama-2-70B"], GPUS["A100-80GB"], gpus=2, unit="GB", reserve_bytes=FITTED_RESERVE_BYTES),
        "arXiv 2502.07115; it states the value only. Decimal GB, 10 % margin and all parameters give 18,453; "
        "the reserve of 321.25 MB on each GPU is fitted to the value, not published",
    ),
)
