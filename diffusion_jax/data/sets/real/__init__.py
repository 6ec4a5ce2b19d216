"""Published sets of real pictures, prepared by TFDS without TensorFlow."""

from diffusion_jax.data.sets.real import dataset

__all__ = ["dataset"]
