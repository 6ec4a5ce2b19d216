"""Features that another network made of captions or pictures before training began."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.arrays import ArrayConditioner
from diffusion_jax.networks.conditioners.base import Condition, Context, Example, Rows, conditioners
from diffusion_jax.networks.initializers import Dense, unit_normal


@conditioners.register("features")
class Features(ArrayConditioner):
    """Arrays of the data set as tokens, such as the outputs of CLIP or T5.

    Each example has an array under `key`: (length, features), a vector for each token, or
    (features,), one for the whole. Vectors of zeros are padding, and say nothing. All are mapped
    linearly to `width`; a learned start token, which is never masked, precedes them, and is all
    that is left of a condition that says nothing. The pooled vector is the mean of what is not
    padding.

    Attributes:
        key: of the array, in examples and in the condition.
        width: features of a token for the network.
        dtype: dtype of the computation.
        shape: of the array; learnt from the data set.

    >>> import jax
    >>> condition = {"clip": jnp.ones((2, 5, 16))}
    >>> conditioner = Features(key="clip", width=8)
    >>> context, _ = jax.eval_shape(conditioner.init_with_output, jax.random.key(0), condition)
    >>> context.tokens.shape, context.pooled.shape
    ((2, 6, 8), (2, 8))
    """

    registered = "features"

    key: str = "features"

    @nn.compact
    def __call__(self, condition: Condition, x: Float[Array, "batch ..."] | None = None) -> Context:
        """Encodes condition[key], (batch, length, features) or (batch, features) float."""
        given = jnp.asarray(condition[self.key])
        given = given if given.ndim == 3 else given[:, None]
        said = (given != 0).any(axis=-1)
        tokens = Dense(self.width, dtype=self.dtype, name="project")(given)
        start = self.param("start", unit_normal, (self.width,))
        first = jnp.broadcast_to(start.astype(tokens.dtype), (len(given), 1, self.width))
        tokens = jnp.concatenate([first, tokens], axis=1)
        mask = jnp.pad(said, ((0, 0), (1, 0)), constant_values=True)
        weight = mask[:, :, None].astype(tokens.dtype)
        return Context(tokens, mask, (weight * tokens).sum(axis=1) / weight.sum(axis=1))

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """The arrays of examples.

        Raises:
            UserError: an example has none, or one of another shape.
        """
        found = [self.array(example) for example in examples]
        for each in found:
            if each.shape != self.shape:
                raise UserError(
                    f"conditioner 'features': an example's {self.key!r} has shape {each.shape}, "
                    f"not {self.shape}: pad with zeros."
                )
        return {self.key: np.stack(found)}

    @nn.nowrap
    def array(self, example: Example) -> np.ndarray:
        """(length, features) or (features,), float32.

        Raises:
            UserError: the example has none.
        """
        found = np.asarray(example.get(self.key, ()), np.float32)
        if found.ndim not in (1, 2) or not found.size:
            raise UserError(
                f"conditioner 'features' reads {self.key!r}, an array (length, features) or "
                f"(features,), which examples of this data set do not have."
            )
        return found
