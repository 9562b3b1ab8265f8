"""Records as a Parquet file, for data frames."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

import msgspec

from kvopt.bench.cell import Record
from kvopt.bench.log import NESTED
from kvopt.errors import InputError


def require_pyarrow() -> Any:
    """The package pyarrow; raises InputError that says how to get it where it is missing."""
    try:
        import pyarrow
    except ImportError:
        raise InputError("Parquet needs pyarrow, which is not installed: pip install 'kvopt[parquet]'") from None
    return pyarrow


def parquet_bytes(records: Sequence[Record]) -> bytes:
    """The records as a Parquet file: a column for each field, `machine` and `versions` as JSON text.

    Raises
    ------
    InputError
        If pyarrow is missing, or a figure has more than 63 bits.

    Examples
    --------
    >>> parquet_bytes([])[:4]
    b'PAR1'
    """
    pa = require_pyarrow()
    import pyarrow.parquet

    kinds = {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    fields = []
    for name, hint in get_type_hints(Record).items():
        options = [option for option in get_args(hint) or (hint,) if option is not type(None)]
        fields.append(pa.field(name, pa.string() if name in NESTED else kinds.get(options[0], pa.string())))
    rows = []
    for record in records:
        row = msgspec.to_builtins(record)
        rows.append(row | {name: msgspec.json.encode(row[name]).decode() for name in NESTED})
    try:
        table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
    except (pa.ArrowInvalid, OverflowError) as error:
        raise InputError(f"these results do not fit a Parquet file ({error})") from None
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()
