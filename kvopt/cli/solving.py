"""``kvopt solve`` and ``kvopt verify``."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

import typer

from kvopt.cli.completing import solver_names
from kvopt.cli.console import (
    Json,
    MemoryLimit,
    Quiet,
    Seed,
    TimeLimit,
    Workers,
    check_output,
    echo_json,
    interruptible,
    say,
    watched,
)
from kvopt.rounding import percent

if TYPE_CHECKING:
    from kvopt.model import Instance, Result
    from kvopt.verify import Checks, Verification


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(solve)
    app.command()(verify)


def describe(result: Result) -> str:
    """A result in two or three lines."""
    if result.schedule is None:
        return f"{result.solver}: {result.status}, lower bound {result.lower_bound}"
    instance = result.instance
    lines = [
        f"{instance.name}: {instance.n:,} request{'s' * (instance.n > 1)}, capacity {instance.capacity:,}",
        f"{result.solver}: {result.status}, total latency {result.total_latency:,}, "
        f"average {float(result.schedule.average_latency):.4f} rounds",
    ]
    bound = "no lower bound" if result.lower_bound is None else f"lower bound {result.lower_bound:,}"
    proof = f" (certificate: {result.certificate.kind})" if result.certificate else ""
    lines.append(f"{bound}{proof}, gap {percent(result.gap)}, {result.runtime_s:.2f} s")
    return "\n".join(lines)


def solve(
    file: Annotated[str, typer.Argument(help="Instance file, - for standard input.")],
    solver: Annotated[
        str,
        typer.Option(help="auto, dp, cp-sat, highs, scip, cbc, brute-force or a policy.", autocompletion=solver_names),
    ] = "auto",
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
    gap: Annotated[float, typer.Option(help="Stop at this relative gap (0.01 is one percent).")] = 0.0,
    seed: Seed = 0,
    workers: Workers = 2,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Result file to write.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Solve an instance file; the schedule is verified before it is shown."""
    from kvopt.io.formats import encode_result, read, write_result
    from kvopt.solving import load_solver
    from kvopt.solving import solve as run

    load_solver(solver)
    check_output(output, json)
    instance = read(file)
    monitor, line = watched(
        quiet,
        instance,
        time_limit_s=time_limit,
        memory_limit_gb=memory_limit,
        target_gap=gap,
        seed=seed,
        workers=workers,
    )
    with interruptible(monitor):
        result = run(instance, solver, monitor=monitor)
        line.end()
        if output is not None:
            write_result(result, output)
    if json:
        typer.echo(encode_result(result), nl=False)
    else:
        say(describe(result), quiet)
        if output is not None:
            say(f"written to {output}", quiet)
    if monitor.interrupted:
        raise typer.Exit(130)
    if result.schedule is None:
        raise typer.Exit(1)


def verify(
    file: Annotated[str, typer.Argument(help="Instance file.")],
    result: Annotated[str, typer.Argument(help="Result file.")],
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Follow proofs in compiled code, many times faster than bare Python.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a result file: schedule, objective, bound and certificate, with integers and fractions only."""
    from kvopt import verify as checker
    from kvopt.compiling import compiling_apart
    from kvopt.io.files import read_bytes
    from kvopt.io.formats import parse_result, read

    instance = read(file)
    data = read_bytes(result)
    parse_result(data, result)
    checks = checker.CHECKS
    if compiled:
        from kvopt.replay import CHECKS as checks
    monitor, line = watched(quiet, instance)
    with compiling_apart(monitor):
        verification = check_claims(instance, data, checks)
    line.end()
    if json:
        echo_json(verification)
    elif not quiet:
        typer.echo(summary(verification))
    if verification.verdict in (checker.REFUSED, checker.NOTHING):
        raise typer.Exit(1)


def check_claims(instance: Instance, data: bytes, checks: Checks | None = None) -> Verification:
    """What the checker says of a result file: of its own claims, not of what reading has made of them."""
    import msgspec

    from kvopt import verify as checker

    claims = {"certificate": None, **msgspec.json.decode(data)}
    return checker.verify_result(checker.Problem.of(instance), claims, checks or checker.CHECKS)


def summary(verification: object) -> str:
    """The verdict and its grounds, a line each."""
    from kvopt import verify as checker

    assert isinstance(verification, checker.Verification)
    value, bound = verification.total_latency, verification.lower_bound
    if verification.verdict == checker.REFUSED:
        return "\n".join(["REFUSED", *(f"  {violation}" for violation in verification.violations)])
    if verification.optimal:
        return f"PROVED  optimal: total latency {value:,}"
    if verification.verdict == checker.PROVED and value is not None:
        gap = percent(Fraction(value - bound, bound)) if bound else "-"
        return f"PROVED  total latency {value:,} is feasible, no schedule is below {bound:,}; gap {gap}"
    if verification.verdict == checker.PROVED:
        return f"PROVED  no schedule is below {bound:,}"
    if verification.verdict == checker.FEASIBLE:
        return f"FEASIBLE  total latency {value:,}; the bound is not certified"
    return "NOTHING  neither a schedule nor a certificate"
