"""Bytes in and out: gzip by suffix, ``-`` for the standard streams, and no half-written file ever."""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import zlib
from pathlib import Path

from kvopt.arguments import path_like
from kvopt.errors import InputError


def read_bytes(path: str | Path) -> bytes:
    """Contents of a file (unpacked when its name ends in ``.gz``), or of standard input for ``-``.

    Raises
    ------
    InputError
        If the file is missing, unreadable or not valid gzip.
    """
    path_like(path)
    if str(path) == "-":
        if sys.stdin is None:
            raise InputError("-: cannot be read (standard input is closed)")
        return sys.stdin.buffer.read()
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if str(path).endswith(".gz") else data
    except (OSError, EOFError, ValueError, zlib.error) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file or nothing: into a neighbour first, then renamed over `path`.

    Raises
    ------
    InputError
        If the folder is missing, not writable or full; what stood at `path` is untouched.
    """
    path_like(path)
    if str(path) == "-":
        if sys.stdout is None:
            raise InputError("-: cannot be written (standard output is closed)")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(path)
    if path.name.endswith(".gz"):
        data = gzip.compress(data, mtime=0)  # no time stamp: equal content gives equal files
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device or pipe: there is nothing to rename over
            return
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(beside, 0o666 & ~umask)
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({reason(error)})") from error


def require_writable(path: str | Path) -> None:
    """Raise InputError before long work whose result could not be written to `path` anyway."""
    if str(path) == "-":
        return
    folder = Path(path).parent
    if Path(path).is_dir():
        raise InputError(f"{path}: cannot be written (it is a folder)")
    if not folder.is_dir():
        raise InputError(f"{path}: cannot be written (there is no folder {folder})")
    if not os.access(Path(path) if Path(path).exists() else folder, os.W_OK):
        raise InputError(f"{path}: cannot be written (no permission)")


def make_folder(path: str | Path) -> None:
    """Make a folder and those above it where they are missing; raises InputError where that cannot be done."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be made a folder ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """The short text of an operating system error."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
