"""Numbers and classes as vectors that steer the residual blocks."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.layers import Linear, activation

LONGEST_PERIOD = 10_000.0


def sines(
    numbers: Float[Array, " n"], width: int, flip_sin_to_cos: bool, freq_shift: float, dtype: str
) -> Float[Array, "n {width}"]:
    """Sines and cosines of numbers at frequencies from 1 to about 1/10000 radians per unit.

    With w_k = 10000^(-k/(n - freq_shift)), k = 0 … n - 1, n = width/2: sin(w t), then cos(w t); a
    last feature is 0 where the width is odd.

    Args:
        numbers: such as labels of noise levels.
        width: features.
        flip_sin_to_cos: cosines come first.
        freq_shift: 1 lets the last frequency be 1/10000 exactly.
        dtype: of the result, which is computed at least in float32.

    Source: Ho et al. 2020 (DDPM), appendix B, after Vaswani et al. 2017, section 3.5.

    >>> sines(jnp.zeros(1), 4, True, 0.0, "float32").tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    half, wide = width // 2, jnp.promote_types(jnp.float32, dtype)
    exponents = jnp.arange(half, dtype=wide) / (half - freq_shift)
    angles = numbers.astype(wide)[:, None] * jnp.exp(-math.log(LONGEST_PERIOD) * exponents)
    both = [jnp.sin(angles), jnp.cos(angles)]
    features = jnp.concatenate(both[::-1] if flip_sin_to_cos else both, axis=-1)
    return jnp.pad(features, ((0, 0), (0, width % 2))).astype(dtype)


class FourierFeatures(nn.Module):
    """Sines and cosines of numbers at random frequencies, 2 pi w with w from N(0, scale²).

    The frequencies stay as they were drawn.

    Source: Tancik et al. 2020; Song et al. 2021 (score SDE), appendix H.2.

    Attributes:
        features: twice the number of frequencies.
        scale: of frequencies.
        flip_sin_to_cos: cosines come first.
        dtype: dtype of the result, which is computed at least in float32.
    """

    features: int
    scale: float
    flip_sin_to_cos: bool
    dtype: str = "float32"

    @nn.compact
    def __call__(self, numbers: Float[Array, " n"]) -> Float[Array, "n {self.features}"]:
        wide = jnp.promote_types(jnp.float32, self.dtype)
        init = nn.initializers.normal(self.scale)
        weight = self.param("weight", init, (self.features // 2,))
        angles = (
            numbers.astype(wide)[:, None]
            * jax.lax.stop_gradient(jnp.asarray(weight, wide))
            * (2 * jnp.pi)
        )
        both = [jnp.sin(angles), jnp.cos(angles)]
        ordered = both[::-1] if self.flip_sin_to_cos else both
        return jnp.concatenate(ordered, axis=-1).astype(self.dtype)


class LearnedFeatures(nn.Module):
    """A vector for each of some labels 0 … labels - 1.

    Attributes:
        labels: how many there are.
        features: of a vector.
        dtype: dtype of the result.
    """

    labels: int
    features: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, numbers: Float[Array, " n"]) -> Float[Array, "n {self.features}"]:
        init = nn.initializers.normal(1.0)
        table = self.param("embedding", init, (self.labels, self.features))
        return jnp.asarray(table, self.dtype)[numbers.astype(jnp.int32)]


class VectorEmbedding(nn.Module):
    """act_out(W_2 act(W_1 (x + V c) + b_1) + b_2), where V c is left out unless c is given.

    Attributes:
        features: of the result.
        act: activation between.
        act_out: activation after; "" for none.
        dtype: dtype of the computation.
    """

    features: int
    act: str = "silu"
    act_out: str = ""
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch inputs"],
        condition: Float[Array, "batch features"] | None = None,
    ) -> Float[Array, "batch {self.features}"]:
        if condition is not None:
            x += Linear(x.shape[-1], use_bias=False, dtype=self.dtype, name="cond_proj")(condition)
        hidden = Linear(self.features, dtype=self.dtype, name="linear_1")(x)
        result = Linear(self.features, dtype=self.dtype, name="linear_2")(
            activation(self.act)(hidden)
        )
        return activation(self.act_out)(result) if self.act_out else result
