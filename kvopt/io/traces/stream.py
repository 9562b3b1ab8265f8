"""Trace files as streams: unpacked and hashed on the way, never whole in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from kvopt.errors import InputError
from kvopt.io.files import reason
from kvopt.io.traces.row import Unusable

#: Characters of one item of a JSON list beyond which the file is taken to be malformed.
MAX_ITEM = 2**26
CHUNK = 2**16
#: What may stand between two items of a list.
BETWEEN = re.compile(r"[\s,]*")


class HashedFile(io.RawIOBase):
    """Raw bytes of a file, hashed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as the file goes; the number of bytes read."""
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.sha256.update(data)
        return len(data)


class TraceFile:
    """An open trace: text lines, gzip told by its first bytes, ``-`` for standard input.

    Attributes
    ----------
    text : text stream
        Decoded as UTF-8 (a byte order mark is skipped); line ends are kept for the csv module.

    Raises
    ------
    InputError
        If the file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            file = sys.stdin.buffer if str(path) == "-" else Path(path).open("rb")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({reason(error)})") from error
        self.hashed = HashedFile(file)
        self.buffered = io.BufferedReader(self.hashed, CHUNK)
        packed = self.buffered.peek(2)[:2] == b"\x1f\x8b"
        plain: Any = gzip.GzipFile(fileobj=self.buffered) if packed else self.buffered
        self.text: TextIO = io.TextIOWrapper(plain, encoding="utf-8-sig", newline="")

    def digest(self) -> str:
        """SHA-256 of the whole file as it is stored, in hexadecimal; reads what is left of it."""
        while self.buffered.read(2**20):
            pass
        return self.hashed.sha256.hexdigest()

    def close(self) -> None:
        """Close the file (not standard input)."""
        if self.hashed.file is not sys.stdin.buffer:
            self.hashed.file.close()


def json_items(text: TextIO) -> Iterator[tuple[int, Any] | Unusable]:
    """Line and content of each item of a JSON list or of a file of JSON lines, one in memory at a time."""
    head = ""
    while not head.strip():
        read = text.readline(CHUNK)
        if not read:
            return
        head += read
    if head.lstrip().startswith("["):
        yield from list_items(text, head)
    else:
        yield from line_items(text, head)


def line_items(text: TextIO, head: str) -> Iterator[tuple[int, Any] | Unusable]:
    """Items of JSON lines, of which `head` is read already; a malformed line costs that line only."""
    line = head if head.endswith("\n") else head + text.readline()
    number = line.rstrip().count("\n") + 1
    while line:
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Unusable(number, f"not valid JSON ({error})")
        number += 1
        line = text.readline()


def list_items(text: TextIO, head: str) -> Iterator[tuple[int, Any] | Unusable]:
    """Items of one JSON list, of which `head` is read already."""
    decoder = json.JSONDecoder()
    buffer, place, line, ended = head, head.index("[") + 1, 1, False
    line += buffer.count("\n", 0, place)
    while True:
        begin = BETWEEN.match(buffer, place).end()  # type: ignore[union-attr]
        line += buffer.count("\n", place, begin)
        place = begin
        if buffer.startswith("]", place):
            return
        try:
            item, end = decoder.raw_decode(buffer, place)
        except (ValueError, RecursionError):
            end = None
        if end is not None and (end < len(buffer) or ended):
            yield line, item
            line += buffer.count("\n", place, end)
            place = end
        elif ended or len(buffer) - place > MAX_ITEM:
            yield Unusable(line, "not valid JSON from here on (an item of the list does not end)")
            return
        else:
            # As much again as is there: an item is decoded anew only when its text has doubled.
            more = text.read(max(CHUNK, len(buffer) - place))
            ended, buffer, place = not more, buffer[place:] + more, 0
