"""The family of score networks."""

import flax.linen as nn

from diffusion_jax.registry import Registry

networks: Registry[nn.Module] = Registry("network")
