"""Numbers as vectors: the noise level and the place in a picture, as sines and cosines."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.initializers import Dense

LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 0.5, 16.0


def noise_features(c_noise: Float[Array, " batch"], width: int) -> Float[Array, "batch {width}"]:
    """Sines and cosines of c_noise.

    With frequencies w_k in geometric progression from 0.5 to 16 radians per unit of c_noise:
    [sin(w_1 l), …, sin(w_n l), cos(w_1 l), …, cos(w_n l)], n = width / 2. It is bounded,
    about [-2.5, 2.5]: the lowest frequency tells its two ends apart, the highest resolves a
    hundredth of its range.

    Args:
        c_noise: (batch,) float, a monotone bounded function of log-SNR.
        width: even number of features.

    >>> noise_features(jnp.zeros(1), 4)
    Array([[0., 0., 1., 1.]], dtype=float32)
    """
    frequencies = jnp.geomspace(LOWEST_FREQUENCY, HIGHEST_FREQUENCY, width // 2)
    return _sines(c_noise[:, None] * frequencies)


def sequence_features(length: int, features: int) -> Float[Array, "length features"]:
    """Sines and cosines of the place in a sequence (Vaswani et al. 2017, sec. 3.5).

    Args:
        length: places.
        features: even number of features.
    """
    frequencies = 1e4 ** -jnp.linspace(0, 1, features // 2, endpoint=False)
    return _sines(jnp.arange(length)[:, None] * frequencies)


def grid_features(
    height: int, width: int, features: int
) -> Float[Array, "{height} {width} {features}"]:
    """Sines and cosines of the row, then of the column, half of the features each.

    Source: He et al. 2021, Masked Autoencoders, appendix A.1.

    Args:
        height, width: cells of the grid.
        features: a multiple of 4.
    """
    rows = sequence_features(height, features // 2)[:, None]
    columns = sequence_features(width, features // 2)[None]
    half = (height, width, features // 2)
    both = [jnp.broadcast_to(rows, half), jnp.broadcast_to(columns, half)]
    return jnp.concatenate(both, axis=-1)


def side_by_side(
    features: Callable[[Float[Array, " rows"]], Float[Array, "rows width"]],
    c_noise: Float[Array, "batch *numbers"],
) -> Float[Array, "batch all_widths"]:
    """The features of each number of c_noise, (batch,) or (batch, numbers), side by side.

    >>> side_by_side(lambda c: c[:, None] * jnp.ones(2), jnp.array([[1.0, 5.0]])).tolist()
    [[1.0, 1.0, 5.0, 5.0]]
    """
    return features(c_noise.reshape(-1)).reshape(c_noise.shape[0], -1)


def _sines(angles: Float[Array, "... n"]) -> Float[Array, "... two_n"]:
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


class NoiseEmbedding(nn.Module):
    """The vector that steers every block: noise level, plus the pooled condition if any.

    silu(Dense(silu(Dense(noise_features(c_noise)))) + Dense(pooled)). Where c_noise has several
    numbers, the features of all of them stand side by side.

    Attributes:
        width: features of the result.
        dtype: dtype of the computation.
    """

    width: int
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        c_noise: Float[Array, "batch *numbers"],
        pooled: Float[Array, "batch text"] | None = None,
    ) -> Float[Array, "batch width"]:
        features = side_by_side(lambda c: noise_features(c, self.width), c_noise)
        hidden = Dense(self.width, dtype=self.dtype)(features)
        embedding = Dense(self.width, dtype=self.dtype)(nn.silu(hidden))
        if pooled is not None:
            embedding += Dense(self.width, dtype=self.dtype, name="pooled")(pooled)
        return nn.silu(embedding)
