"""What was measured of a trial, and whether it is within bounds."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from experiments.parity.plan import BOUNDS, DrawnModel, ParityTrial

SAME, ROUNDED, OVER, FAILED = "same", "same but for rounding", "OVER", "FAILED"
FACTOR = 3  # of the original's own rounding, within which ours counts as rounding


@dataclasses.dataclass(frozen=True)
class ComparedTrial:
    """The differences of one trial.

    Attributes:
        model: that was run.
        trial: how.
        differences: name -> largest relative difference, of each step where it is of latents.
        rounding: how far this library's run and the original's are from the original's in double
            precision, where single precision leaves less than the bound asks for.
        error: what went wrong, if something did.
    """

    model: DrawnModel
    trial: ParityTrial
    differences: Mapping[str, Sequence[float]]
    error: str = ""
    rounding: tuple[float, float] | None = None

    @property
    def largest(self) -> float:
        """Of all differences; infinite where there is none, or one is no number."""
        each = [value for values in self.differences.values() for value in values]
        known = each and all(map(math.isfinite, each))
        return max(each) if known else math.inf

    @property
    def verdict(self) -> str:
        """Whether both libraries give the same.

        >>> from experiments.parity.plan import drawn
        >>> model, = drawn(0, ["unet2d"], 1)
        >>> single, double = model.trials
        >>> found = {"output": [2e-5]}
        >>> ComparedTrial(model, single, found).verdict, ComparedTrial(model, double, found).verdict
        ('same', 'OVER')
        """
        if self.error:
            return FAILED
        if self.largest <= BOUNDS[self.trial.dtype]:
            return SAME
        if self.rounding is None:
            return OVER
        # The original's own may be no number, where single precision leaves it none.
        ours, original = self.rounding
        within = ours <= BOUNDS[self.trial.dtype] or ours <= FACTOR * original
        return ROUNDED if within else OVER


def passes(found: Sequence[ComparedTrial]) -> bool:
    """Whether there is something, and all of it is the same, or but for the original's rounding."""
    return bool(found) and all(each.verdict in (SAME, ROUNDED) for each in found)
