"""Losses: how a network's output at noisy data becomes the number that training minimises.

Each file here is a member of the family, or a few that share their formulas.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.process.losses.base import Loss, Output, losses
from diffusion_jax.process.losses.distances import Squared
from diffusion_jax.registry import import_members

__all__ = ["Loss", "Output", "Squared", "losses"]

import_members(__name__, __path__, losses)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
