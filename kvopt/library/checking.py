"""Checking a library: every result verified anew, and the index held against the outcome."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kvopt.io.files import read_bytes
from kvopt.library.files import instance_files
from kvopt.library.index import Entry, entries, read_index
from kvopt.library.readme import readme


def verify_library(root: str | Path, family: str | None = None, jobs: int = 1) -> tuple[list[Entry], list[str]]:
    """Verify all results of a library, or of one family, and compare with its index.

    Parameters
    ----------
    root : str or Path
    family : str, optional
    jobs : int
        Processes.

    Returns
    -------
    checked : list of Entry
        What the files and the verifier say.
    problems : list of str
        Each result refused, each difference from the index, each instance missing from it or from the disk;
        empty if all is right.

    Raises
    ------
    InputError
        If the folder, the family or the format of a file is wrong.
    """
    root = Path(root)
    indexed = read_index(root)
    made = entries(instance_files(root, family), root, jobs)
    known = {entry.file: entry for entry in indexed if family is None or entry.family == family}
    problems = []
    for entry, violations in made:
        problems += [f"{entry.file}: refused: {violation}" for violation in violations]
        stated = known.pop(entry.file, None)
        if stated is None:
            problems.append(f"{entry.file}: not in the index")
            continue
        problems += [f"{entry.file}: {difference}" for difference in differences(stated, entry)]
    problems += [f"{file}: in the index, but there is no such file" for file in known]
    if read_bytes(root / "README.md").decode(errors="replace") != readme(indexed):
        problems.append("README.md: not what `kvopt library index` makes of index.json")
    return [entry for entry, _ in made], problems


def differences(stated: Entry, found: Entry) -> list[str]:
    """Fields in which the index and the files differ."""
    names = [field.name for field in msgspec.structs.fields(Entry)]
    pairs = ((name, getattr(stated, name), getattr(found, name)) for name in names)
    return [f"{name} is {left!r} in the index, {right!r} in truth" for name, left, right in pairs if left != right]
