"""Readers of the files in which weights are released, none of which runs anything in a file.

    weights = open_weights("model.safetensors")
    weights["conv_in.weight"].shape
    weights["conv_in.weight"].read("bfloat16", (slice(0, 4),))

`open_weights` looks at what is in a file, not at how it is called, and gives a mapping from names
to tensors of which only shapes and dtypes have been read.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.published.readers.base import PathContents, Reader, open_weights, readers
from diffusion_jax.published.readers.tensor import Tensor
from diffusion_jax.published.readers.weights import Weights
from diffusion_jax.registry import import_members

__all__ = ["PathContents", "Reader", "Tensor", "Weights", "open_weights", "readers"]

import_members(__name__, __path__, readers)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
