"""The U-Nets of EDM (Karras et al. 2022), with the parameters' names of its repository."""

from diffusion_jax.networks.base import networks
from diffusion_jax.registry import import_members

import_members(__name__, __path__, networks)
