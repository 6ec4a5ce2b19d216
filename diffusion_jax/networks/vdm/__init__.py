"""The U-Net of variational diffusion models (Kingma et al. 2021), with its repository's names."""

from diffusion_jax.networks.base import networks
from diffusion_jax.registry import import_members

import_members(__name__, __path__, networks)
