"""A measured number, and the reason why there is none."""

import dataclasses

from diffusion_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A measured number with its 95% interval over draws of samples.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
        count: number of samples.
    """

    value: float
    low: float
    high: float
    count: int


class NotMeasured(UserError):
    """These pictures do not allow a measure; the message is the reason, a part of a sentence."""
