"""A picture as the condition: what a low resolution, a sketch or a mask shows."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.arrays import ArrayConditioner
from diffusion_jax.networks.conditioners.base import Condition, Context, Example, conditioners
from diffusion_jax.networks.initializers import Dense


@conditioners.register("image")
class ImageChannels(ArrayConditioner):
    """A picture set beside the channels of x, and its mean as the pooled vector.

    It is resized to the size of x (bicubic). A condition that says nothing is zeros, mid-grey.

    Source: Saharia et al. 2021 (SR3), section 2.2; zeros for none as in Brooks et al. 2023
    (InstructPix2Pix), section 3.2.

    Attributes:
        key: of the picture, in examples and in the condition.
        width: features of the pooled vector.
        dtype: dtype of the computation.
        shape: (height, width, channels) of the picture; learnt from the data set.

    >>> import jax
    >>> condition, x = {"low": jnp.ones((2, 4, 4, 3))}, jnp.zeros((2, 8, 8, 3))
    >>> conditioner = ImageChannels(key="low")
    >>> context, _ = jax.eval_shape(conditioner.init_with_output, jax.random.key(0), condition, x)
    >>> context.channels.shape
    (2, 8, 8, 3)
    """

    registered = "image"

    key: str = "condition_image"

    @nn.compact
    def __call__(
        self, condition: Condition, x: Float[Array, "batch height width channels"]
    ) -> Context:
        """Encodes condition[key], (batch, any height, any width, channels) float in [-1, 1]."""
        given = jnp.asarray(condition[self.key])
        size = (*x.shape[:3], given.shape[-1])
        channels = given if given.shape == size else jax.image.resize(given, size, "cubic")
        mean = given.mean(axis=(1, 2))
        pooled = Dense(self.width, dtype=self.dtype, name="project")(mean)
        return Context(pooled[:, None], jnp.ones((len(pooled), 1), bool), pooled, channels)

    @nn.nowrap
    def array(self, example: Example) -> np.ndarray:
        """The picture, (height, width, channels) float32 in [-1, 1].

        Raises:
            UserError: the example has none, or one of another shape or dtype.
        """
        found = np.asarray(example.get(self.key, ()))
        if found.ndim != 3 or (self.shape and found.shape != self.shape):
            shape = self.shape or "(height, width, channels)"
            raise UserError(
                f"conditioner 'image' reads {self.key!r}, a picture of shape {shape}, and an "
                f"example has one of shape {found.shape}."
            )
        if found.dtype == np.uint8:
            return found.astype(np.float32) / np.float32(127.5) - np.float32(1)
        if not np.issubdtype(found.dtype, np.floating):
            raise UserError(
                f"conditioner 'image': {self.key!r} must be uint8, or floats in [-1, 1], not "
                f"{found.dtype}."
            )
        return found.astype(np.float32)
