"""How much each noise level counts in the loss.

Each file here is a member of the family, or a few that share their formulas.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.process.weightings.base import (
    Weighting,
    effective_weight,
    on_epsilon,
    on_velocity,
    on_x0,
    weightings,
)
from diffusion_jax.registry import import_members

__all__ = [
    "Weighting",
    "effective_weight",
    "on_epsilon",
    "on_velocity",
    "on_x0",
    "weightings",
]

import_members(__name__, __path__, weightings)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
