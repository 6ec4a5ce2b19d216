"""Numbers and classes as vectors, as released transformers make them."""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

LONGEST_PERIOD = 1e4
FEATURES = 256  # sines and cosines of a number, in all released transformers


def wide(dtype: DTypeLike) -> np.dtype:
    """The dtype in which sums and sines are taken: at least float32."""
    return np.promote_types(np.float32, jnp.dtype(dtype))


def frequencies(
    width: int, dtype: DTypeLike, shift: float = 0.0, period: float = LONGEST_PERIOD
) -> Float[np.ndarray, " half"]:
    """w_k = period^(-k/(n - shift)), k = 0 … n-1, n = width / 2.

    In float32 the exponent is rounded as in the original, whose sines of large timesteps depend on
    that.

    >>> frequencies(4, "float32").round(6).tolist()
    [1.0, 0.009999999776482582]
    """
    kind = jnp.dtype(dtype).type
    half = width // 2
    exponent = np.arange(half, dtype=kind) * kind(-math.log(period)) / kind(half - shift)
    return np.exp(exponent.astype(np.float64)).astype(kind)


def timestep_features(
    numbers: Float[Array, "batch *several"],
    width: int = FEATURES,
    dtype: DTypeLike = "float32",
    angles: DTypeLike | None = None,
    shift: float = 0.0,
    period: float = LONGEST_PERIOD,
    scale: float = 1.0,
) -> Float[Array, "batch features"]:
    """[cos(w_1 t), …, cos(w_n t), sin(w_1 t), …, sin(w_n t)], see `frequencies`.

    Where there are several numbers for a sample, those of all stand side by side.

    Args:
        numbers: (batch,) or (batch, several) t, such as timesteps of 0 to 999.
        width: even number of features of a number.
        dtype: of the result, at least float32.
        angles: dtype in which w t is taken, where the original always takes it in that; None is
            the result's.
        shift: of the exponent's denominator.
        period: longest period over 2 pi.
        scale: of all angles.

    >>> timestep_features(jnp.zeros(1), 4).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    result = wide(dtype)
    kind = result if angles is None else jnp.dtype(angles)
    angle = numbers.astype(kind)[..., None] * frequencies(width, kind, shift, period)
    angle = (angle * kind.type(scale)).astype(result)
    both = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return both.reshape(len(numbers), -1)


class TimestepEmbedding(nn.Module):
    """Dense(silu(Dense(features))).

    Attributes:
        width: of the result.
        names: of the two layers.
        dtype: of the computation.
    """

    width: int
    names: tuple[str, str]
    dtype: str

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch features"]
    ) -> Float[Array, "batch {self.width}"]:
        """The vector for some features of numbers."""
        first, second = (
            nn.Dense(self.width, kernel_init=nn.initializers.normal(0.02), dtype=self.dtype, name=n)
            for n in self.names
        )
        result: Array = second(nn.silu(first(features)))
        return result


class ClassTable(nn.Module):
    """A vector for each class: those of a one-hot vector, or their sum for any vector.

    Attributes:
        width: of the vectors.
        dtype: of the computation.
    """

    width: int
    dtype: str

    @nn.compact
    def __call__(self, chosen: Float[Array, "batch classes"]) -> Float[Array, "batch {self.width}"]:
        """The vectors of the chosen classes."""
        shape = (chosen.shape[-1], self.width)
        table = self.param("embedding", nn.initializers.normal(0.02), shape)
        return chosen.astype(self.dtype) @ table.astype(self.dtype)


class TextAndTime(nn.Module):
    """The sum of vectors for a timestep, a pooled text and a guidance scale.

    Names as in diffusers: `timestep_embedder`, `text_embedder`, `guidance_embedder`.

    Attributes:
        width: of the result.
        dtype: of the computation.
    """

    width: int
    dtype: str

    @nn.compact
    def __call__(
        self,
        c_noise: Float[Array, "batch *numbers"],
        pooled: Float[Array, "batch features"] | None = None,
        guidance: Float[Array, " batch"] | None = None,
    ) -> Float[Array, "batch {self.width}"]:
        """The vector that steers all blocks."""

        def embedded(name: str, features: Float[Array, "batch features"]) -> Array:
            layers = "linear_1", "linear_2"
            return TimestepEmbedding(self.width, layers, self.dtype, name=name)(features)

        def of_number(numbers: Float[Array, "batch *several"]) -> Float[Array, "batch features"]:
            return timestep_features(numbers, dtype=self.dtype, angles="float32")

        condition = embedded("timestep_embedder", of_number(c_noise))
        if guidance is not None:
            condition += embedded("guidance_embedder", of_number(guidance))
        if pooled is not None:
            condition += embedded("text_embedder", pooled)
        return condition
