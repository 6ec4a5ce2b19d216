"""Attention over cells of a picture and words of a caption, computed as the device does it best."""

from diffusion_jax.networks.attention.attend import attend as attend
from diffusion_jax.networks.attention.implementations import IMPLEMENTATIONS as IMPLEMENTATIONS
from diffusion_jax.networks.attention.layer import Attention as Attention
from diffusion_jax.networks.attention.layer import is_perturbed as is_perturbed
