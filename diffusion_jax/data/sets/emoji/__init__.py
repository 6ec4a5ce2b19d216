"""Emoji in four styles of drawing, with their names in words."""

from diffusion_jax.data.sets.emoji.assemble import PACKAGES as PACKAGES
from diffusion_jax.data.sets.emoji.assemble import assemble as assemble
from diffusion_jax.data.sets.emoji.dataset import emoji as emoji
