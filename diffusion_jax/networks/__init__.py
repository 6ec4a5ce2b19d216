"""Score networks and text encoders (flax.linen); each file registers one member of a family."""

from diffusion_jax.networks.dit import DiT
from diffusion_jax.networks.mlp import MLP
from diffusion_jax.networks.registries import networks, text_encoders
from diffusion_jax.networks.text import LabelEncoder, TextContext, TextEncoder
from diffusion_jax.networks.unet import UNet

__all__ = [
    "MLP",
    "DiT",
    "LabelEncoder",
    "TextContext",
    "TextEncoder",
    "UNet",
    "networks",
    "text_encoders",
]
