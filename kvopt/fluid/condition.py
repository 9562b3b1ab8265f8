"""One condition that thresholds must meet, with both of its sides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """``left <= right``, or ``left < right`` where `strict`.

    Attributes
    ----------
    name : str
        What is compared, in words.
    left, right : float
    strict : bool
    """

    name: str
    left: float
    right: float
    strict: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is met."""
        return self.left < self.right if self.strict else self.left <= self.right

    def __str__(self) -> str:
        sign = "<" if self.strict else "<="
        return f"{self.name}: {self.left:,.6g} {sign} {self.right:,.6g}{'' if self.holds else '  NOT MET'}"
