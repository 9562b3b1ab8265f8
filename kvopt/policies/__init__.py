"""Policies by name, each rule in a small file of its own; loaded on first use."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from kvopt.errors import InputError, UnknownNameError

#: name -> "module:class"; the parameters of a class are the options of the policy.
POLICIES: dict[str, str] = {
    "fcfs": "kvopt.policies.fcfs:Fcfs",
    "mc-sf": "kvopt.policies.mc_sf:McSf",
    "svf": "kvopt.policies.svf:Svf",
    "sorted-f": "kvopt.policies.sorted_f:SortedF",
    "alpha-greedy": "kvopt.policies.alpha_greedy:AlphaGreedy",
    "alpha-beta-clearing": "kvopt.policies.alpha_beta_clearing:AlphaBetaClearing",
    "a-max": "kvopt.policies.a_max:AMax",
    "a-min": "kvopt.policies.a_min:AMin",
    "gba": "kvopt.policies.gba:Gba",
    "gsa": "kvopt.policies.gsa:Gsa",
    "vllm-fcfs": "kvopt.policies.vllm_fcfs:VllmFcfs",
    "wait": "kvopt.policies.wait:Wait",
    "wait-advancing": "kvopt.policies.wait:WaitAdvancing",
    "nested-wait": "kvopt.policies.nested_wait:NestedWait",
    "nested-wait-advancing": "kvopt.policies.nested_wait:NestedWaitAdvancing",
}


def find_policy(text: str) -> Any:
    """A policy from a text such as ``mc-sf`` or ``alpha-beta-clearing:alpha=0.2,beta=0.1``.

    Parameters
    ----------
    text : str
        A name of `POLICIES` and, after a colon, options of its class: integers, decimals, true or false, or
        several numbers (``nested-wait:thresholds=10/4,ends=20``).

    Raises
    ------
    UnknownNameError
        If there is no such policy; the message lists the names.
    InputError
        If an option is malformed, unknown, given twice, missing or out of range.

    Examples
    --------
    >>> find_policy("mc-sf").name
    'mc-sf'
    >>> float(find_policy("alpha-greedy:alpha=0.25").alpha)
    0.25
    """
    name, colon, rest = text.partition(":")
    if name not in POLICIES:
        raise UnknownNameError("policy", name, list(POLICIES))
    module, kind = POLICIES[name].split(":")
    policy = getattr(importlib.import_module(module), kind)
    known = list(inspect.signature(policy).parameters)
    options: dict[str, Any] = {}
    for part in rest.split(",") if colon else []:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        takes = f"it takes: {', '.join(known) or 'none'}"
        if not equals:
            raise InputError(f"policy {name!r}: expected OPTION=VALUE, got {part!r}; {takes}")
        if key not in known:
            raise InputError(f"policy {name!r} takes no option {part!r}; {takes}")
        if key in options:
            raise InputError(f"policy {name!r}: option {key!r} is given twice")
        options[key] = parsed(value, f"policy {name!r}: {key}")
    missing = [
        key for key, p in inspect.signature(policy).parameters.items() if p.default is p.empty and key not in options
    ]
    if missing:
        raise InputError(f"policy {name!r} needs the option {missing[0]!r}, as in {name}:{missing[0]}=...")
    return policy(**options)


def parsed(value: str, what: str) -> Any:
    """An option's value; raises InputError for anything but a number, numbers between strokes, or true, false."""
    if "/" in value:
        return tuple(parsed(part, what) for part in value.split("/"))
    if value in ("true", "false"):
        return value == "true"
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        raise InputError(f"{what}: expected a number, true or false, got {value!r}") from None
