"""``sorted-f``: sets of requests with many short outputs first."""

from __future__ import annotations

from collections.abc import Iterable

import numba
import numpy as np

from kvopt.model import IntArray, volume
from kvopt.online.policy import Policy
from kvopt.online.view import Named, View


class SortedF(Policy):
    """Repeatedly takes the set X of waiting requests that could start together and has the least sum(o) / |X|^2.

    The sets, in the order found and by output within, give the order of the waiting requests; they are started by
    the look-ahead check up to the first that does not fit. The order is made anew when requests have
    arrived (or were evicted: the last started, on an overflow that predictions which are too short can bring about).

    Source: arXiv 2508.06133, of which only a summary was at hand. A least X is not searched for among all sets, but
    among the prefixes of three orders (by output, by peak, by volume) whose requests fit when all start at once.
    """

    name = "sorted-f"
    needs_prediction = True

    def begin(self, seed: int) -> None:
        """No order yet."""
        self.rank: dict[int, int] = {}

    def decide(self, view: View) -> Iterable[Named]:
        """The longest prefix of the order that fits until all predicted completions."""
        if view.overflowed and view.running:
            return []
        waiting = list(view.waiting)
        if any(request.index not in self.rank for request in waiting):
            prompt = np.array([request.prompt for request in waiting])
            output = np.array([request.predicted for request in waiting])
            order = sorted_f_order(view.capacity, prompt, output)
            self.rank = {waiting[i].index: place for place, i in enumerate(order.tolist())}
        waiting.sort(key=lambda request: self.rank[request.index])
        return view.look_ahead().longest_prefix(waiting)

    def overflow(self, view: View) -> Iterable[Named]:
        """The last started, to be ranked anew."""
        self.rank.pop(view.last_started.index, None)
        return [view.last_started]


def sorted_f_order(capacity: int, prompt: IntArray, output: IntArray) -> IntArray:
    """Order of requests by sets of least F = sum(o) / |X|^2.

    Parameters
    ----------
    capacity : int
    prompt, output : int arrays of shape (n,)

    Returns
    -------
    int64 array of shape (n,)
        A permutation. Time O(n + m^2) for each set, m its size, after sorting.

    Examples
    --------
    >>> sorted_f_order(10, np.array([7, 1, 1]), np.array([2, 2, 2])).tolist()
    [1, 2, 0]
    """
    orders = np.stack([np.argsort(key, kind="stable") for key in (output, prompt + output, volume(prompt, output))])
    return _by_sets(capacity, prompt.astype(np.int64), output.astype(np.int64), orders.astype(np.int64))


@numba.njit(cache=True, nogil=True)
def _by_sets(capacity, prompt, output, orders):
    n = len(prompt)
    result = np.empty(n, np.int64)
    taken = np.zeros(n, np.bool_)
    ends, level = np.empty(n, np.int64), np.empty(n, np.int64)
    best = np.empty(n, np.int64)
    done = 0
    while done < n:
        best_size = best_sum = 0
        for which in range(len(orders)):
            size = total = 0
            current = np.empty(n - done, np.int64)
            for i in orders[which]:
                if taken[i]:
                    continue
                # ends[:size] ascending: outputs of the set; level[k]: tokens held in round ends[k] if all start at 0.
                place = size
                while place > 0 and ends[place - 1] > output[i]:
                    place -= 1
                held = prompt[i] + output[i]
                if place < size:
                    held += level[place] - (size - place) * (ends[place] - output[i])
                fits = held <= capacity
                for k in range(place):
                    fits = fits and level[k] + prompt[i] + ends[k] <= capacity
                if not fits:
                    break
                for k in range(place):
                    level[k] += prompt[i] + ends[k]
                if place > 0 and ends[place - 1] == output[i]:
                    held = level[place - 1]
                for k in range(size, place, -1):
                    ends[k], level[k] = ends[k - 1], level[k - 1]
                ends[place], level[place] = output[i], held
                current[size] = i
                size += 1
                total += output[i]
                if best_size == 0 or total * best_size * best_size < best_sum * size * size:
                    best_size, best_sum = size, total
                    best[:size] = current[:size]
        chosen = best[:best_size]
        chosen = chosen[np.argsort(output[chosen] * (n + 1) + chosen)]
        for i in chosen:
            taken[i] = True
            result[done] = i
            done += 1
    return result
