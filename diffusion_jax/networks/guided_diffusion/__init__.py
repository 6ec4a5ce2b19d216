"""OpenAI's guided diffusion (Dhariwal & Nichol 2021): U-Nets and classifier, with its names."""

from diffusion_jax.networks.base import networks
from diffusion_jax.registry import import_members

import_members(__name__, __path__, networks)
