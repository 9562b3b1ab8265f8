"""Policies that never evict, as solvers of instances whose outputs are known: ``sorted-f`` and ``gba``."""

from __future__ import annotations

from typing import Any

import numpy as np

from kvopt.model import Instance
from kvopt.monitor import Monitor
from kvopt.online import simulate
from kvopt.policies.backlog import list_schedule
from kvopt.policies.gba import length_class
from kvopt.policies.sorted_f import SortedF, sorted_f_order
from kvopt.solving import Answer


def solve_sorted_f(instance: Instance, monitor: Monitor) -> Answer:
    """Offer the schedule of sets of least sum(o) / |X|^2; with arrivals, that of the online policy."""

    def stop_in_time(fields: dict[str, Any]) -> None:
        monitor.report(completed=fields["completed"])
        if monitor.stopped:
            raise KeyboardInterrupt

    if not instance.has_arrivals:
        order = sorted_f_order(instance.capacity, instance.prompt, instance.output)
        monitor.offer(list_schedule(instance, order))
    else:
        result = simulate(instance, SortedF(), on_progress=stop_in_time)
        if result.finished:
            monitor.offer(result.schedule.starts)
    return Answer()


def solve_gba(instance: Instance, monitor: Monitor) -> Answer:
    """Offer the schedule of geometric classes of outputs, lowest first, in each by arrival and index."""
    classes = np.array([length_class(output) for output in instance.output.tolist()])
    order = np.lexsort((np.arange(instance.n), instance.arrival, classes))
    monitor.offer(list_schedule(instance, order))
    return Answer()
