"""How instances and results show themselves in a notebook: small HTML tables, nothing that needs a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from kvopt.model import Instance, Result, volume
from kvopt.rounding import percent

#: Most types listed for an instance, those with the most requests first.
TYPES_SHOWN = 8


def instance_html(instance: Instance) -> str:
    """A heading and a table of types.

    >>> from kvopt.model import Instance
    >>> instance_html(Instance(5, [1, 1], [3, 3], name="a & b")).partition("<table>")[0]
    '<p><b>a &amp; b</b>: 2 requests of 1 type, capacity 5 tokens</p>'
    """
    types = instance.types
    kinds = "type" if len(types) == 1 else "types"
    arrivals = f", arrivals to round {int(instance.arrival.max()):,}" if instance.has_arrivals else ""
    head = (
        f"<p><b>{escape(instance.name)}</b>: {instance.n:,} request{'s' if instance.n > 1 else ''} of {len(types):,} "
        f"{kinds}, capacity {instance.capacity:,} tokens{arrivals}</p>"
    )
    listed = np.argsort(-types.count, kind="stable")[:TYPES_SHOWN]
    columns = ["requests", "prompt", "output", "peak", "volume"]
    rows = []
    for k in np.sort(listed).tolist():
        s, o = int(types.prompt[k]), int(types.output[k])
        rows.append([int(types.count[k]), s, o, s + o, volume(s, o)])
        if instance.has_arrivals:
            rows[-1].insert(3, int(types.arrival[k]))
    if instance.has_arrivals:
        columns.insert(3, "arrival")
    more = len(types) - len(listed)
    rest = f"<p>and {more:,} more type{'s' if more > 1 else ''}</p>" if more else ""
    return head + table(columns, [[f"{value:,}" for value in row] for row in rows]) + rest


def result_html(result: Result) -> str:
    """A heading and the figures of a result, a line each."""
    head = f"<p><b>{escape(result.instance.name)}</b>, {escape(result.solver)}: <b>{result.status}</b></p>"
    lines = []
    if result.schedule is not None:
        lines.append(["total latency", f"{result.schedule.total_latency:,} rounds"])
        lines.append(["average latency", f"{float(result.schedule.average_latency):,.4f} rounds"])
    lines.append(["lower bound", "none" if result.lower_bound is None else f"{result.lower_bound:,} rounds"])
    if result.gap is not None:
        lines.append(["gap", percent(result.gap)])
    lines.append(["certificate", "none" if result.certificate is None else escape(result.certificate.kind)])
    if result.runtime_s is not None:
        lines.append(["time", f"{result.runtime_s:.2f} s"])
    return head + table([], lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table of cells that are already escaped."""
    top = "<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>" if head else ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{top}{body}</table>"
