"""Traffic of the experiments: Poisson arrivals of chat requests or of a few types; runs on the former."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from kvopt.experiments.experiment import Row
from kvopt.fluid import Mix, stability
from kvopt.generate import generate
from kvopt.hardware import find_iteration_time
from kvopt.online import Seconds, SimulationResult, Traffic, simulate
from kvopt.policies import find_policy

if TYPE_CHECKING:
    from kvopt.online.predictions import Predictions

#: Capacity and iteration time used with arXiv 2502.07115: Llama-2-70B on two A100s.
LLAMA_70B_CAPACITY, LLAMA_70B_TIME = 16_492, "llama-2-70b-2502.07115"
#: Capacity of Llama-2-7B on one A100-80GB (`kvopt.hardware.REFERENCE_POINTS`) and the calibrated iteration time.
LLAMA_7B_CAPACITY, LLAMA_7B_TIME = 122_752, "llama-2-7b-a100-chunk-512"

#: Requests whose lengths stand for all in the fluid limit of chat traffic.
SAMPLE = 50_000


def poisson(rate: float, requests: int, seed: int) -> np.ndarray:
    """Arrival times in seconds of a Poisson process, shape (requests,)."""
    return np.cumsum(np.random.Generator(np.random.PCG64([seed, 7])).exponential(1 / rate, requests))


def chat(rate: float, requests: int, seed: int) -> Traffic:
    """LMSYS-like lengths at Poisson times; the first n requests do not depend on how many there are at other rates."""
    lengths = generate("lmsys-like", requests=requests, capacity=LLAMA_70B_CAPACITY, seed=seed)
    return Traffic(LLAMA_70B_CAPACITY, lengths.prompt, lengths.output, poisson(rate, requests, seed))


def of_types(mix: Mix, capacity: int, requests: int, seed: int) -> Traffic:
    """Requests of a few types, each drawn with a probability in proportion to its rate."""
    drawn = np.random.Generator(np.random.PCG64([seed, 8])).choice(len(mix), requests, p=mix.rate / mix.total_rate)
    return Traffic(capacity, mix.prompt[drawn], mix.output[drawn], poisson(mix.total_rate, requests, seed))


def run_chat(cell: Row, predictions: Predictions | None = None) -> SimulationResult:
    """The policy of a cell on chat requests at its rate: whole prompts, any number of running requests."""
    clock = Seconds(find_iteration_time(LLAMA_70B_TIME), max_running=None)
    traffic = chat(cell["rate"], cell["requests"], cell["seed"])
    return simulate(traffic, find_policy(cell["policy"]), clock, predictions=predictions, seed=cell["seed"])


@cache
def chat_limit() -> float:
    """Rate of chat requests per second at which the fluid model is full (memory), from a large sample of lengths.

    The fluid model gives the prompt an iteration of its own, the simulator does not: a fraction of a percent.
    """
    lengths = generate("lmsys-like", requests=SAMPLE, capacity=LLAMA_70B_CAPACITY, seed=0)
    mix = Mix(lengths.prompt, lengths.output, np.full(SAMPLE, 1 / SAMPLE))
    time = find_iteration_time(LLAMA_70B_TIME)
    return 1 / stability(mix, time, capacity=LLAMA_70B_CAPACITY).load
