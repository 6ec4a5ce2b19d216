"""Losses: how a network's output at noisy data becomes the number that training minimises.

Each file here is a member of the family, or a few that share their formulas.
"""

from diffusion_jax.process.losses.base import Loss, losses
from diffusion_jax.process.losses.distances import Squared
from diffusion_jax.registry import import_members

__all__ = ["Loss", "Squared", "losses"]

import_members(__name__, __path__)
