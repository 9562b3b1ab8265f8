"""Options that only some methods of a kind take: checked against the method's own signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kvopt.errors import InputError


def check_options(what: str, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse options that `function` does not take, and a call without those it needs.

    Parameters
    ----------
    what : str
        What to call the method in a message.
    function : callable
        Its keyword-only parameters are the options.
    given : mapping
        Options and values.

    Raises
    ------
    InputError
        Naming the option and those that exist.

    Examples
    --------
    >>> def staggered(*, requests, seed=0): ...
    >>> check_options("family 'identical'", staggered, {"types": 3})
    Traceback (most recent call last):
    kvopt.errors.InputError: family 'identical' takes no option 'types'; it takes: requests, seed
    """
    parameters = inspect.signature(function).parameters.values()
    options = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    for name in given:
        if name not in options:
            raise InputError(f"{what} takes no option {name!r}; it takes: {', '.join(options) or 'none'}")
    missing = [name for name, p in options.items() if p.default is p.empty and name not in given]
    if missing:
        raise InputError(f"{what} needs the option {missing[0]!r}")
