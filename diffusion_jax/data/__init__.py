"""Pictures with captions: built-in, from TFDS, from a folder; tokens; batches.

Importing this package fills the registry `diffusion_jax.data.dataset.datasets`.
"""

from diffusion_jax.data import folder, real, shapes

__all__ = ["folder", "real", "shapes"]
