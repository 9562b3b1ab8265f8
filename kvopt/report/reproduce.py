"""How to get the result again: commands, digest, versions."""

from __future__ import annotations

import shlex
from html import escape
from pathlib import Path

from kvopt.model import Result
from kvopt.solving import SOLVERS
from kvopt.versions import versions

#: Limits of a result file -> options of ``kvopt solve``.
OPTIONS = {
    "time_limit_s": "--time-limit",
    "memory_limit_gb": "--memory-limit",
    "target_gap": "--gap",
    "seed": "--seed",
    "workers": "--workers",
}


def commands(result: Result, instance_file: str, result_file: str) -> list[str]:
    """Commands that solve and check again, quoted for a shell.

    Parameters
    ----------
    result : Result
    instance_file, result_file : str
        Files as the commands should name them.

    Returns
    -------
    list of str
        Without the solve where the file names a solver that kvopt does not have.

    Examples
    --------
    >>> from kvopt import Instance, solve
    >>> commands(solve(Instance(9, [1], [2]), "mc-sf", seed=3), "a b.json", "x.result.json")[0]
    "kvopt solve 'a b.json' --solver mc-sf --seed 3 --workers 2 -o again.result.json"
    """
    lines = []
    if result.solver in SOLVERS:
        words = ["kvopt", "solve", instance_file, "--solver", result.solver]
        for key, option in OPTIONS.items():
            value = result.limits.get(key)
            # A gap of 0 is the default; whatever else a file puts here is no number.
            if isinstance(value, int | float) and not isinstance(value, bool) and (value or key != "target_gap"):
                words += [option, str(value)]
        lines.append(shlex.join([*words, "-o", "again.result.json"]))
    lines.append(shlex.join(["kvopt", "verify", instance_file, result_file]))
    lines.append(shlex.join(["kvopt", "report", result_file, "--instance", instance_file]))
    return lines


def reproduction(result: Result, instance_file: str, result_file: str) -> str:
    """HTML with commands, digest of the instance and versions; a run under a time limit may end elsewhere.

    Parameters
    ----------
    result : Result
    instance_file, result_file : str
        Paths; the page names files without their folders.

    Returns
    -------
    str
        Escaped HTML.
    """
    lines = commands(result, Path(instance_file).name, Path(result_file).name)
    made = ", ".join(f"{name} {version}" for name, version in result.versions.items()) or "not recorded"
    now = ", ".join(f"{name} {version}" for name, version in versions().items())
    stopped = result.statistics.get("stopped_by")
    limited = f"The run was stopped ({escape(str(stopped))}): another machine may get further, or less far."
    note = "" if stopped is None else f"<p>{limited}</p>"
    return (
        f"<pre>{escape(chr(10).join(lines))}</pre>{note}"
        f'<dl><dt>instance digest</dt><dd class="digest">{escape(result.instance.digest)}</dd>'
        f"<dt>solved with</dt><dd>{escape(made)}</dd><dt>verified and reported with</dt><dd>{escape(now)}</dd></dl>"
    )
