"""Small random instances for exact methods, and identical requests for the staggering effect.

Capacities of 30 to 50 and prompts of 1 to 5 tokens follow the synthetic models of arXiv 2502.07115.
"""

from __future__ import annotations

import numpy as np

from kvopt.errors import InputError
from kvopt.generate import at_least
from kvopt.model import Instance, exact_sum, volume

#: Bounds of what is drawn, both included.
CAPACITY, PROMPT, OUTPUT = (30, 50), (1, 5), (1, 20)
#: The same for `a100`, upper ends excluded.
GPU_PROMPT, GPU_OUTPUT = (200, 6_001), (200, 2_501)


def few_types(
    random: np.random.Generator, *, requests: int = 20, types: int = 2, capacity: int | None = None
) -> Instance:
    """Few types with multiplicities.

    M ~ U{30..50} unless given; `types` different pairs s ~ U{1..5}, o ~ U{1..20} (peak <= M); each of the
    `requests` requests takes a type uniformly, each type at least once.

    Raises
    ------
    InputError
        If there are fewer requests than types, or fewer different pairs than types.
    """
    at_least(1, types=types)
    at_least(types, requests=requests)
    capacity = drawn_capacity(random, capacity)
    return with_counts(random, capacity, sorted(distinct_pairs(random, types, capacity, OUTPUT[1])), requests)


def different(random: np.random.Generator, *, requests: int = 12, capacity: int | None = None) -> Instance:
    """All requests different: M ~ U{30..50} unless given, s ~ U{1..5}, o ~ U{1..M-s}, no pair twice."""
    at_least(1, requests=requests)
    capacity = drawn_capacity(random, capacity)
    return Instance.from_rows(capacity, distinct_pairs(random, requests, capacity, capacity))


def arrivals(
    random: np.random.Generator, *, requests: int = 14, types: int | None = None, capacity: int | None = None
) -> Instance:
    """Requests of `different`, or of `few_types` where `types` are given, that arrive while a busy worker serves them.

    Arrivals are uniform over the rounds that the volume of all requests fills, 0 to ceil(volume / M).
    """
    if types is None:
        backlog = different(random, requests=requests, capacity=capacity)
    else:
        backlog = few_types(random, requests=requests, types=types, capacity=capacity)
    busy = -(-exact_sum(backlog.volume) // backlog.capacity)
    arrival = random.integers(0, busy, backlog.n, endpoint=True)
    return Instance(backlog.capacity, backlog.prompt, backlog.output, arrival)


def a100(
    random: np.random.Generator, *, requests: int = 8, types: int | None = None, capacity: int = 16_492
) -> Instance:
    """Few requests of the size a GPU sees: s ~ U{200..6000}, o ~ U{200..2500}; `types` different ones, all by default.

    The default capacity is the one that arXiv 2502.07115 gives for Llama-2-70B on two A100s.
    """
    at_least(1, requests=requests)
    at_least(GPU_PROMPT[1] + GPU_OUTPUT[1], capacity=capacity)
    number = requests if types is None else types
    at_least(1, types=number)
    at_least(number, requests=requests)
    pairs = [(int(random.integers(*GPU_PROMPT)), int(random.integers(*GPU_OUTPUT))) for _ in range(number)]
    return with_counts(random, capacity, pairs, requests)


def identical(*, requests: int = 10, prompt: int = 0, output: int = 4, capacity: int | None = None) -> Instance:
    """Equal requests; the default capacity is one request's volume.

    Then one start a round is feasible, while shortest-first starts them in synchronous waves and loses up to
    a factor of 2.
    """
    at_least(1, requests=requests, output=output)
    return Instance.from_rows(volume(prompt, output) if capacity is None else capacity, [(prompt, output, requests)])


def with_counts(random: np.random.Generator, capacity: int, pairs: list[tuple[int, int]], requests: int) -> Instance:
    """Each of `requests` requests takes one of the pairs (prompt, output) uniformly, each pair at least once."""
    count = 1 + random.multinomial(requests - len(pairs), [1 / len(pairs)] * len(pairs))
    return Instance.from_rows(capacity, [(s, o, int(c)) for (s, o), c in zip(pairs, count, strict=True)])


def drawn_capacity(random: np.random.Generator, capacity: int | None) -> int:
    """The capacity given, or M ~ U{30..50}."""
    if capacity is None:
        return int(random.integers(*CAPACITY, endpoint=True))
    at_least(PROMPT[0] + 1, capacity=capacity)
    return capacity


def distinct_pairs(random: np.random.Generator, number: int, capacity: int, longest: int) -> list[tuple[int, int]]:
    """Different pairs (prompt, output) with s ~ U{1..5} and o ~ U{1..min(longest, M - s)}, in the order drawn."""
    most_prompt = min(PROMPT[1], capacity - 1)
    possible = sum(min(longest, capacity - s) for s in range(PROMPT[0], most_prompt + 1))
    if number > possible:
        raise InputError(f"only {possible} different pairs of prompt and output exist at capacity {capacity}")
    found: dict[tuple[int, int], None] = {}
    while len(found) < number:
        s = int(random.integers(PROMPT[0], most_prompt, endpoint=True))
        found[s, int(random.integers(1, min(longest, capacity - s), endpoint=True))] = None
    return list(found)
