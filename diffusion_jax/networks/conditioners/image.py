"""A picture as the condition: what a low resolution, a sketch or a mask shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.conditioners.base import (
    Condition,
    Conditioner,
    Context,
    Corpus,
    Example,
    Rows,
    conditioners,
    state_of,
)
from diffusion_jax.networks.conditioners.features import refuse_words
from diffusion_jax.networks.initializers import Dense


@conditioners.register("image")
class ImageChannels(Conditioner):
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

    key: str = "condition_image"
    width: int = 64
    dtype: str = "float32"
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("image", width=self.width)

    @property
    def mirrors(self) -> bool:
        return False

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key,)

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
    def null(self, condition: Condition) -> Condition:
        """Zeros."""
        return condition | {self.key: jnp.zeros_like(condition[self.key])}

    @nn.nowrap
    def fit(self, data: Corpus) -> "ImageChannels":
        """Learns the shape of the picture from the first example."""
        return self.restored({self.key: list(self._picture(data.train[0]).shape)})

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """The shape of the picture."""
        return {self.key: list(self.shape)}

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "ImageChannels":
        """With the shape that was saved."""
        return self.clone(shape=tuple(map(int, state_of(states, self.key))))

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """The pictures of examples in [-1, 1]."""
        return {self.key: np.stack([self._picture(example) for example in examples])}

    @nn.nowrap
    def _picture(self, example: Example) -> np.ndarray:
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

    @nn.nowrap
    def ask(self, prompts: Sequence[str], class_name: str = "") -> Rows:
        """Zeros: whoever has pictures hands over a condition of them."""
        refuse_words("image", self.key, prompts)
        return {self.key: np.zeros((len(prompts), *self.shape), np.float32)}
