"""A folder of pictures with captions in a metadata.jsonl."""

from diffusion_jax.data.sets.folder import dataset

__all__ = ["dataset"]
