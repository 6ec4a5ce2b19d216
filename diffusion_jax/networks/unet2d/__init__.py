"""U-Nets of the diffusers library, and the blocks that they share with its autoencoder."""

from typing import TYPE_CHECKING, Any

from diffusion_jax.networks.base import networks
from diffusion_jax.registry import import_members

import_members(__name__, __path__, networks)

if TYPE_CHECKING:  # what import_members puts here

    def __getattr__(name: str) -> Any: ...
