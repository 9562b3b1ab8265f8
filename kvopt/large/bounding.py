"""The certified bound of a large backlog, found in a thread of its own.

Only the thread that began it talks to the monitor, and collects what is found.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

import numpy as np

from kvopt.bounds import growth, prices, room
from kvopt.bounds.bound import Bound
from kvopt.bounds.prices import MemoryPrices
from kvopt.exact.watch import LOOK_EVERY_S
from kvopt.model import Instance
from kvopt.monitor import Monitor

#: Part of the budget for prices where charges follow, which are ascended together with them.
PRICE_SHARE = 0.15


class Bounding:
    """Begins at once; at the end of a ``with`` block it is stopped, and what was found collected.

    Parameters
    ----------
    instance : Instance
    monitor : Monitor
    best : Bound
        One that is known.
    budget_s : float
        Nominal seconds for memory prices, and half as much for charges, which need no more than a small part of the
        former: equal budgets give equal bounds, unless the work is stopped.

    Attributes
    ----------
    best : Bound
        The best one collected so far.
    """

    def __init__(self, instance: Instance, monitor: Monitor, best: Bound, budget_s: float) -> None:
        self.best = best
        self._monitor = monitor
        self._halt = halt = np.zeros(1, dtype=np.int8)
        # The only thread does one after the other, so each finds the results of those before it.
        self._pool = ThreadPoolExecutor(1)
        price_s = budget_s * (PRICE_SHARE if room.affordable(instance, budget_s / 2) else 1)
        self._prices = self._pool.submit(prices.memory_prices, instance, time_limit_s=price_s, halt=halt)
        self._growth = self._pool.submit(lambda: growth.improved(instance, self._prices.result(), time_limit_s=price_s))
        self._room = self._pool.submit(
            lambda: room.improved(
                instance, self._prices.result(), self._growth.result(), time_limit_s=budget_s / 2, halt=halt
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._halt[0] = 1
        self._pool.shutdown()
        if error is None:
            self.collect()

    @property
    def prices(self) -> MemoryPrices:
        """The memory prices it begins with; waits for them."""
        return self._prices.result()

    def wait(self, seconds: float) -> None:
        """Until all is found, so many seconds have passed, or the monitor stops the run and this with it."""
        end = time.perf_counter() + seconds
        while self.collect() and (left := end - time.perf_counter()) > 0:
            wait([self._room], timeout=min(left, LOOK_EVERY_S))
            if self._monitor.stopped:
                self._halt[0] = 1

    def collect(self) -> bool:
        """Take what has been found, and tell the monitor; whether the work goes on."""
        goes_on = not self._room.done()
        for future in (self._growth, self._room):
            if future.done():
                self.best = max(self.best, future.result(), key=lambda bound: bound.value)
                self._monitor.raise_bound(self.best.value)
        return goes_on
