"""The records of finished cells on disk: appended one by one, so that a kill loses none that was finished."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from kvopt.bench.cell import Record
from kvopt.errors import InputError
from kvopt.io.files import make_folder, reason
from kvopt.io.tables import csv_bytes

#: Fields of a record that a table does not show: they hold tables themselves.
NESTED = ("machine", "versions")


class Log:
    """A file of records, one JSON object a line.

    Attributes
    ----------
    path : Path
    records : list of Record
        Those that stood in the file and those appended since.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.records = self._read()

    def _read(self) -> list[Record]:
        """The records in the file; a last line that was cut off while it was written is removed."""
        data = self.path.read_bytes()
        records = []
        end = 0
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            try:
                records.append(msgspec.json.decode(line, type=Record))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InputError(
                    f"{self.path}, line {number}: not a record of this version of kvopt ({error})"
                ) from None
            end += len(line) + 1
        os.ftruncate(self._descriptor, end)
        return records

    def append(self, record: Record) -> None:
        """Add a record and wait until it is on disk.

        Raises
        ------
        InputError
            If the file cannot be written; a part of a line that was is ignored at the next start.
        """
        line = memoryview(msgspec.json.encode(record) + b"\n")
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({reason(error)})") from error
        self.records.append(record)


@contextmanager
def open_log(path: str | Path) -> Iterator[Log]:
    """Open a log for reading and appending, made if missing.

    Raises
    ------
    InputError
        If another benchmark writes to it, it cannot be opened, or a line before the last is not a record.
    """
    path = Path(path)
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({reason(error)})") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path}: another benchmark writes to it") from None
        yield Log(path, descriptor)
    finally:
        os.close(descriptor)


def records_csv(records: Sequence[Record]) -> bytes:
    """The records as comma-separated values with a header, without machine and versions."""
    columns = [name for name in Record.__struct_fields__ if name not in NESTED]
    return csv_bytes(columns, ([getattr(record, name) for name in columns] for record in records))
