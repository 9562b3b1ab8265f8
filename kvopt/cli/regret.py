"""``kvopt regret``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvopt.cli.console import Json, Quiet, Seed, check_output, echo_json, exact, say, terminable, watched
from kvopt.cli.request_types import split_type
from kvopt.errors import InputError

if TYPE_CHECKING:
    from kvopt.regret.load import Capacities
    from kvopt.regret.mix import Mix
    from kvopt.regret.study import RegretRow, RegretStudy


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(regret)


def regret(
    capacity: Annotated[int | None, typer.Option(help="KV cache capacity in tokens.")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="PROMPT,OUTPUT,SHARE of a type; repeat for each.")
    ] = None,
    trace: Annotated[str | None, typer.Option(help="Instance file whose requests are drawn from, with return.")] = None,
    load: Annotated[str | None, typer.Option(help="Load, a decimal or a ratio.")] = None,
    of: Annotated[str, typer.Option(help="Capacity that is a load of 1: effective or volume.")] = "effective",
    rate: Annotated[str | None, typer.Option(help="Requests per round, instead of a load.")] = None,
    horizons: Annotated[str, typer.Option(help="Rounds with arrivals.")] = "50,100,200,400",
    policies: Annotated[
        str, typer.Option(help="fcfs, mc-sf, svf, staggered; resolve, expected-hindsight, stationary, finite-opt.")
    ] = "fcfs,mc-sf,resolve,expected-hindsight,finite-opt",
    paths: Annotated[int, typer.Option(min=1, help="Random paths, the same for every policy.")] = 200,
    process: Annotated[str, typer.Option(help="types (each type Bernoulli), bernoulli, poisson.")] = "types",
    baseline: Annotated[str, typer.Option(help="exact optimum, certified bound, or none.")] = "exact",
    scale: Annotated[str, typer.Option(help="Factors on capacity and rates, such as 1,4,16.")] = "1",
    overload: Annotated[bool, typer.Option("--overload", help="Run a load that no policy sustains.")] = False,
    seed: Seed = 0,
    csv: Annotated[str | None, typer.Option(help="Table to write.")] = None,
    figure: Annotated[str | None, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Regret of online policies under random arrivals, against the optimum in hindsight."""
    from kvopt.bench.ranges import whole_numbers
    from kvopt.io.files import require_writable, write_bytes
    from kvopt.regret.load import Capacities
    from kvopt.regret.study import RegretStudy

    if (load is None) == (rate is None):
        raise InputError("give either --load or --rate")
    if figure is not None:
        from kvopt.plot import picture_suffix

        picture_suffix(figure)
    check_output(csv, json)
    if figure is not None:
        require_writable(figure)
    mix = choose_mix(capacity, types or [], trace)
    names = list(dict.fromkeys(name.strip() for name in policies.split(",")))
    studies: list[RegretStudy] = []
    capacities: list[Capacities] = []
    for factor in whole_numbers(scale, "--scale"):
        if factor < 1:
            raise InputError(f"--scale: factors start at 1, got {factor}")
        known = Capacities.of(mix.scaled(factor))
        if load is not None:
            arrivals = known.rate(exact(load, "--load"), of)
        else:
            arrivals = exact(str(rate), "--rate") * factor
        if not arrivals > 0:
            raise InputError(f"the rate must be positive, got {float(arrivals):g}")
        excess = known.excess(arrivals)
        if not overload:
            known.require_stable(arrivals)
        elif excess is not None:
            say(f"capacity {known.mix.capacity}: overload by {100 * float(excess):.3g} %", quiet)
        study = RegretStudy(
            known.mix,
            arrivals,
            whole_numbers(horizons, "--horizons"),
            names,
            process=process,
            seed=seed,
            baseline=baseline,
        )
        capacities.append(known)
        studies.append(study)
        for line in described(known, arrivals):
            say(line, quiet)
    interrupted = run(studies, paths, quiet)
    finished = [study for study in studies if study.paths]
    rows = [row for study in finished for row in study.rows()]
    if csv is not None and rows:
        write_bytes(csv, table_csv(rows))
    if json:
        summary = {
            "interrupted": interrupted,
            "capacities": [known.as_dict() for known in capacities],
            "studies": [study.as_dict() for study in finished],
        }
        echo_json(summary)
    elif not quiet:
        for line in table_text(rows):
            typer.echo(line, err=csv == "-")
    if figure is not None and rows:  # after the table: one without a positive value cannot be drawn
        write_picture(figure, rows)
    for path in (csv, figure):
        if path is not None and rows:
            say(f"written to {path}", quiet)
    if interrupted:
        say(f"interrupted after {sum(study.paths for study in studies)} paths", quiet)
        raise typer.Exit(130)


def run(studies: list[RegretStudy], paths: int, quiet: bool) -> bool:
    """Run all paths, with progress; True if an interrupt ended that (what is finished stays)."""
    import time

    from kvopt.compiling import compiling_apart

    begun = time.perf_counter()
    monitor, line = watched(quiet)
    try:
        with terminable(), compiling_apart(monitor):
            for study in studies:
                held = study.mix.capacity

                def note(name: str, horizon: int, held: int = held) -> None:
                    line({"elapsed_s": time.perf_counter() - begun, "capacity": held, "table": f"{name} {horizon}"})

                study.prepare(note)
                while study.paths < paths:
                    study.add_path()
                    line({"elapsed_s": time.perf_counter() - begun, "capacity": held, "paths": study.paths})
    except KeyboardInterrupt:
        return True
    finally:
        line.end()
    return False


def choose_mix(capacity: int | None, types: list[str], trace: str | None) -> Mix:
    """The mix of ``--type PROMPT,OUTPUT,SHARE`` options, or of a trace."""
    from kvopt.io.formats import read
    from kvopt.regret.mix import Mix, positive_fraction

    if (trace is None) == (not types):
        raise InputError("give either --type PROMPT,OUTPUT,SHARE (once for each type) or --trace FILE")
    if trace is not None:
        return Mix.of_instance(read(trace), capacity)
    if capacity is None:
        raise InputError("--type needs --capacity")

    rows = []
    for text in types:
        prompt, output, share = split_type(text, "SHARE")
        rows.append((prompt, output, positive_fraction(share, f"--type {text}: share")))
    return Mix(capacity, *zip(*rows, strict=True))


def described(known: Capacities, rate: Any) -> list[str]:
    """Both capacities and the load, for people."""
    volume = known.mix.volume_capacity
    text = f"capacity {known.mix.capacity:,}: volume capacity {float(volume):.6g} requests a round"
    found = known.effective
    if found is None:
        text += ", effective capacity not computed (too many running configurations)"
    elif found.exact:
        text += (
            f", effective {found.lower} = {float(found.lower):.6g} ({100 * float(found.volume_share):.2f} %), proved"
        )
    else:
        text += f", effective within {float(found.lower):.9g} .. {float(found.upper):.9g}, proved"
    loads = f"{100 * float(rate / volume):.2f} % of volume"
    if found is not None:
        loads += f", {100 * float(rate / found.lower):.2f} % of effective"
    return [text, f"  rate {float(rate):.6g}: {loads}"]


def table_csv(rows: list[RegretRow]) -> bytes:
    """All columns, one line for each row."""
    from dataclasses import asdict

    from kvopt.io.tables import csv_bytes

    return csv_bytes(list(asdict(rows[0])), (asdict(row).values() for row in rows))


def table_text(rows: list[RegretRow]) -> list[str]:
    """The main columns for people, each mean with the half width of its 95 % interval."""
    titles = ("waiting", "regret", "per request")
    lines = [f"{'capacity':>8}  {'policy':<18} {'horizon':>7} {'paths':>5} " + " ".join(f"{t:>20}" for t in titles)]
    for row in rows:
        lines.append(
            f"{row.capacity:>8}  {row.policy:<18} {row.horizon:>7} {row.paths:>5} "
            f"{row.waiting:>11,.2f} +- {row.waiting_ci:<5.3g} {row.regret:>11,.2f} +- {row.regret_ci:<5.3g} "
            f"{row.per_request:>11.4f} +- {row.per_request_ci:<5.3g}"
            + (f"  (caps exceeded on {100 * row.capped:.1f} % of the paths)" if row.capped else "")
        )
    return lines


def write_picture(path: str, rows: list[RegretRow]) -> None:
    """Regret in total and per request over the horizon for one capacity, waiting over the capacity for several."""
    from kvopt.plot import save
    from kvopt.plot.canvas import Picture
    from kvopt.plot.regret import regret_curves, scaling_curves

    if len({row.capacity for row in rows}) > 1:
        save(scaling_curves(rows).figure.figure, path)
        return
    picture = Picture(figsize=(12.0, 4.5), layout="constrained")
    total, each = picture.subplots(1, 2)
    regret_curves(rows, total)
    regret_curves(rows, each, per_request=True)
    save(picture, path)
