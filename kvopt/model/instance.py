"""The problem: requests and a KV cache capacity, all integers (Jaillet et al., arXiv 2502.07115)."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kvopt.arguments import instance_of, whole_number
from kvopt.errors import ArgumentError, InputError

if TYPE_CHECKING:
    import pandas as pd

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: Largest value of any field of an instance.
MAX_VALUE = 2**31 - 1
#: Largest number of requests of one instance.
MAX_REQUESTS = 10_000_000
#: Columns of at most this length are summed faster as a list.
SHORT = 200


def volume(prompt: Any, output: Any) -> Any:
    """Token-rounds of requests, ``s*o + o*(o+1)/2``.

    Parameters
    ----------
    prompt, output : int or array_like of int
        Tokens.

    Returns
    -------
    int or integer array

    Examples
    --------
    >>> volume(1, 3)  # holds 2, 3 and 4 tokens
    9
    """
    return prompt * output + output * (output + 1) // 2


def exact_sum(values: IntArray) -> int:
    """Sum of an int64 array as a Python integer, exact even where int64 would wrap.

    Parameters
    ----------
    values : int64 array of shape (n,)

    Returns
    -------
    int
    """
    if len(values) > SHORT:
        largest = max(abs(int(values.max())), abs(int(values.min())))
        if largest * len(values) < 2**63:
            return int(values.sum())
    return sum(values.tolist())


def frozen_column(values: Iterable[int] | IntArray, name: str) -> IntArray:
    """A read-only int64 copy of `values`; raises InputError for anything but integers."""
    try:
        array = np.array(values if isinstance(values, np.ndarray) else list(values))
    except (TypeError, ValueError):  # not iterable, or lists of different lengths
        array = np.array(None)
    if array.ndim == 1 and array.size == 0:
        array = array.astype(np.int64)
    wraps = array.dtype == np.uint64 and array.max(initial=0) > np.iinfo(np.int64).max
    if array.ndim != 1 or array.dtype.kind not in "iu" or wraps:
        raise InputError(f"{name}: expected a flat list of integers, got {reprlib.repr(values)}")
    column = np.ascontiguousarray(array, dtype=np.int64)
    column.setflags(write=False)
    return column


@dataclass(frozen=True, eq=False)
class RequestTypes:
    """Groups of interchangeable requests: equal prompt, output and arrival.

    Types are sorted by (prompt, output, arrival); every part of kvopt that numbers types uses this order.

    Attributes
    ----------
    prompt, output, arrival, count : int64 arrays of shape (K,)
        The common values of each type and its multiplicity.
    of_request : int64 array of shape (n,)
        Type index of each request.
    """

    prompt: IntArray
    output: IntArray
    arrival: IntArray
    count: IntArray
    of_request: IntArray

    def __len__(self) -> int:
        return len(self.count)

    @cached_property
    def volume(self) -> IntArray:
        """Token-rounds of one request of each type, shape (K,)."""
        return volume(self.prompt, self.output)

    @cached_property
    def members(self) -> tuple[IntArray, ...]:
        """Request indices of each type, ascending."""
        order = np.argsort(self.of_request, kind="stable")
        return tuple(np.split(order, np.cumsum(self.count)[:-1]))

    def starts_of_requests(self, kind: IntArray, start: IntArray) -> IntArray:
        """Start rounds by request when the j-th run is of type ``kind[j]`` and starts in round ``start[j]``.

        Parameters
        ----------
        kind, start : int64 arrays of shape (n,)
            Each type k occurs ``count[k]`` times; its members take its runs in the given order.
        """
        starts = np.empty(len(start), dtype=np.int64)
        starts[self.of_request.argsort(kind="stable")] = start[kind.argsort(kind="stable")]
        return starts


@dataclass(frozen=True, eq=False)
class Instance:
    """Requests to be scheduled on one worker whose KV cache holds `capacity` tokens.

    Request i runs ``output[i]`` consecutive rounds from its start; in the j-th of them (j = 1..output)
    it holds ``prompt[i] + j`` tokens. In every round the tokens held must not exceed `capacity`.

    Parameters
    ----------
    capacity : int
        KV cache capacity M in tokens, 1 .. 2^31 - 1.
    prompt, output, arrival : array_like of int, shape (n,)
        Tokens (prompt >= 0, output >= 1) and arrival round (>= 0, default all 0).
    name : str
        A short name for reports.
    ids : sequence of str, optional
        One identifier for each request.
    meta : mapping, optional
        Free provenance data; kept in files, ignored by solvers.

    Raises
    ------
    InputError
        For an empty instance, a value out of range, or a request whose peak exceeds the capacity.

    Examples
    --------
    >>> inst = Instance(capacity=5, prompt=[1, 1, 1, 1], output=[1, 1, 3, 3])
    >>> inst.n, inst.peak.tolist(), inst.volume.tolist()
    (4, [2, 2, 4, 4], [2, 2, 9, 9])
    """

    capacity: int
    prompt: IntArray
    output: IntArray
    arrival: IntArray = None  # type: ignore[assignment]
    name: str = "instance"
    ids: tuple[str, ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "prompt", frozen_column(self.prompt, "prompt"))
        set_(self, "output", frozen_column(self.output, "output"))
        arrival = np.zeros(len(self.output), dtype=np.int64) if self.arrival is None else self.arrival
        set_(self, "arrival", frozen_column(arrival, "arrival"))
        set_(self, "capacity", whole_number("capacity", self.capacity, 1, MAX_VALUE))
        instance_of("name", self.name, str)
        instance_of("meta", self.meta, Mapping)
        if self.ids is not None:
            if isinstance(self.ids, str) or not isinstance(self.ids, Iterable):
                raise ArgumentError("ids", "must be a list of texts", self.ids)
            set_(self, "ids", tuple(self.ids))
            if not all(isinstance(name, str) for name in self.ids):
                raise ArgumentError("ids", "must be a list of texts", self.ids)
        self._check()

    def _check(self) -> None:
        n = len(self.output)
        if n == 0:
            raise InputError("an instance needs at least one request")
        if n > MAX_REQUESTS:
            raise InputError(f"{n} requests; at most {MAX_REQUESTS} are supported")
        if self.ids is not None and (len(self.ids) != n or len(set(self.ids)) != n):
            raise InputError("ids must be distinct, one for each request")
        for name, least in (("prompt", 0), ("output", 1), ("arrival", 0)):
            column = getattr(self, name)
            if len(column) != n:
                raise InputError(f"{name} has {len(column)} values for {n} requests")
            bad = np.flatnonzero((column < least) | (column > MAX_VALUE))
            if len(bad):
                i = int(bad[0])
                raise InputError(f"request {i}: {name} {int(column[i])} is not within {least}..{MAX_VALUE}")
        bad = np.flatnonzero(self.peak > self.capacity)
        if len(bad):
            i = int(bad[0])
            raise InputError(
                f"request {i}: prompt {self.prompt[i]} + output {self.output[i]} = peak {self.peak[i]} "
                f"exceeds the capacity {self.capacity}; it can never run"
            )

    @classmethod
    def from_rows(cls, capacity: int, rows: Sequence[Sequence[int]], **more: Any) -> Instance:
        """Instance from rows (prompt, output), (prompt, output, count) or (prompt, output, count, arrival).

        >>> Instance.from_rows(5, [(1, 1, 2), (1, 3, 2)]).output.tolist()
        [1, 1, 3, 3]
        """
        try:
            full = [(*row, *(1, 0)[len(row) - 2 :]) for row in rows]
            columns = [frozen_column(column, "rows") for column in zip(*full, strict=True)]
            prompt, output, count, arrival = columns or np.zeros((4, 0), dtype=np.int64)
        except (TypeError, ValueError):
            raise ArgumentError("rows", "must be a list of rows of two to four integers", rows) from None
        if (count < 0).any():
            raise ArgumentError("rows", "must have counts of at least 0", rows)
        return cls(
            capacity=capacity,
            prompt=np.repeat(prompt, count),
            output=np.repeat(output, count),
            arrival=np.repeat(arrival, count),
            **more,
        )

    @classmethod
    def from_dataframe(cls, frame: pd.DataFrame, capacity: int, **more: Any) -> Instance:
        """Instance from a pandas data frame, see `kvopt.io.dataframes.instance_from_dataframe`."""
        from kvopt.io.dataframes import instance_from_dataframe

        return instance_from_dataframe(frame, capacity, **more)

    def _repr_html_(self) -> str:
        from kvopt.display import instance_html

        return instance_html(self)

    def __len__(self) -> int:
        return self.n

    def __eq__(self, other: object) -> bool:
        """Equal capacity and requests in the same order; name, ids and meta do not count."""
        return isinstance(other, Instance) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its fields: numpy would bring the columns back writable, another type to compiled code."""
        meta = dict(self.meta)
        return Instance, (self.capacity, self.prompt, self.output, self.arrival, self.name, self.ids, meta)

    def __repr__(self) -> str:
        arrivals = f", arrivals to {int(self.arrival.max())}" if self.has_arrivals else ""
        size = f"{self.n} requests of {len(self.types)} types"
        return f"<Instance {self.name!r}: {size}, capacity {self.capacity}{arrivals}>"

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.output)

    @cached_property
    def peak(self) -> IntArray:
        """Tokens held in the last round, prompt + output, shape (n,)."""
        return self.prompt + self.output

    @cached_property
    def volume(self) -> IntArray:
        """Token-rounds of each request, ``s*o + o*(o+1)/2``, shape (n,)."""
        return volume(self.prompt, self.output)

    @property
    def has_arrivals(self) -> bool:
        """Whether some request arrives after round 0."""
        return bool(self.arrival.any())

    @cached_property
    def types(self) -> RequestTypes:
        """Requests grouped by equal (prompt, output, arrival)."""
        order = np.lexsort((self.arrival, self.output, self.prompt))
        columns = {name: getattr(self, name)[order] for name in ("prompt", "output", "arrival")}
        differs = np.ones(self.n + 1, dtype=np.bool_)  # from the request before it in order; behind the last one, too
        differs[1:-1] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns.values()])
        begin = differs.nonzero()[0]
        columns = {name: column[begin[:-1]] for name, column in columns.items()}
        of_request = np.empty(self.n, dtype=np.int64)
        of_request[order] = differs[:-1].cumsum() - 1
        columns |= {"count": begin[1:] - begin[:-1], "of_request": of_request}
        for column in columns.values():
            column.setflags(write=False)
        return RequestTypes(**columns)

    @cached_property
    def digest(self) -> str:
        """``sha256:`` and the hash of the text ``M\\n`` followed by ``s o a\\n`` for each request in order."""
        text = "".join(
            f"{s} {o} {a}\n"
            for s, o, a in zip(self.prompt.tolist(), self.output.tolist(), self.arrival.tolist(), strict=True)
        )
        return "sha256:" + hashlib.sha256(f"{self.capacity}\n{text}".encode()).hexdigest()

    def label(self, i: int) -> str:
        """What to call request i in a report: its id, or its number."""
        return self.ids[i] if self.ids is not None else str(i)
