"""The processes that a process has started, and theirs (Linux; elsewhere only the process itself is seen)."""

from __future__ import annotations

import contextlib
import os
import signal

from kvopt.monitor import resident_gb


def family(root: int) -> list[int]:
    """Ids of a process and all its descendants, ancestors first."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                children.setdefault(parent(entry), []).append(int(entry))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def parent(process: str) -> int:
    """Id of the process that started this one, -1 if it has gone."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            # The name stands in brackets and may hold anything: state and parent follow the last of them.
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return -1


def family_gb(root: int) -> float:
    """Resident memory of a process and its descendants in GB (memory they share counts once for each)."""
    return sum(resident_gb(process) for process in family(root))


def kill_family(root: int) -> None:
    """End a process and its descendants at once."""
    for process in family(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
