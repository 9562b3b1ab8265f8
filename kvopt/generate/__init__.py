"""Seeded instance families.

Random choices come from numpy's ``Generator(PCG64(seed))``, so a family, its parameters and a seed give the
same instance again with the same numpy; numpy may change its streams between feature releases, which is why
the instance library keeps the files themselves.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from kvopt import __version__
from kvopt.arguments import whole_number
from kvopt.errors import InputError, UnknownNameError
from kvopt.model import MAX_REQUESTS, MAX_VALUE, Instance
from kvopt.options import check_options

#: Parameters that count requests, or rounds with requests.
COUNTS = ("requests", "types", "rounds", "copies")
#: family -> "module:function"; a function whose first parameter is `random` is seeded.
FAMILIES: dict[str, str] = {
    "types": "kvopt.generate.synthetic:few_types",
    "different": "kvopt.generate.synthetic:different",
    "arrivals": "kvopt.generate.synthetic:arrivals",
    "a100": "kvopt.generate.synthetic:a100",
    "identical": "kvopt.generate.synthetic:identical",
    "model1": "kvopt.generate.published:model1",
    "model2": "kvopt.generate.published:model2",
    "adversarial-sf": "kvopt.generate.adversarial:adversarial_sf",
    "adversarial-svf": "kvopt.generate.adversarial:adversarial_svf",
    "lmsys-like": "kvopt.generate.chat:lmsys_like",
    "azure-like": "kvopt.generate.chat:azure_like",
    "counterexample": "kvopt.generate.classic:counterexample",
    "worst-ratio": "kvopt.generate.worst:worst_ratio",
    "teaching": "kvopt.generate.classic:teaching",
    "baseline": "kvopt.generate.classic:baseline",
}


def find_family(name: str) -> Callable[..., Instance]:
    """The function of a family.

    Raises
    ------
    UnknownNameError
        If there is none of that name; the message lists the names.
    """
    if name not in FAMILIES:
        raise UnknownNameError("family", name, list(FAMILIES))
    module, function = FAMILIES[name].split(":")
    return getattr(importlib.import_module(module), function)


def generate(family: str, *, seed: int | None = None, name: str | None = None, **parameters: Any) -> Instance:
    """An instance of a family.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    seed : int, optional
        Seed of the random families, >= 0, default 0.
    name : str, optional
        Name of the instance; default made of family, size and seed.
    **parameters
        Of the family, see its function.

    Returns
    -------
    Instance
        `meta` holds family, parameters, seed and kvopt version.

    Raises
    ------
    UnknownNameError
        If there is no such family.
    InputError
        If a parameter is unknown or out of range, or a seed is given to a family without random choices.

    Examples
    --------
    >>> inst = generate("types", requests=20, types=2, seed=1)
    >>> inst.n, len(inst.types), inst == generate("types", requests=20, types=2, seed=1)
    (20, 2, True)
    """
    function = find_family(family)
    check_options(f"family {family!r}", function, parameters)
    signature = inspect.signature(function)
    options = {key: p.default for key, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY} | parameters
    used = {key: value for key, value in options.items() if value is not None}
    for key, value in used.items():
        most = MAX_REQUESTS if key in COUNTS else MAX_VALUE
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise InputError(f"family {family!r}: {key} must be an integer within 0..{most}, got {value!r}")
    meta: dict[str, Any] = {"family": family, "parameters": used}
    if "random" in signature.parameters:
        meta["seed"] = 0 if seed is None else seed
        whole_number("seed", meta["seed"], 0)
        instance = function(np.random.Generator(np.random.PCG64(meta["seed"])), **parameters)
    elif seed is not None:
        raise InputError(f"family {family!r} makes no random choice and takes no seed")
    else:
        instance = function(**parameters)
    last = meta.get("seed", used.get("number"))
    label = f"{family}-n{instance.n}" if last is None else f"{family}-n{instance.n}-{last}"
    return replace(instance, name=name or label, meta={**meta, **instance.meta, "kvopt": __version__})


def at_least(least: int, **values: int) -> None:
    """Raise InputError for the first value below `least`, by its name."""
    for name, value in values.items():
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
