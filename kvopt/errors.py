"""The exceptions kvopt raises, by meaning."""

from __future__ import annotations


class KvoptError(Exception):
    """Base class of every error that kvopt raises on purpose."""


class InputError(KvoptError, ValueError):
    """A file, an argument or an instance breaks a rule; the message names place, value and rule.

    The command line prints the message and ends with exit code 2.
    """


class UnknownNameError(InputError, LookupError):
    """A solver, policy, model or GPU name that kvopt does not know; the message lists those it knows."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(known)}")


class TooLargeError(InputError):
    """An instance outside the range a method is built for (brute force beyond its size, say)."""


class SolverError(KvoptError, RuntimeError):
    """A solver failed or returned something that does not pass verification; never shown as a result."""
