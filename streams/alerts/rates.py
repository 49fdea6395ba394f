"""From sums to the number that a rule compares; pure.

0/0, too few samples and a signal without data are one thing, no data: never a fire, never a resolve (alert-engine.md §2
point 4). There is no floor in the arithmetic (alert-engine.md §7 shows what one does).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Absence(StrEnum):
    """Why there is no number."""

    TOO_FEW_SAMPLES = "too_few_samples"
    NOT_COMPLETE = "not_complete"


@dataclass(frozen=True, slots=True)
class Measured:
    """A number.

    Attributes:
        value: what the levels compare.
        samples: the denominator.
    """

    value: float
    samples: int


@dataclass(frozen=True, slots=True)
class NoData:
    """No number, and why; `samples` is what there was."""

    why: Absence
    samples: int = 0


Measurement = Measured | NoData


@dataclass(frozen=True, slots=True)
class Ratio:
    """The share of one sum in another, of at least `min_samples` samples."""

    numerator: str
    denominator: str
    min_samples: int

    def of(self, sums: Mapping[str, int]) -> Measurement:
        """The share in `sums`; a missing sum counts as 0."""
        samples = sums.get(self.denominator, 0)
        if samples < max(1, self.min_samples):
            return NoData(Absence.TOO_FEW_SAMPLES, samples)
        return Measured(sums.get(self.numerator, 0) / samples, samples)
