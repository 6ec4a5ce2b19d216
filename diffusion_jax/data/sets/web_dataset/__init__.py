"""Tar files of captioned pictures, as LAION, CC12M and GPIC come."""

from diffusion_jax.data.sets.web_dataset.dataset import web_dataset as web_dataset
