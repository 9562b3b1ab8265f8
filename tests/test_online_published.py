"""The seconds clock against the published row of arXiv 2504.11320, and the speed promised for list policies."""

from __future__ import annotations

import time

import numpy as np
import pytest

from kvopt.fluid import Mix
from kvopt.hardware import find_iteration_time
from kvopt.online import Seconds, poisson_seconds, resampled_rounds, resampled_seconds, simulate
from kvopt.policies import find_policy

#: Arrivals per second -> published mean latency in seconds (Llama-2-7B, A100, 512/20, chunked prefill, 5,000 requests).
PUBLISHED = {12: 0.409, 16: 0.545, 20: 0.773, 22: 0.985}
SEEDS = 6


@pytest.mark.parametrize("rate", PUBLISHED)
def test_chunked_prefill_reproduces_the_published_row(rate):
    """Mean over seeds within 5 % of the published mean, itself one run: three standard errors of ours are added."""
    clock = Seconds(find_iteration_time("llama-2-7b-a100-chunk-512"), token_budget=512)
    mix = Mix.from_rows([(512, 20, float(rate))])
    means = [
        simulate(poisson_seconds(mix, 122_752, 5000, seed), find_policy("vllm-fcfs"), clock).latency.mean()
        for seed in range(SEEDS)
    ]
    error = 3 * np.std(means, ddof=1) / SEEDS**0.5
    assert abs(np.mean(means) - PUBLISHED[rate]) < 0.05 * PUBLISHED[rate] + error


@pytest.mark.parametrize("policy", ["fcfs", "mc-sf", "svf", "vllm-fcfs"])
def test_a_million_requests_a_minute(policy):
    """20,000 requests of chat lengths in less than 1.2 seconds of processor time, on either clock."""
    from kvopt.generate import generate

    lengths = generate("lmsys-like", requests=1000, capacity=16_492, seed=1)
    clock = Seconds(find_iteration_time("llama-2-70b-2502.07115"))
    seconds, rounds = resampled_seconds(lengths, 10.0, 20_000), resampled_rounds(lengths, 1.0, 20_000)
    simulate(lengths, find_policy(policy))  # compiles
    for source, used in ((seconds, clock), (rounds, None)):
        begun = time.process_time()
        result = simulate(source, find_policy(policy), used)
        assert time.process_time() - begun < 60 * source.n / 1_000_000
        assert result.finished
