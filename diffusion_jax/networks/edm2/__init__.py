"""EDM2's magnitude-preserving U-Net (Karras et al. 2024), with its repository's names."""

from diffusion_jax.networks.base import networks
from diffusion_jax.registry import import_members

import_members(__name__, __path__, networks)
