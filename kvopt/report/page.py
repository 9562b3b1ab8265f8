"""The page: sections, style, scripts, all in one file that opens without a network."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from kvopt.model import Result
from kvopt.report.policies import comparison
from kvopt.report.reproduce import reproduction
from kvopt.report.requests import latency_words, request_table
from kvopt.report.words import proof_in_words
from kvopt.verify import Verification, verify

#: Nothing may be loaded from anywhere, whatever a file contains.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
#: plotly.js offers to upload the picture unless told not to.
PLOT_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "typesetMath": False,
}


def report_html(
    result: Result,
    verification: Verification | None = None,
    *,
    instance_file: str = "instance.json",
    result_file: str = "result.json",
) -> str:
    """One HTML page on a result: proof status, picture, requests, policies, how to reproduce.

    Parameters
    ----------
    result : Result
    verification : Verification, optional
        What `kvopt.verify` says of the result, or of the file it was read from; made here if not given.
    instance_file, result_file : str
        Where they are, for the commands on the page.

    Returns
    -------
    str
        The page, about 5 MB, most of it the drawing library. It opens without a network; all text that comes from
        files is escaped.

    Examples
    --------
    >>> from kvopt import Instance, solve
    >>> page = report_html(solve(Instance(5, [1] * 4, [1, 1, 3, 3], name="<toy>"), "brute-force"))
    >>> page.count("<h2>"), "<title>&lt;toy&gt;, brute-force</title>" in page
    (5, True)
    """
    verification = verification if verification is not None else verify(result)
    assets = files("kvopt.report")
    title = f"{escape(result.instance.name)}, {escape(result.solver)}"
    sections = {
        "Proof": proof_section(result, verification),
        "Schedule": schedule_section(result),
        "Comparison with policies": comparison(result, verification),
        "Requests": request_table(result.instance, result.schedule),
        "How to reproduce": reproduction(result, instance_file, result_file),
    }
    body = "".join(f"<section><h2>{name}</h2>{content}</section>" for name, content in sections.items())
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{(assets / 'page.css').read_text(encoding='utf-8')}</style></head>"
        f"<body><h1>{escape(result.instance.name)}</h1>{facts(result)}{body}"
        f"<script>{(assets / 'page.js').read_text(encoding='utf-8')}</script></body></html>\n"
    )


def facts(result: Result) -> str:
    """What was solved, and by what, in two lines."""
    instance = result.instance
    arrivals = f"arrivals to round {int(instance.arrival.max()):,}" if instance.has_arrivals else "all in round 0"
    time = "" if result.runtime_s is None else f" in {result.runtime_s:,.2f} s"
    requests = "1 request" if instance.n == 1 else f"{instance.n:,} requests"
    types = "1 type" if len(instance.types) == 1 else f"{len(instance.types):,} types"
    helped = result.statistics.get("bound_solver")
    bound = f"; certificate by {escape(str(helped))}" if helped is not None else ""
    return (
        f"<p>{requests} of {types}, capacity {instance.capacity:,} tokens, {arrivals}.<br>"
        f"Solved by {escape(result.solver)}{time}{bound}.</p>"
    )


def proof_section(result: Result, verification: Verification) -> str:
    """The verdict in words, then the figures it rests on."""
    words = proof_in_words(result, verification)
    grounds = "".join(f"<li>{escape(line)}</li>" for line in words.grounds)
    figures = {
        "total latency": rounds(verification.total_latency),
        "lower bound, certified": rounds(verification.lower_bound),
        "lower bound, claimed": rounds(result.lower_bound),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in figures.items())
    return f'<div class="verdict {words.grade}"><h3>{words.heading}</h3><ul>{grounds}</ul></div><dl>{listed}</dl>'


def rounds(value: int | None) -> str:
    """A figure in rounds, or that there is none."""
    return "none" if value is None else f"{value:,} rounds"


def schedule_section(result: Result) -> str:
    """The picture with the drawing library, or why there is none."""
    plan = result.schedule
    if plan is None:
        return "<p>The result holds no schedule.</p>"
    from plotly.offline import get_plotlyjs

    from kvopt.report.picture import ROUNDS_MAX, picture

    words = f"<p>{latency_words(plan)} The last completion is in round {plan.makespan:,}.</p>"
    figure = picture(plan)
    if figure is None:
        return f"{words}<p>Not drawn: more than {ROUNDS_MAX:,} rounds.</p>"
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, div_id="picture", config=PLOT_CONFIG)
    hint = "Drag to zoom, double-click to see all; a click on the legend hides or shows. Grey is idle memory."
    return f'{words}<script>{get_plotlyjs()}</script><div class="picture">{drawn}</div><p class="hint">{hint}</p>'
