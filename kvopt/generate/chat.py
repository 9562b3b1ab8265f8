"""Backlogs of chat requests at the capacity of real GPUs, drawn to match public summary figures."""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt

import numpy as np

from kvopt.generate import at_least
from kvopt.model import MAX_VALUE, Instance, IntArray

#: Llama-2-70B on two A100s (`kvopt.hardware.REFERENCE_POINTS`).
CAPACITY = 16_492
#: Below this hardly any drawn request would fit.
SMALLEST_CAPACITY = 100

#: Mean and median of 10,000 conversations of LMSYS-Chat-1M in words, as arXiv 2502.07115 states them.
LMSYS = {"prompt": (40.62, 11.0), "output": (85.32, 45.0)}

#: Percentiles of the 19,366 requests of the Azure conversation trace 2023 in tokens (Azure Public Dataset,
#: CC-BY 4.0; Patel et al., Splitwise, ISCA 2024). Their linear interpolation has the means 1155.5 and 214.5,
#: the trace 1154.7 and 211.1. Its rank correlation of prompt and output is 0.07; they are drawn independently.
AZURE_PERCENT = (0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.9, 100)
AZURE_PROMPT = (2, 29, 181, 207, 387, 403, 703, 1020, 1071, 1130, 1315, 2734, 4083, 4142, 6179, 14050)
AZURE_OUTPUT = (7, 16, 41, 54, 77, 91, 103, 129, 177, 384, 400, 424, 451, 601, 954, 1000)


def lmsys_like(random: np.random.Generator, *, requests: int = 100, capacity: int = CAPACITY) -> Instance:
    """Lengths lognormal with the mean and median of `LMSYS`, rounded, at least 1; pairs above M are drawn again.

    A lognormal with median m and mean a has ``mu = ln m`` and ``sigma = sqrt(2 ln(a / m))``: sigma 1.62 for
    prompts, 1.13 for outputs. Prompt and output are independent (no joint figure is public).
    """

    def draw(number: int) -> tuple[IntArray, IntArray]:
        return lognormal(random, *LMSYS["prompt"], number), lognormal(random, *LMSYS["output"], number)

    return backlog(draw, requests, capacity)


def azure_like(random: np.random.Generator, *, requests: int = 100, capacity: int = CAPACITY) -> Instance:
    """Lengths by linear interpolation between the percentiles of the Azure trace; pairs above M are drawn again."""

    def draw(number: int) -> tuple[IntArray, IntArray]:
        return interpolated(random, AZURE_PROMPT, number), interpolated(random, AZURE_OUTPUT, number)

    return backlog(draw, requests, capacity)


def lognormal(random: np.random.Generator, mean: float, median: float, number: int) -> IntArray:
    """Lognormal lengths with this mean and median, rounded to whole tokens, at least 1."""
    sizes = random.lognormal(log(median), sqrt(2 * log(mean / median)), number)
    return np.maximum(1, np.rint(np.minimum(sizes, MAX_VALUE))).astype(np.int64)


def interpolated(random: np.random.Generator, percentiles: tuple[int, ...], number: int) -> IntArray:
    """Lengths whose distribution function is piecewise linear through `percentiles`."""
    return np.rint(np.interp(100 * random.random(number), AZURE_PERCENT, percentiles)).astype(np.int64)


def backlog(draw: Callable[[int], tuple[IntArray, IntArray]], requests: int, capacity: int) -> Instance:
    """Draw until `requests` pairs fit into the capacity by themselves."""
    at_least(1, requests=requests)
    at_least(SMALLEST_CAPACITY, capacity=capacity)
    prompt, output = draw(requests)
    while (bad := np.flatnonzero(prompt + output > capacity)).size:
        prompt[bad], output[bad] = draw(bad.size)
    return Instance(capacity, prompt, output)
