"""Annealing of start orders by rivals that advance side by side; at every stage the worse half copies the better.

One rival goes once over the order, annealing a window that slides along (`kvopt.large.kernels.anneal`). How well
that ends differs by up to a per cent from seed to seed: where completions have bunched up, memory stays idle
before them for a long time. Rivals that are compared again and again leave such states early ("go with the
winners", Aldous and Vazirani, FOCS 1994).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kvopt.bounds.evaluation import least_costs
from kvopt.bounds.prices import MemoryPrices
from kvopt.exact.watch import Watch
from kvopt.large import kernels
from kvopt.model import FloatArray, Instance, IntArray
from kvopt.monitor import Monitor
from kvopt.policies.backlog import list_schedule

#: Places that a window covers: twice the requests running on average, within these limits.
LEAST_WINDOW, MOST_WINDOW = 40, 100
#: It fixes this part of them before it slides on.
COMMIT_SHARE = 25
#: It may exchange with so many places behind it, and with more the finer requests differ: times the root of n.
LEAST_REACH, REACH_FACTOR = 300, 3
#: Memory that idles anyway, in mean outputs of the requests being served: half of one because running requests grow,
#: some more because nothing fits exactly. The mean is taken over this part of the order.
IDLE_OUTPUTS, SERVED_SHARE = 0.7, 0.05
#: First and last temperature (see `kernels.anneal`).
HOT, COLD = 0.01, 0.001
#: Requests fixed between two comparisons: at least so many, and more where that makes too many comparisons.
STAGE, MOST_STAGES = 10, 1000
#: Moves for each request to fix before more rivals do more good, most in a window, and most rivals.
GOOD_MOVES, MOST_STEPS, MOST_RIVALS = 1_000, 8_000, 64
#: Most moves in a window for each pair of requests, where these are few.
STEPS_PER_PAIR = 20


@dataclass(frozen=True)
class Rival:
    """An order annealed up to some place: the changing arguments of `kernels.anneal`."""

    order: IntArray
    starts: IntArray
    last: IntArray
    level: IntArray
    front: IntArray
    value: npt.NDArray[np.float64]

    def become(self, other: Rival) -> None:
        """Copy another one."""
        for name in ("order", "starts", "last", "level", "front", "value"):
            getattr(self, name)[:] = getattr(other, name)


class Annealer:
    """Improves schedules of one instance under the guidance of memory prices.

    Attributes
    ----------
    moves, seconds : float
        Moves of all finished stages and the wall-clock time they took.
    threads : callable
        Called before each stage: how many threads it may use, by default all that the monitor allows.
    most_running : int
        No more requests than this can ever run at once.
    """

    def __init__(
        self,
        instance: Instance,
        prices: MemoryPrices,
        monitor: Monitor,
        threads: Callable[[], int] | None = None,
    ) -> None:
        types = instance.types
        per_type = least_costs(types.prompt, types.output, types.arrival, prices.numerators, prices.denominator)
        least = (np.asarray(per_type, dtype=np.float64) / prices.denominator)[types.of_request]
        price = prices.numerators / prices.denominator
        plain = np.concatenate(([0.0], np.cumsum(price)))
        timed = np.concatenate(([0.0], np.cumsum(price * np.arange(len(price)))))
        self.instance, self.monitor, self.watch = instance, monitor, Watch(monitor)
        self.threads = threads or (lambda: monitor.workers)
        self.columns = (instance.prompt, instance.output, instance.arrival, least, plain, timed)
        self._price = price
        self.moves, self.seconds = 0.0, 0.0
        self.most_running = (
            int(np.searchsorted(np.cumsum(np.sort(instance.prompt + 1)), instance.capacity, "right")) + 1
        )
        running = instance.capacity * float(instance.output.sum()) / float(instance.volume.sum())
        self._window = int(np.clip(2 * running, LEAST_WINDOW, MOST_WINDOW))
        self._commit = -(-self._window // COMMIT_SHARE)
        self._reach = max(LEAST_REACH, int(REACH_FACTOR * instance.n**0.5))
        self._most_steps = min(MOST_STEPS, STEPS_PER_PAIR * instance.n**2)
        # Fixing nothing loads the kernel, or compiles it, before the clock of `seconds` starts.
        order = np.arange(instance.n)
        kernels.anneal(*self._call(self._start(order), order, plain, 0, 1, 0))

    @property
    def most_moves(self) -> int:
        """Moves that one pass can make good use of."""
        return MOST_RIVALS * self._most_steps * -(-self.instance.n // self._commit)

    def run(self, starts: IntArray, moves: float, seed: int, deadline_s: float = float("inf")) -> None:
        """Anneal the start order of a schedule once and offer what comes out.

        Parameters
        ----------
        starts : int64 array of shape (n,)
        moves : float
            About so many in all; with a deadline, as many as there is time for.
        seed : int
        deadline_s : float
            On the monitor's clock.
        """
        instance, monitor = self.instance, self.monitor
        n = instance.n
        order = np.lexsort((instance.volume, starts))
        usual = starts[order]
        room = self.room(order, usual)
        windows = -(-n // self._commit)
        count = int(np.clip(moves / (n * GOOD_MOVES), monitor.workers, max(MOST_RIVALS, monitor.workers)))
        count -= count % monitor.workers
        steps = min(self._most_steps, moves / (windows * count))
        rivals = [self._start(order) for _ in range(count)]
        random = np.random.default_rng(seed)
        stage = max(STAGE, -(-n // MOST_STAGES))
        for done in range(0, n, stage):
            if self.seconds > 0 and deadline_s < float("inf"):
                affordable = self.moves / self.seconds * max(0.0, deadline_s - monitor.elapsed_s)
                steps = min(self._most_steps, affordable / (-(-(n - done) // self._commit) * count))
            begun = time.perf_counter()
            seeds = random.integers(2**31, size=count).tolist()
            calls = [
                self._call(rival, usual, room, stage, int(steps) + 1, own)
                for rival, own in zip(rivals, seeds, strict=True)
            ]
            outlook = self.watch.run(kernels.anneal, calls, self.threads())
            if self.watch.halted:
                # Starts are not complete, but the orders are: a list policy follows them in no time.
                for rival in rivals:
                    monitor.offer(list_schedule(instance, rival.order))
                return
            self.seconds += time.perf_counter() - begun
            self.moves += (int(steps) + 1) * count * -(-min(stage, n - done) // self._commit)
            if done + stage < n:
                ranking = np.argsort(outlook, kind="stable")
                for better, worse in zip(ranking[: count // 2], ranking[::-1], strict=False):
                    rivals[worse].become(rivals[better])
            monitor.report(rivals=count, annealed=min(n, done + stage))
        for rival in rivals:
            monitor.offer(rival.starts)

    def room(self, order: IntArray, usual: IntArray) -> FloatArray:
        """Prefix sums of price * memory that good schedules fill, shape (horizon + 1,), for starts `usual` in order."""
        width = max(1, int(SERVED_SHARE * len(order)))
        total = np.concatenate(([0], np.cumsum(self.instance.output[order])))
        places = np.arange(len(order))
        low, high = np.maximum(places - width // 2, 0), np.minimum(places + width // 2 + 1, len(order))
        idle = IDLE_OUTPUTS * np.interp(np.arange(len(self._price)), usual, (total[high] - total[low]) / (high - low))
        return np.concatenate(([0.0], np.cumsum(self._price * (self.instance.capacity - idle))))

    def _call(
        self, rival: Rival, usual: IntArray, room: FloatArray, fixed: int, steps: int, seed: int
    ) -> tuple[Any, ...]:
        """Arguments of `kernels.anneal`."""
        state = rival.order, usual, rival.starts, rival.last, rival.level, rival.front, rival.value
        shape = fixed, min(self._window, len(usual)), self._commit, self._reach
        return self.watch.halt, self.instance.capacity, *self.columns, room, *state, *shape, steps, HOT, COLD, seed

    def _start(self, order: IntArray) -> Rival:
        """A rival that has fixed nothing yet."""
        last, level = np.zeros((2, self.most_running), dtype=np.int64)
        return Rival(order.copy(), np.zeros_like(order), last, level, np.zeros(3, np.int64), np.zeros(1))
