"""Runs long native work in a thread, so that limits, Ctrl-C and progress reports are not kept waiting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from kvopt.monitor import Monitor

#: Seconds between two looks at the monitor.
LOOK_EVERY_S = 0.05

T = TypeVar("T")


def run_watched(work: Callable[[], T], monitor: Monitor, stop: Callable[[], None], progress: Callable[[], None]) -> T:
    """The value of ``work()``; calls `progress` while it runs, and `stop` once the monitor says so."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            while wait([future], timeout=LOOK_EVERY_S).not_done:
                progress()
                if monitor.stopped:
                    stop()
        except BaseException:
            stop()
            raise
        return future.result()
