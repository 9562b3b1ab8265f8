"""Hypothesis strategies for instances."""

from __future__ import annotations

from hypothesis import strategies as st

from kvopt import Instance


@st.composite
def instances(
    draw: st.DrawFn, max_n: int = 5, max_capacity: int = 10, max_output: int = 5, max_arrival: int = 6
) -> Instance:
    """Small instances: equal or mixed prompts (0 included), few or many types, with and without arrivals."""
    capacity = draw(st.integers(1, max_capacity))
    n = draw(st.integers(1, max_n))
    common = draw(st.none() | st.integers(0, capacity - 1))
    arrivals = draw(st.booleans())
    rows = []
    for _ in range(n):
        prompt = common if common is not None else draw(st.integers(0, capacity - 1))
        output = draw(st.integers(1, min(max_output, capacity - prompt)))
        rows.append((prompt, output, draw(st.integers(0, max_arrival)) if arrivals else 0))
    prompt, output, arrival = zip(*rows, strict=True)
    return Instance(capacity=capacity, prompt=prompt, output=output, arrival=arrival)
