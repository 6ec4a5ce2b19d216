"""The built-in data set: coloured shapes drawn on the fly, with captions that can be checked."""

from diffusion_jax.data.sets.shapes import dataset

__all__ = ["dataset"]
