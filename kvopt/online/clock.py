"""What a batch iteration costs: one round, or seconds from an iteration-time model."""

from __future__ import annotations

from dataclasses import dataclass

from kvopt.errors import InputError
from kvopt.hardware.iteration import IterationTime


@dataclass(frozen=True)
class Rounds:
    """Every iteration takes one round, as in the model of docs/problem.md; arrivals are rounds."""


@dataclass(frozen=True)
class Seconds:
    """Iterations take the time of a model; arrivals are seconds, and whoever arrives meanwhile waits for the next.

    Without a token budget a request's whole prompt is processed in its first iteration, which also yields
    its first token. With one (chunked prefill) an iteration processes at most so many tokens: first one for
    each decoding request, then chunks of prompts in the order of admission; the last chunk yields token 1.
    A prompt's memory is taken when the request is started.

    Parameters
    ----------
    iteration_time : IterationTime
    token_budget : int, optional
        Tokens of an iteration, >= 1; None for whole prompts.
    max_running : int, optional
        Most requests running at a time, >= 1; None for no limit.
    separate_prefill : bool
        The prompt takes an iteration of its own that yields no token (output + 1 iterations without a budget),
        as in the fluid model of arXiv 2504.11320.

    Raises
    ------
    InputError
        If a limit is below 1.

    Examples
    --------
    >>> from kvopt.hardware import find_iteration_time
    >>> Seconds(find_iteration_time("llama-2-7b-a100"), token_budget=512).max_running
    256
    """

    iteration_time: IterationTime
    token_budget: int | None = None
    max_running: int | None = 256
    separate_prefill: bool = False

    def __post_init__(self) -> None:
        for what, value in (("token budget", self.token_budget), ("number of running requests", self.max_running)):
            if value is not None and value < 1:
                raise InputError(f"the {what} must be at least 1, got {value}")


#: Either clock.
Clock = Rounds | Seconds
