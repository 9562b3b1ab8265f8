"""The suite ``large``: backlogs and arrivals of a real trace at A100 scale, and their gaps to certified bounds.

Traces are not part of kvopt: the user names a file. Without one, requests are drawn to the published
percentiles of the Azure conversation trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kvopt.bench.cell import Record
from kvopt.bench.suite import Case, Suite
from kvopt.bench.tables import Table
from kvopt.generate import generate
from kvopt.io.traces import import_trace
from kvopt.model import Instance

#: Name of the suite.
LARGE = "large"
#: Llama-2-70B on two A100s with little and with more memory for the cache, Llama-2-7B on one.
CAPACITIES = (16_492, 54_067, 122_752)
#: First requests of the trace (None: all of them), and the capacities each such backlog is taken at.
BACKLOGS: tuple[tuple[int | None, tuple[int, ...]], ...] = (
    (200, CAPACITIES),
    (1000, CAPACITIES[:1]),
    (None, CAPACITIES),
)
#: Requests drawn where there is no trace, as many as the Azure trace has; and in the LMSYS-like backlog.
DRAWN, CHAT = 19_366, 10_000


def large_suite(trace: str | None = None) -> Suite:
    """Backlogs of a trace, chat requests drawn to the LMSYS figures, and the trace with its arrivals if it has any.

    Parameters
    ----------
    trace : str, optional
        ``FILE`` in the Azure format, or ``SOURCE:FILE`` (`kvopt.io.traces.SOURCES`).

    Raises
    ------
    InputError
        If the file cannot be read as that format.
    """
    return Suite(LARGE, tuple(cases(trace)))


def cases(trace: str | None) -> Iterator[Case]:
    """The instances with their groups, small ones first."""
    for limit, capacities in BACKLOGS:
        for capacity in capacities:
            instance = requests(trace, capacity, limit, backlog=True)
            # A short trace has all its requests in the last row.
            if limit is None or instance.n == limit:
                yield case("backlog", instance)
    yield case("backlog", generate("lmsys-like", requests=CHAT, capacity=CAPACITIES[0]))
    for capacity in CAPACITIES if trace is not None else ():
        instance = requests(trace, capacity, None, backlog=False)
        if instance.has_arrivals:
            yield case("arrivals", instance)


def requests(trace: str | None, capacity: int, limit: int | None, *, backlog: bool) -> Instance:
    """The first requests of the trace that fit, or drawn ones."""
    if trace is None:
        return generate("azure-like", requests=limit or DRAWN, capacity=capacity)
    source, colon, path = trace.partition(":")
    source, path = (source, path) if colon else ("azure", trace)
    return import_trace(source, path, capacity, limit=limit, backlog=backlog)[0]


def case(group: str, instance: Instance) -> Case:
    """A case whose name tells capacity and arrivals."""
    return Case(group, replace(instance, name=f"{instance.name}-{group}-M{instance.capacity}"))


def bound_table(records: Sequence[Record]) -> Table:
    """How far each solver's total latency is above the best certified bound of the instance."""
    solvers = list(dict.fromkeys(record.solver for record in records))
    rows = []
    for digest in dict.fromkeys(record.digest for record in records):
        own = [record for record in records if record.digest == digest]
        bound = max((r.lower_bound for r in own if r.lower_bound is not None and r.verdict == "PROVED"), default=None)
        found = {s: [r.total_latency for r in own if r.solver == s and r.total_latency is not None] for s in solvers}
        excess = [f"{100 * (min(found[s]) / bound - 1):.2f} %" if bound and found[s] else "-" for s in solvers]
        first = own[0]
        shown = "-" if bound is None else f"{bound:,}"
        rows.append((first.instance, f"{first.requests:,}", f"{first.capacity:,}", shown, *excess))
    header = ("instance", "requests", "capacity", "certified bound", *(f"{solver} over it" for solver in solvers))
    return Table("Total latency over the best certified bound", header, rows, left=1)
