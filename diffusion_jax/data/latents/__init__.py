"""Pictures as the latents that an autoencoder makes of them, encoded once and kept on disk."""

from diffusion_jax.data.latents.codec import LatentCodec as LatentCodec
from diffusion_jax.data.latents.shards import prepare as prepare
from diffusion_jax.data.latents.source import LatentSource as LatentSource
