"""Accepting results: the verifier decides, and the best schedule and the best bound are both kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kvopt import verify
from kvopt.errors import InputError
from kvopt.io.files import read_bytes
from kvopt.io.formats import parse_result, read, read_result
from kvopt.library.files import instance_files, result_file, store_result
from kvopt.model import Instance, Result, Status


class Refused(InputError):
    """A result that does not pass the verifier; the message lists what is wrong."""


def merge(old: Result | None, new: Result) -> Result | None:
    """The better of two results of one instance, part by part; None if `new` adds nothing.

    The schedule with the smaller total latency is kept, and the certificate with the larger bound; where they
    come from different runs, ``statistics["bound_solver"]`` names the one of the bound. A bound without a
    certificate is not kept.

    Parameters
    ----------
    old : Result or None
        What is known.
    new : Result
        Of the same instance.

    Returns
    -------
    Result or None
        With the status that schedule and certified bound allow.

    Raises
    ------
    Refused
        If `new` does not pass the verifier.
    """
    found = verify.verify(new)
    if found.verdict == verify.REFUSED:
        raise Refused("; ".join(str(violation) for violation in found.violations))
    kept = None if old is None else verify.verify(old)
    if old is None or kept is None or kept.verdict == verify.REFUSED:
        return certified(new, new) if found.verdict != verify.NOTHING else None
    value, bound = found.total_latency, found.lower_bound
    better_schedule = value is not None and (kept.total_latency is None or value < kept.total_latency)
    better_bound = bound is not None and (kept.lower_bound is None or bound > kept.lower_bound)
    if not better_schedule and not better_bound:
        return None
    return certified(new if better_schedule else old, new if better_bound else old)


def certified(schedule_of: Result, bound_of: Result) -> Result:
    """The schedule of one result with the certified bound of another."""
    bound = None if bound_of.certificate is None else bound_of.lower_bound
    value = schedule_of.total_latency
    statistics = dict(schedule_of.statistics)
    if bound_of is not schedule_of and bound_of.certificate is not None:
        statistics |= {"bound_solver": bound_of.solver, "bound_runtime_s": bound_of.runtime_s}
    if value is None:
        status = Status.UNKNOWN
    else:
        status = Status.OPTIMAL if value == bound else Status.FEASIBLE
    return replace(
        schedule_of,
        status=status,
        lower_bound=bound,
        certificate=None if bound is None else bound_of.certificate,
        statistics=statistics,
    )


def improve(root: str | Path, result_path: str | Path) -> tuple[Path, bool]:
    """Take a result file into the library if it is better than what is there.

    Parameters
    ----------
    root : str or Path
    result_path : str or Path
        A result of any instance of the library (found by its digest).

    Returns
    -------
    path : Path
        The instance file.
    better : bool
        Whether the result there was replaced.

    Raises
    ------
    InputError
        If the file is not a result, or for no instance of the library.
    Refused
        If the verifier refuses it.
    """
    digest = parse_result(read_bytes(result_path), str(result_path)).instance.digest
    for path in instance_files(root):
        instance = read(path)
        if instance.digest == digest:
            try:
                return path, accept(path, read_result(result_path, instance))
            except Refused as refusal:
                raise Refused(f"{result_path}: refused: {refusal}") from None
    raise InputError(f"{result_path}: no instance below {root} has the digest {digest}")


def accept(instance_path: Path, new: Result) -> bool:
    """Store `new`, or what it improves, beside its instance; tells whether it was better."""
    merged = merge(stored_result(instance_path, new.instance), new)
    if merged is None:
        return False
    today = datetime.now(UTC).date().isoformat()
    store_result(replace(merged, statistics={**merged.statistics, "found_on": today}), instance_path)
    return True


def stored_result(instance_path: Path, instance: Instance) -> Result | None:
    """The result beside an instance; None if there is none, or what is there cannot be read as one of this instance.

    An unreadable result must not keep out a right one.

    Raises
    ------
    InputError
        If there are two, packed and plain.
    """
    path = result_file(instance_path)
    if path is None:
        return None
    try:
        return read_result(path, instance)
    except InputError:
        return None
