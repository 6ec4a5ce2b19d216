"""A folder of pictures, with captions in any of the usual ways."""

from diffusion_jax.data.sets.folder.dataset import folder as folder
