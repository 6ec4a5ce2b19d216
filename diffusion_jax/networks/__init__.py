"""Score networks and their conditioners (flax.linen); each file registers a member of a family."""

from typing import TYPE_CHECKING, Any

from diffusion_jax.networks.base import networks
from diffusion_jax.networks.dit import DiT
from diffusion_jax.networks.mlp import MLP
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.networks.unet import UNet
from diffusion_jax.registry import import_members

__all__ = ["MLP", "DiT", "ScoreNetwork", "UNet", "networks"]

import_members(__name__, __path__, networks)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
