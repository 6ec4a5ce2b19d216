"""What was measured of a trial, and whether it is within bounds."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from experiments.parity.plan import BOUNDS, DrawnModel, ParityTrial

SAME, OVER, FAILED = "same", "OVER", "FAILED"


@dataclasses.dataclass(frozen=True)
class ComparedTrial:
    """The differences of one trial.

    Attributes:
        model: that was run.
        trial: how.
        differences: name -> largest relative difference, of each step where it is of latents.
        error: what went wrong, if something did.
    """

    model: DrawnModel
    trial: ParityTrial
    differences: Mapping[str, Sequence[float]]
    error: str = ""

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
        return SAME if self.largest <= BOUNDS[self.trial.dtype] else OVER


def passes(found: Sequence[ComparedTrial]) -> bool:
    """Whether there is something, and all of it is the same."""
    return bool(found) and all(each.verdict == SAME for each in found)
