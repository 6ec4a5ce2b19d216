"""Solvers: how to step from one noise level to the next, less noisy one.

Each file here is a member of the family, or a few that share their formulas.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.registry import import_members
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Multistep,
    Noise,
    OneStep,
    Solver,
    State,
    predicted_noise,
    solvers,
)

__all__ = [
    "Denoise",
    "Multistep",
    "Noise",
    "OneStep",
    "Solver",
    "State",
    "predicted_noise",
    "solvers",
]

import_members(__name__, __path__, solvers)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
