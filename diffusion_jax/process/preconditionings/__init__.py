"""Preconditionings: what a network sees of x and of the noise level.

Each file here is a member of the family, or a few that share their formulas.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.process.preconditionings.base import Preconditioning, preconditionings
from diffusion_jax.process.preconditionings.edm import EDMPreconditioning, c_noise, input_scale
from diffusion_jax.registry import import_members

__all__ = [
    "EDMPreconditioning",
    "Preconditioning",
    "c_noise",
    "input_scale",
    "preconditionings",
]

import_members(__name__, __path__, preconditionings)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
