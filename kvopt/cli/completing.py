"""What the shell completes for names: the same registries that the commands look names up in."""

from __future__ import annotations


def starting(names: list[str], typed: str) -> list[str]:
    """The names that go on from what was typed; after a comma, the last of a list.

    >>> starting(["dp", "dp-reference", "mc-sf"], "dp,m")
    ['dp,mc-sf']
    """
    before, comma, last = typed.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def solver_names(incomplete: str) -> list[str]:
    """Solvers, for one or a list of them."""
    from kvopt.solving import SOLVERS

    return starting(list(SOLVERS), incomplete)


def family_names(incomplete: str) -> list[str]:
    """Families of ``kvopt generate``."""
    from kvopt.generate import FAMILIES

    return starting(list(FAMILIES), incomplete)


def source_names(incomplete: str) -> list[str]:
    """Trace formats of ``kvopt import``."""
    from kvopt.io.traces import SOURCES

    return starting(list(SOURCES), incomplete)


def policy_names(incomplete: str) -> list[str]:
    """Policies of ``kvopt simulate``."""
    from kvopt.policies import POLICIES

    return starting(list(POLICIES), incomplete)


def experiment_names(incomplete: str) -> list[str]:
    """Names of ``kvopt experiment``."""
    from kvopt.experiments import EXPERIMENTS

    return starting(list(EXPERIMENTS), incomplete)


def time_names(incomplete: str) -> list[str]:
    """Iteration times of ``kvopt fluid``."""
    from kvopt.hardware import ITERATION_TIMES

    return starting(list(ITERATION_TIMES), incomplete)
