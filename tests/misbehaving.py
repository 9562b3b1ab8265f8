"""Solvers that a benchmark must survive; all are well behaved in the warm-up."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from kvopt import Instance
from kvopt.monitor import Monitor
from kvopt.solving import Answer

#: Larger than the limit of any test, small enough for any machine that runs them.
MOST_GB = 2.0


def warming_up(instance: Instance) -> bool:
    """Whether this is the small instance before the real one."""
    return instance.name == "warm-up"


def honest(instance: Instance, monitor: Monitor) -> Answer:
    """All requests one after the other, no bound."""
    monitor.offer(np.cumsum(instance.output) - instance.output)
    return Answer()


def raising(instance: Instance, monitor: Monitor) -> Answer:
    """A bug."""
    if not warming_up(instance):
        raise ZeroDivisionError("of its own making")
    return Answer()


def exiting(instance: Instance, monitor: Monitor) -> Answer:
    """Ends its process."""
    if not warming_up(instance):
        print("had enough", file=os.fdopen(2, "w"), flush=True)
        os._exit(7)
    return Answer()


def crashing(instance: Instance, monitor: Monitor) -> Answer:
    """What a fault in native code does."""
    if not warming_up(instance):
        os.kill(os.getpid(), signal.SIGSEGV)
    return Answer()


def hungry(instance: Instance, monitor: Monitor) -> Answer:
    """Takes memory and never looks at the monitor."""
    held = []
    while not warming_up(instance) and len(held) < MOST_GB * 40:
        held.append(np.ones(25_000_000, dtype=np.int8))
        time.sleep(0.02)
    return Answer()


def deaf(instance: Instance, monitor: Monitor) -> Answer:
    """Never looks at the clock."""
    if not warming_up(instance):
        time.sleep(60)
    return Answer()


def slow(instance: Instance, monitor: Monitor) -> Answer:
    """Works for a while and leaves its process id in the folder named by the environment."""
    if not warming_up(instance):
        Path(os.environ["PROCESS_IDS"], str(os.getpid())).touch()
        time.sleep(0.4)
    return honest(instance, monitor)


def telling(instance: Instance, monitor: Monitor) -> Answer:
    """Leaves the id of the process that runs its cell in the folder named by the environment."""
    if not warming_up(instance):
        Path(os.environ["PROCESS_IDS"], str(os.getppid())).touch()
        time.sleep(0.5)
    return honest(instance, monitor)


def murderous(instance: Instance, monitor: Monitor) -> Answer:
    """Kills the process that runs its cell."""
    if not warming_up(instance):
        os.kill(os.getppid(), signal.SIGKILL)
    return honest(instance, monitor)


def late(instance: Instance, monitor: Monitor) -> Answer:
    """Calls its kernels for the first time in the real solve, and makes that first call long."""
    from kvopt.bench.worker import compiled
    from kvopt.policies.backlog import solve_mc_sf

    if warming_up(instance):
        return honest(instance, monitor)
    before = compiled()
    answer = solve_mc_sf(instance, monitor)
    if compiled() > before:
        time.sleep(0.7)
    return answer


hesitated: list[bool] = []


def hesitant(instance: Instance, monitor: Monitor) -> Answer:
    """Takes longer the first time."""
    if not warming_up(instance) and not hesitated:
        hesitated.append(True)
        time.sleep(0.08)
    return honest(instance, monitor)
