"""From a load to a rate, and whether a rate can be sustained at all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from kvopt.errors import InputError, TooLargeError, UnknownNameError
from kvopt.regret.effective_capacity import EffectiveCapacity, effective_capacity
from kvopt.regret.mix import Mix, positive_fraction

#: What a load of 1 can mean.
RELATIVE_TO = ("effective", "volume")


@dataclass(frozen=True)
class Capacities:
    """What a mix can sustain, in requests per round.

    Attributes
    ----------
    mix : Mix
    effective : EffectiveCapacity or None
        None where the running configurations are too many to list.
    """

    mix: Mix
    effective: EffectiveCapacity | None

    @classmethod
    def of(cls, mix: Mix) -> Capacities:
        """Both capacities, or the volume capacity alone for a mix too large for the other."""
        try:
            return cls(mix, effective_capacity(mix))
        except TooLargeError:
            return cls(mix, None)

    def rate(self, load: Fraction, relative_to: str = "effective") -> Fraction:
        """The rate at a load, exact.

        Raises
        ------
        UnknownNameError
            For another word than `RELATIVE_TO`.
        TooLargeError
            If the effective capacity is asked for and not known.
        InputError
            If it is known from above only.

        Examples
        --------
        >>> Capacities.of(Mix(8, [1, 1], [2, 6], [0.7, 0.3])).rate(Fraction(1, 2))
        Fraction(15, 56)
        """
        if relative_to not in RELATIVE_TO:
            raise UnknownNameError("capacity", relative_to, list(RELATIVE_TO))
        load = positive_fraction(load, "the load")
        if relative_to == "volume":
            return load * self.mix.volume_capacity
        if self.effective is None:
            raise TooLargeError(
                f"capacity {self.mix.capacity} has too many running configurations for the effective capacity; "
                "state the load relative to the volume capacity"
            )
        if self.effective.lower == 0:
            raise InputError(
                "no circulation with every type was found, so the effective capacity is known from above only (a share "
                "may be too small); state the load relative to the volume capacity"
            )
        return load * self.effective.lower

    def excess(self, rate: Fraction) -> Fraction | None:
        """By how much a rate exceeds what any policy can sustain, relative to that; None if it does not."""
        most = self.mix.volume_capacity if self.effective is None else self.effective.upper
        return rate / most - 1 if rate > most else None

    def require_stable(self, rate: Fraction) -> None:
        """Raise InputError, with the excess, if no policy can sustain the rate."""
        excess = self.excess(rate)
        if excess is None:
            return
        name, most = "volume", self.mix.volume_capacity
        if self.effective is not None:
            name, most = "effective", self.effective.upper
        raise InputError(
            f"unstable load: {float(rate):.6g} requests a round exceed the {name} capacity {float(most):.6g} of this "
            f"mix by {100 * float(excess):.3g} %; under every policy the backlog grows without end"
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found = self.effective
        return {
            "capacity": self.mix.capacity,
            "volume_capacity": str(self.mix.volume_capacity),
            "effective_capacity": None if found is None else {"lower": str(found.lower), "upper": str(found.upper)},
            "configurations": None if found is None else len(found.graph),
        }
