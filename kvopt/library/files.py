"""Where the files of a library are."""

from __future__ import annotations

from pathlib import Path

from kvopt.errors import InputError
from kvopt.io.files import write_bytes
from kvopt.io.formats import encode_result
from kvopt.model import Result

#: Results with more bytes are packed.
LARGEST_PLAIN = 100_000

SUFFIXES = (".result.json", ".result.json.gz")


def instance_files(root: str | Path, family: str | None = None) -> list[Path]:
    """Instance files below `root`, sorted by family and name.

    Parameters
    ----------
    root : str or Path
        Folder of the library.
    family : str, optional
        One of its folders; all if not given.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If there is no such folder or family.
    """
    root = Path(root)
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if family is not None:
        known = [folder.name for folder in folders]
        if family not in known:
            raise InputError(f"{root}: no family {family!r}; there are: {', '.join(known) or 'none'}")
        folders = [root / family]
    if not folders:
        raise InputError(f"{root}: no instance library here (a folder with a folder for each family)")
    return [
        path
        for folder in folders
        for path in sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")])
        if not path.name.endswith(SUFFIXES)
    ]


def stem(path: Path) -> str:
    """File name of an instance without its suffixes."""
    return path.name.removesuffix(".gz").removesuffix(".json")


def result_file(instance_path: Path) -> Path | None:
    """The result beside an instance file, None if there is none.

    Parameters
    ----------
    instance_path : Path

    Returns
    -------
    Path or None

    Raises
    ------
    InputError
        If there are two, packed and plain: it is not clear which one counts.
    """
    found = [path for suffix in SUFFIXES if (path := instance_path.with_name(stem(instance_path) + suffix)).exists()]
    if len(found) > 1:
        raise InputError(f"{found[0]} and {found[1].name}: two results for one instance; remove one")
    return found[0] if found else None


def store_result(result: Result, instance_path: Path) -> Path:
    """Write the result beside its instance, packed when large, in place of the one before.

    Parameters
    ----------
    result : Result
    instance_path : Path
        File of its instance.

    Returns
    -------
    Path
        Where the result is.
    """
    before = result_file(instance_path)
    data = encode_result(result)
    path = instance_path.with_name(stem(instance_path) + SUFFIXES[len(data) > LARGEST_PLAIN])
    write_bytes(path, data)
    if before is not None and before != path:
        before.unlink()
    return path
