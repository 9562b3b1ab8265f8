"""The machine a cell ran on."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

from kvopt.monitor import machine_gb


@cache
def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory and operating system.

    >>> sorted(machine())
    ['cores', 'cpu', 'memory_gb', 'system']
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": processor(),
        "cores": cores,
        "memory_gb": round(machine_gb(), 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def processor() -> str:
    """Name of the processor: Linux tells it in a file, others through `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
