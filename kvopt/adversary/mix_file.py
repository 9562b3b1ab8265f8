"""Files of adversary's mixes: the certificate of a randomised lower bound."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from kvopt.adversary.mix import Mix, Play
from kvopt.errors import InputError
from kvopt.io.files import read_bytes, write_bytes
from kvopt.io.formats import NOT_JSON, NonNegative, Positive

#: Largest weight in a file.
MOST_WEIGHT = 2**62


class ReleaseRow(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`count` equal requests released in a round."""

    round: NonNegative
    prompt: NonNegative
    output: Positive
    count: Positive = 1


class PlayRow(msgspec.Struct, forbid_unknown_fields=True):
    """A release sequence and its weight."""

    weight: Annotated[int, msgspec.Meta(ge=1, le=MOST_WEIGHT)]
    releases: Annotated[list[ReleaseRow], msgspec.Meta(min_length=1, max_length=1000)]


class MixFile(msgspec.Struct, forbid_unknown_fields=True):
    """A mix and the ratio it is said to certify."""

    format: Literal["kvopt/adversary-mix"]
    version: Literal[1]
    capacity: Positive
    #: A fraction such as ``9/7``.
    ratio: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,40}(/[1-9][0-9]{0,39})?$")]
    plays: Annotated[list[PlayRow], msgspec.Meta(min_length=1, max_length=100_000)]


def write_mix(mix: Mix, ratio: Fraction, path: str | Path) -> None:
    """Write a mix and the ratio it certifies.

    Parameters
    ----------
    mix : Mix
    ratio : Fraction
        Not checked here; see `kvopt.adversary.mix.certified_ratio`.
    path : str or Path
        ``-`` for standard output.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    plays = [
        PlayRow(play.weight, [ReleaseRow(*release, len(list(same))) for release, same in groupby(play.releases)])
        for play in mix.plays
    ]
    file = MixFile("kvopt/adversary-mix", 1, mix.capacity, str(ratio), plays)
    write_bytes(path, msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")


def read_mix(path: str | Path) -> tuple[Mix, Fraction]:
    """A mix and the ratio it is said to certify.

    Parameters
    ----------
    path : str or Path
        ``-`` for standard input.

    Returns
    -------
    (Mix, Fraction)

    Raises
    ------
    InputError
        If the file is not of the format, or the mix breaks a rule; the message names the file.
    """
    try:
        file = msgspec.json.decode(read_bytes(path), type=MixFile)
        mix = Mix(file.capacity, tuple(Play(row.weight, expanded(row)) for row in file.plays))
    except (*NOT_JSON, InputError) as error:
        message = str(error)
        if "$.format" in message or "`format`" in message:
            message += "; a mix file of kvopt adversary game --randomised -o is expected"
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None
    return mix, Fraction(file.ratio)


def expanded(row: PlayRow) -> tuple[tuple[int, int, int], ...]:
    """The releases one by one; raises InputError for more than a check could take."""
    if sum(release.count for release in row.releases) > 1000:
        raise InputError("a release sequence of more than 1000 requests")
    return tuple((r.round, r.prompt, r.output) for r in row.releases for _ in range(r.count))
