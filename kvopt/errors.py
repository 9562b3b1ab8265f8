"""The exceptions kvopt raises, by meaning."""

from __future__ import annotations

import reprlib
from typing import Any


class KvoptError(Exception):
    """Base class of every error that kvopt raises on purpose."""


class InputError(KvoptError, ValueError):
    """A file, an argument or an instance breaks a rule; the message names place, value and rule.

    The command line prints the message and ends with exit code 2.
    """


class ArgumentError(InputError):
    """An argument of the wrong type or out of range; the command line shows the option in the argument's place.

    Attributes
    ----------
    argument : str
        Its name in Python.
    rule : str
        What it must be, and the value it has.
    """

    def __init__(self, argument: str, rule: str, value: object) -> None:
        self.argument = argument
        self.rule = f"{rule}, got {reprlib.repr(value)}"
        super().__init__(f"{argument} {self.rule}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its message: worker processes send their errors home."""
        return InputError, self.args


class UnknownNameError(InputError, LookupError):
    """A solver, policy, model or GPU name that kvopt does not know; the message lists those it knows."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(known)}")


class TooLargeError(InputError):
    """An instance outside the range a method is built for (brute force beyond its size, say)."""


class PolicyError(InputError):
    """A policy did what it must not in a simulation; the message names policy, round or second, and request."""


class SolverError(KvoptError, RuntimeError):
    """A solver failed or returned something that does not pass verification; never shown as a result."""
