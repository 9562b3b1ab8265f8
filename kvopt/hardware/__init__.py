"""What the hardware allows: KV cache capacity, iteration time and energy of a model on its GPUs."""

from kvopt.hardware.capacity import REFERENCE_POINTS, KvCache, ReferencePoint
from kvopt.hardware.config import read_config
from kvopt.hardware.energy import PowerModel
from kvopt.hardware.gpus import GPUS, Gpu, find_gpu
from kvopt.hardware.iteration import ITERATION_TIMES, IterationTime, find_iteration_time
from kvopt.hardware.models import MODELS, Model, find_model

__all__ = [
    "GPUS",
    "ITERATION_TIMES",
    "MODELS",
    "REFERENCE_POINTS",
    "Gpu",
    "IterationTime",
    "KvCache",
    "Model",
    "PowerModel",
    "ReferencePoint",
    "find_gpu",
    "find_iteration_time",
    "find_model",
    "read_config",
]
