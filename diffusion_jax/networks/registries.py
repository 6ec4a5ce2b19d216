"""The two families of this floor."""

import flax.linen as nn

from diffusion_jax.registry import Registry

networks: Registry[nn.Module] = Registry("network")
text_encoders: Registry[nn.Module] = Registry("text encoder")
