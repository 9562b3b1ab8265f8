"""GPUs: nominal memory and power limit, from the makers' data sheets."""

from __future__ import annotations

from dataclasses import dataclass

from kvopt.errors import InputError, UnknownNameError


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes
    ----------
    name : str
    memory : int
        Nominal size as printed on the data sheet ("80 GB"). The makers mean 2^30 bytes (an A100 80GB reports
        81,920 MiB); some papers compute with 10^9. `kvopt.hardware.capacity.KvCache` takes either, and says which.
    power_w : int or None
        Board power limit in watts, None if not known.
    """

    name: str
    memory: int
    power_w: int | None = None

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise InputError(f"GPU {self.name!r}: the memory must be at least 1, got {self.memory}")


#: name -> GPU; the SXM board where there are several.
GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        Gpu("A100-40GB", 40, 400),
        Gpu("A100-80GB", 80, 400),
        Gpu("H100-80GB", 80, 700),
        Gpu("H100-NVL", 94, 400),
        Gpu("H200", 141, 700),
        Gpu("L4", 24, 72),
        Gpu("L40S", 48, 350),
        Gpu("A10", 24, 150),
        Gpu("RTX-A6000", 48, 300),
        Gpu("RTX-3090", 24, 350),
        Gpu("RTX-4090", 24, 450),
        Gpu("V100-16GB", 16, 300),
        Gpu("V100-32GB", 32, 300),
        Gpu("T4", 16, 70),
        Gpu("MI300X", 192, 750),
    )
}


def find_gpu(name: str) -> Gpu:
    """A known GPU, upper and lower case alike.

    Parameters
    ----------
    name : str
        A key of `GPUS`.

    Returns
    -------
    Gpu

    Raises
    ------
    UnknownNameError
        If there is none of that name; the message lists the names.
    """
    for known, gpu in GPUS.items():
        if known.lower() == name.lower():
            return gpu
    raise UnknownNameError("GPU", name, list(GPUS))
