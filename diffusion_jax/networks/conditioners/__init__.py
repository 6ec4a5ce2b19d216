"""Conditioners: what networks are asked for, from examples and prompts to tokens and vectors.

A member is a file here; see `base.Conditioner` for what it must know.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.networks.conditioners.base import Conditioner, Context, conditioners
from diffusion_jax.networks.conditioners.class_label import ClassLabel
from diffusion_jax.networks.conditioners.features import Features
from diffusion_jax.networks.conditioners.image import ImageChannels
from diffusion_jax.networks.conditioners.several import Several
from diffusion_jax.networks.conditioners.transformer import TextTransformer
from diffusion_jax.registry import import_members

__all__ = [
    "ClassLabel",
    "Conditioner",
    "Context",
    "Features",
    "ImageChannels",
    "Several",
    "TextTransformer",
    "conditioners",
]

import_members(__name__, __path__, conditioners)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
