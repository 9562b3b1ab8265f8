"""The table of requests: all of them, or those with the largest latency where there are too many for a page."""

from __future__ import annotations

from html import escape

import numpy as np

from kvopt.model import Instance, Schedule

#: Most rows of the table.
ROWS_MAX = 1_000
#: Shares of the requests whose largest latency is told.
SHARES = (50, 90, 99)


def request_table(instance: Instance, plan: Schedule | None) -> str:
    """HTML table with a row for each request and a note where rows are left out; columns sort on a click.

    Parameters
    ----------
    instance : Instance
    plan : Schedule or None
        Without one, the columns of the schedule are missing.

    Returns
    -------
    str
        Escaped HTML.
    """
    columns = {
        "prompt": instance.prompt,
        "output": instance.output,
        "peak": instance.peak,
        "arrival": instance.arrival,
    }
    if plan is not None:
        waiting = plan.starts - instance.arrival
        columns |= {
            "start": plan.starts,
            "completion": plan.completions,
            "waiting": waiting,
            "latency": plan.latencies,
        }
    chosen = np.arange(instance.n)
    note = f"All {instance.n:,} requests" if instance.n > 1 else "The request"
    if instance.n > ROWS_MAX:
        key = instance.volume if plan is None else plan.latencies
        chosen = np.sort(np.argsort(-key, kind="stable")[:ROWS_MAX])
        largest = "volume" if plan is None else "latency"
        note = f"The {ROWS_MAX:,} requests with the largest {largest}, of {instance.n:,}; the files hold all"
    head = "".join(f'<th aria-sort="none"><button>{name}</button></th>' for name in ("request", *columns))
    rows = []
    for i in chosen.tolist():
        label = instance.label(i)
        cells = "".join(f"<td>{int(column[i]):,}</td>" for column in columns.values())
        rows.append(f"<tr><td>{escape(label)}</td>{cells}</tr>")
    return (
        f"<p>{note}. Tokens and rounds; a click on a column's name sorts.</p>"
        f'<div class="scroll"><table id="requests" class="numbers"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def latency_words(plan: Schedule) -> str:
    """Latencies that shares of the requests do not exceed, in a sentence.

    >>> from kvopt import Instance
    >>> latency_words(Schedule(Instance(5, [1] * 4, [1, 1, 3, 3]), [0, 1, 0, 3]))
    'Latency of half of the requests at most 2, of 90 % at most 6, of 99 % at most 6, of all at most 6 rounds.'
    """
    ordered = np.sort(plan.latencies)
    parts = []
    for share in SHARES:
        value = int(ordered[-(-share * len(ordered) // 100) - 1])
        parts.append(f"of {'half of the requests' if share == 50 else f'{share} %'} at most {value:,}")
    return f"Latency {', '.join(parts)}, of all at most {int(ordered[-1]):,} rounds."
