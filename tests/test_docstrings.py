"""Docstrings: numpydoc on every public name, so that help() and editors tell shapes, units and errors."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import kvopt

SECTION = re.compile(
    r"^(Parameters|Returns|Yields|Attributes|Raises|Examples|Notes|References|Source)\n-+$", re.MULTILINE
)


def modules() -> Iterator[ModuleType]:
    """Every module of kvopt but the entry point."""
    yield kvopt
    for found in pkgutil.walk_packages(kvopt.__path__, "kvopt."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def public() -> dict[str, Any]:
    """The names that kvopt and its subpackages export: full name -> function or class."""
    found: dict[int, tuple[str, Any]] = {}
    for module in modules():
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            ours = getattr(value, "__module__", "").startswith("kvopt")
            if ours and (inspect.isclass(value) or inspect.isroutine(value)):
                found.setdefault(id(value), (f"{module.__name__}.{name}", value))
    return dict(sorted(found.values()))


PUBLIC = public()


def sections(value: Any) -> set[str]:
    """Headings of a docstring."""
    return set(SECTION.findall(inspect.getdoc(value) or ""))


def test_the_public_names_are_found() -> None:
    """The tests below look at something, and the names of the first line of a session are among it."""
    assert {"kvopt.solve", "kvopt.read", "kvopt.Instance", "kvopt.plot.schedule"} <= set(PUBLIC)
    assert len(PUBLIC) > 50


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_numpydoc(name: str) -> None:
    """A summary; parameters, fields and what is returned each under their heading."""
    value = PUBLIC[name]
    summary = (inspect.getdoc(value) or "").partition("\n")[0]
    assert summary.endswith((".", ":", ")", "`")), f"no summary line: {summary!r}"
    if inspect.isclass(value):
        if not issubclass(value, Exception | Enum) and inspect.signature(value).parameters:
            assert sections(value) & {"Parameters", "Attributes"}, "fields without a heading"
        return
    signature = inspect.signature(value)
    if signature.parameters:
        assert "Parameters" in sections(value), f"no parameters: {signature}"
    if signature.return_annotation not in (None, "None", inspect.Signature.empty):
        assert sections(value) & {"Returns", "Yields"}, f"what is returned is not said: {signature}"


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isroutine(value)])
def test_documented_parameters_exist(name: str) -> None:
    """A parameter that was renamed must not live on in the text, nor a new one be left out."""
    value = PUBLIC[name]
    text = inspect.getdoc(value) or ""
    body = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n[A-Z]\w+\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^([*\w][\w, *]*?)(?: : .*)?$", body[1], re.MULTILINE) if body else []
    named = {part.strip().lstrip("*") for line in lines for part in line.split(",")}
    assert named == {parameter.name for parameter in inspect.signature(value).parameters.values()}


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.__name__)
def test_everything_says_what_it_is(module: ModuleType) -> None:
    """Modules, and their public functions, classes, methods and properties, have docstrings."""
    bare = [] if module.__doc__ or not Path(str(module.__file__)).read_text(encoding="utf-8") else [module.__name__]
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isroutine(value) and not value.__doc__:
            bare.append(name)
        if inspect.isclass(value):
            members = {f"{name}.{key}": member for key, member in vars(value).items() if not key.startswith("_")}
            bare += [key for key, member in members.items() if is_code(member) and not member.__doc__]
            bare += [] if value.__doc__ else [name]
    assert bare == []


def is_code(member: Any) -> bool:
    """Whether a member of a class is a method or a property."""
    return inspect.isroutine(member) or isinstance(member, property) or hasattr(member, "func")
