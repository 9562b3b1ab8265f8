"""The clock of a run stands still while Numba compiles: that happens once per installation and is no method's fault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numba.core.event import Event, Listener

    from kvopt.monitor import Monitor

#: What a user reads while the first run of a method takes tens of seconds.
MESSAGE = "compiling kernels, once per installation; the clock stands still"


def compiling_apart(monitor: Monitor) -> AbstractContextManager[None]:
    """Within, compilation pauses the monitor's clock; costs nothing when all kernels come from Numba's cache.

    A solver's module must have been loaded before: without Numba by then there is nothing to compile.
    """
    return _listening(monitor) if "numba" in sys.modules else nullcontext()


@contextmanager
def _listening(monitor: Monitor) -> Iterator[None]:
    from numba.core import event

    with event.install_listener("numba:compile", _listener_class()(monitor)):
        yield


@cache
def _listener_class() -> Callable[[Monitor], Listener]:
    """Made once, because making a class takes as long as a policy."""
    from numba.core import event

    class Compilation(event.Listener):
        """Told of each compilation, also of those inside another; Numba never runs two at the same time."""

        def __init__(self, monitor: Monitor) -> None:
            self.monitor = monitor
            self.depth = 0

        def on_start(self, event: Event) -> None:
            if self.depth == 0:
                self.monitor.pause(MESSAGE)
            self.depth += 1

        def on_end(self, event: Event) -> None:
            self.depth -= 1
            if self.depth == 0:
                self.monitor.resume()

    return Compilation
