"""What a suite is: a named set of instances from the library, from files, or generated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from glob import glob
from itertools import product
from pathlib import Path
from typing import Any

from kvopt.bench.ranges import whole_numbers
from kvopt.errors import InputError
from kvopt.generate import FAMILIES, find_family, generate
from kvopt.io.formats import read
from kvopt.library.files import SUFFIXES, instance_files
from kvopt.model import Instance


@dataclass(frozen=True)
class Case:
    """An instance of a suite and the group it is summed up in."""

    group: str
    instance: Instance


@dataclass(frozen=True)
class Suite:
    """A named set of instances."""

    name: str
    cases: tuple[Case, ...]


def by_family(family: str, instance: Instance) -> str:
    """Types suite by number of types, all-different suite by number of requests, others as a whole."""
    if family == "types":
        return f"types, K = {len(instance.types)}"
    if family == "different":
        return f"different, n = {instance.n}"
    return family


def by_speed_goal(family: str, instance: Instance) -> str | None:
    """The instances on which kvopt has set itself a time: docs/benchmarks.md lists the goals."""
    k, n = len(instance.types), instance.n
    if family == "types" and k <= 2 and n <= 100:
        return "K <= 2, n <= 100"
    if family == "types" and k == 3 and n <= 40:
        return "K = 3, n <= 40"
    if family == "different" and n == 12:
        return "different, n = 12"
    return None


#: Suites made of several families: name -> families, and the group of an instance (None: not in the suite).
SELECTIONS: dict[str, tuple[tuple[str, ...], Callable[[str, Instance], str | None]]] = {
    "speed": (("types", "different"), by_speed_goal),
}


def load_suite(text: str, library: str | Path | None = None) -> Suite:
    """The suite that a text names.

    Parameters
    ----------
    text : str
        A selection (``speed``); a family of the library, that is a folder of `library` (``types``,
        ``model1``, ...); ``FAMILY:PARAMETER=VALUES,...`` for generated instances, such as
        ``types:requests=20,types=2,seed=0-9`` (all combinations of the values); or a file, a folder or a
        glob of instance files.
    library : path, optional
        The instance library; by default ``instances`` here or next to the package.

    Raises
    ------
    InputError
        If nothing of that name exists, it holds no instance, or a file breaks the format.
    """
    folder = Path(library) if library is not None else library_folder()
    if text in SELECTIONS:
        families, group = SELECTIONS[text]
        cases = [case for family in families for case in library_cases(folder, family, group)]
    elif "/" not in text and (folder / text).is_dir():
        cases = library_cases(folder, text, by_family)
    elif text.partition(":")[0] in FAMILIES:
        cases = generated_cases(*text.partition(":")[::2])
    else:
        cases = file_cases(text)
    if not cases:
        raise InputError(f"suite {text!r}: no instance found; known: {', '.join(known(folder))}")
    require_different_names(text, [case.instance for case in cases])
    return Suite(text, tuple(cases))


def library_folder() -> Path:
    """The instance library: ``instances`` in the working folder, else next to the package."""
    here = Path("instances")
    return here if here.is_dir() else Path(__file__).parents[2] / "instances"


def known(folder: Path) -> list[str]:
    """Names of the suites that need no file name."""
    families = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return [*SELECTIONS, "large", *sorted(families)]


def library_cases(folder: Path, family: str, group: Callable[[str, Instance], str | None]) -> list[Case]:
    """The instances of one family of the library that have a group."""
    grouped = ((group(family, instance), instance) for instance in map(read, instance_files(folder, family)))
    return [Case(name, instance) for name, instance in grouped if name is not None]


def file_cases(pattern: str) -> list[Case]:
    """The instances of a file, a folder or a glob, by name; result files beside them are left out."""
    folder = Path(pattern)
    paths = sorted(glob(str(folder / "*.json*") if folder.is_dir() else pattern, recursive=True))
    chosen = [path for path in paths if path.endswith((".json", ".json.gz")) and not path.endswith(SUFFIXES)]
    return [Case(Path(path).parent.name or "files", read(path)) for path in chosen]


def generated_cases(family: str, settings: str) -> list[Case]:
    """Instances of a seeded family for all combinations of the values given to its parameters.

    >>> [case.instance.n for case in generated_cases("different", "requests=8-9,seed=0-1")]
    [8, 8, 9, 9]
    """
    find_family(family)
    values: dict[str, list[int]] = {}
    for setting in re.split(r",(?=[a-z])", settings) if settings else ():
        name, equals, numbers = setting.partition("=")
        if not equals:
            raise InputError(f"family {family!r}: expected PARAMETER=VALUES, got {setting!r}")
        if name in values:
            raise InputError(f"family {family!r}: {name} is given twice")
        values[name] = whole_numbers(numbers, f"family {family!r}, {name}")
    varied = [name for name in values if name != "seed" and len(values[name]) > 1]
    cases = []
    for chosen in product(*values.values()):
        parameters: dict[str, Any] = dict(zip(values, chosen, strict=True))
        group = ", ".join([family, *(f"{name} = {parameters[name]}" for name in varied)])
        settings_text = "".join(f"-{name}{parameters[name]}" for name in varied if name != "requests")
        instance = generate(family, **parameters)
        name = instance.name.replace(family, family + settings_text, 1)
        cases.append(Case(group, replace(instance, name=name)))
    return cases


def require_different_names(suite: str, instances: Iterable[Instance]) -> None:
    """Raise InputError if two instances share a name: a table could not tell them apart."""
    seen: dict[str, Instance] = {}
    for instance in instances:
        if instance.name in seen:
            raise InputError(f"suite {suite!r}: two instances are named {instance.name!r}")
        seen[instance.name] = instance


def folder_name(suite: str) -> str:
    """A name for the folder of a suite's results.

    >>> folder_name("different:requests=8-9,seed=0"), folder_name("speed")
    ('different-requests=8-9,seed=0', 'speed')
    """
    return re.sub(r"[^\w.,=-]+", "-", suite).strip("-.") or "files"
