"""Runs kernels in threads while the main thread watches the monitor, so that limits and Ctrl-C are obeyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from kvopt.monitor import Monitor

#: Seconds between two looks at the monitor.
LOOK_EVERY_S = 0.05


class Watch:
    """Calls kernels that look at `halt` and return early, with unusable results, once it is set.

    Attributes
    ----------
    halt : int8 array of shape (1,)
        Pass it to the kernels; nonzero means stop.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.halt = np.zeros(1, dtype=np.int8)

    @property
    def halted(self) -> bool:
        """Whether some kernel may have been cut short."""
        return bool(self.halt[0])

    def run(
        self, work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], threads: int | None = None
    ) -> list[Any]:
        """Results of ``work(*a)`` for each a, in order, on as many threads as are given or else the monitor allows."""
        with ThreadPoolExecutor(min(threads or self.monitor.workers, len(arguments))) as pool:
            futures = [pool.submit(work, *a) for a in arguments]
            open_ = set(futures)
            while open_:
                _, open_ = wait(open_, timeout=LOOK_EVERY_S)
                if self.monitor.stopped:
                    self.halt[0] = 1
            return [future.result() for future in futures]
