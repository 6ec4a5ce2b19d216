"""Score networks and their conditioners (flax.linen); each file registers a member of a family."""

from diffusion_jax.networks.base import networks
from diffusion_jax.networks.dit import DiT
from diffusion_jax.networks.mlp import MLP
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.networks.unet import UNet
from diffusion_jax.registry import import_members

import_members(__name__, __path__)

__all__ = ["MLP", "DiT", "ScoreNetwork", "UNet", "networks"]
