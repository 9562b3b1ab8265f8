"""The two synthetic models of Jaillet et al., arXiv 2502.07115: M ~ U{30..50}, s ~ U{1..5}, o ~ U{1..M-s}."""

from __future__ import annotations

import numpy as np

from kvopt.generate import at_least
from kvopt.generate.synthetic import PROMPT, drawn_capacity
from kvopt.model import Instance, IntArray


def model1(random: np.random.Generator, *, requests: int | None = None, capacity: int | None = None) -> Instance:
    """Arrival model 1: n ~ U{40..60} requests (unless given), all in round 0."""
    if requests is None:
        requests = int(random.integers(40, 60, endpoint=True))
    at_least(1, requests=requests)
    capacity = drawn_capacity(random, capacity)
    prompt, output = lengths(random, requests, capacity)
    return Instance(capacity, prompt, output)


def model2(random: np.random.Generator, *, rounds: int | None = None, capacity: int | None = None) -> Instance:
    """Arrival model 2: rounds 0..T-1 with T ~ U{40..60} (unless given), Poisson arrivals of one rate ~ U[0.5, 1.5].

    A draw without any arrival (probability below e^-20 at the published sizes) is drawn again.
    """
    if rounds is None:
        rounds = int(random.integers(40, 60, endpoint=True))
    at_least(1, rounds=rounds)
    capacity = drawn_capacity(random, capacity)
    rate = random.uniform(0.5, 1.5)
    count = random.poisson(rate, rounds)
    while not count.any():
        count = random.poisson(rate, rounds)
    prompt, output = lengths(random, int(count.sum()), capacity)
    return Instance(capacity, prompt, output, np.repeat(np.arange(rounds), count))


def lengths(random: np.random.Generator, requests: int, capacity: int) -> tuple[IntArray, IntArray]:
    """Prompts ~ U{1..5} and outputs ~ U{1..M-s}, shape (n,)."""
    prompt = random.integers(PROMPT[0], min(PROMPT[1], capacity - 1), requests, endpoint=True)
    return prompt, random.integers(1, capacity - prompt, endpoint=True)
