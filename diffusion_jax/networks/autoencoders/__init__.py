"""Autoencoders between pictures and latents; each file registers a member of a family."""

from typing import TYPE_CHECKING, Any

from diffusion_jax.networks.autoencoders.base import Autoencoder, autoencoders, check_sizes, draw
from diffusion_jax.registry import import_members

__all__ = ["Autoencoder", "autoencoders", "check_sizes", "draw"]

import_members(__name__, __path__, autoencoders)

if TYPE_CHECKING:  # what import_members puts here

    def __getattr__(name: str) -> Any: ...
