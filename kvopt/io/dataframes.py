"""Data frames in and out, for who has pandas; kvopt itself does without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kvopt.errors import InputError
from kvopt.model import Instance, IntArray, Result

if TYPE_CHECKING:
    import pandas as pd


def instance_from_dataframe(frame: pd.DataFrame, capacity: int, **more: Any) -> Instance:
    """An instance with one request for each row, or `count` of them.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``prompt`` and ``output``; ``arrival``, ``count`` and ``id`` if there; others are left out.
        Integers, or floats that are whole.
    capacity : int
        KV cache capacity in tokens.
    **more
        ``name`` and ``meta`` of the instance.

    Raises
    ------
    InputError
        If a column is missing, a value is not a whole number, `id` comes with counts above 1, or the instance
        breaks a rule.
    """
    for name in ("prompt", "output"):
        if name not in frame.columns:
            raise InputError(f"the data frame has no column {name!r}; it has {', '.join(map(str, frame.columns))}")
    columns = {name: whole(frame, name) for name in ("prompt", "output", "arrival") if name in frame.columns}
    count = whole(frame, "count") if "count" in frame.columns else np.ones(len(frame), dtype=np.int64)
    if (count < 1).any():
        raise InputError("column 'count': every value must be at least 1")
    ids = [str(value) for value in frame["id"]] if "id" in frame.columns else None
    if ids is not None and (count > 1).any():
        raise InputError("column 'id': a row with a count above 1 stands for several requests")
    repeated = {name: np.repeat(column, count) for name, column in columns.items()}
    return Instance(capacity=capacity, ids=ids, **repeated, **more)  # type: ignore[arg-type]


def whole(frame: pd.DataFrame, name: str) -> IntArray:
    """A column as integers; raises InputError naming the first row that is not a whole number."""
    values = frame[name].to_numpy()
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"column {name!r}: expected whole numbers, got {values.dtype}") from None
    bad = np.flatnonzero(~(np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)))
    if values.dtype.kind == "b" or len(bad):
        row = int(bad[0]) if len(bad) else 0
        raise InputError(f"column {name!r}, row {row}: expected a whole number, got {values[row]!r}")
    return numbers.astype(np.int64)


def result_to_dataframe(result: Result) -> pd.DataFrame:
    """One row for each request, in the order of the instance.

    Columns: id, prompt, output, arrival, and, if there is a schedule, start, completion, latency.
    """
    import pandas as pd

    instance, schedule = result.instance, result.schedule
    data: dict[str, Any] = {
        "id": [instance.label(i) for i in range(instance.n)],
        "prompt": instance.prompt,
        "output": instance.output,
        "arrival": instance.arrival,
    }
    if schedule is not None:
        data |= {"start": schedule.starts, "completion": schedule.completions, "latency": schedule.latencies}
    return pd.DataFrame(data)
