"""Parts of a network that keep the magnitude of activations and weights.

If the elements of the inputs have a root mean square of 1 (and, where there are two, are
uncorrelated), so have those of the result. Pictures are (batch, height, width, channels).
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.struct import Scalar

# The root mean square of silu(z) for z of N(0, 1).
SILU_MAGNITUDE = 0.596
# The name of the parameter of MPConv, by which `forced` finds it.
FILTERS = "kernel"


def normalize(
    x: Float[Array, "*shape"], axis: int | tuple[int, ...] | None = None, eps: float = 1e-4
) -> Float[Array, "*shape"]:
    """x / (eps + rms(x)), the root mean square over `axis`.

    Args:
        x: activations or weights.
        axis: the axes to take together; all but the first by default.
        eps: keeps zeros zero.

    Source: Karras et al. 2024 (EDM2), section 2 and appendix B.

    >>> normalize(jnp.array([[3.0, -3.0]]), eps=0.0)
    Array([[ 1., -1.]], dtype=float32)
    """
    axis = tuple(range(1, x.ndim)) if axis is None else axis
    square = jnp.mean(x**2, axis=axis, keepdims=True)
    # The square root has no derivative at 0, where its gradient would be NaN.
    zero = square == 0
    rms = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))
    return x / (eps + rms)


def mp_silu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """silu(x) / 0.596.

    Source: Karras et al. 2024 (EDM2), section 2 and appendix B.

    >>> mp_silu(jnp.zeros(1))
    Array([0.], dtype=float32)
    """
    return jax.nn.silu(x) / SILU_MAGNITUDE


def mp_sum(
    a: Float[Array, "*shape"], b: Float[Array, "*shape"], t: float = 0.5
) -> Float[Array, "*shape"]:
    """((1 - t) a + t b) / sqrt((1 - t)² + t²).

    Args:
        a: the main branch.
        b: the other branch.
        t: share of `b`, from 0 to 1.

    Source: Karras et al. 2024 (EDM2), section 2 and appendix B.

    >>> round(float(mp_sum(jnp.float32(1.0), jnp.float32(1.0))), 4)
    1.4142
    """
    return ((1 - t) * a + t * b) / math.hypot(1 - t, t)


def mp_cat(
    a: Float[Array, "... first"], b: Float[Array, "... second"], t: float = 0.5
) -> Float[Array, "... both"]:
    """The channels of `a` and `b` in one, where all of `b` weigh a share t of the magnitude.

    With n channels: sqrt((n_a + n_b)/((1 - t)² + t²)) [(1 - t) a/sqrt(n_a), t b/sqrt(n_b)].

    Args:
        a: the main branch.
        b: the skip connection.
        t: share of `b`, from 0 to 1.

    Source: Karras et al. 2024 (EDM2), section 2 and appendix B.

    >>> mp_cat(jnp.ones(1), jnp.ones(1))
    Array([1., 1.], dtype=float32)
    """
    n_a, n_b = a.shape[-1], b.shape[-1]
    scale = math.sqrt(n_a + n_b) / math.hypot(1 - t, t)
    weighted = [scale * (1 - t) / math.sqrt(n_a) * a, scale * t / math.sqrt(n_b) * b]
    return jnp.concatenate(weighted, axis=-1)


def mp_fourier(
    c_noise: Float[Array, " batch"],
    frequencies: Float[Array, "features"],
    phases: Float[Array, "features"],
) -> Float[Array, "batch features"]:
    """sqrt(2) cos(w c_noise + phase), the noise level as features.

    Args:
        c_noise: a monotone function of the noise level.
        frequencies: w, in radians per unit of c_noise; fixed, not trained.
        phases: in radians.

    Source: Karras et al. 2024 (EDM2), section 2 and appendix B.

    >>> mp_fourier(jnp.zeros(1), jnp.ones(1), jnp.full(1, jnp.pi / 4)).round(4)
    Array([[1.]], dtype=float32)
    """
    return math.sqrt(2) * jnp.cos(c_noise[:, None] * frequencies + phases)


def mp_conv(
    x: Float[Array, "... inputs"], filters: Float[Array, "... inputs outputs"], gain: Scalar = 1.0
) -> Float[Array, "... outputs"]:
    """gain · x * w / sqrt(fan_in), with each filter w normalised to a root mean square of 1.

    Args:
        x: vectors, or pictures where the filters have a height and a width.
        filters: (inputs, outputs), or (height, width, inputs, outputs) with odd sides.
        gain: scales the result; a learned scalar where a layer should be able to grow.

    Source: Karras et al. 2024 (EDM2), section 2 and appendix B.

    >>> mp_conv(jnp.ones((1, 4)), jnp.ones((4, 2))).round(2)
    Array([[2., 2.]], dtype=float32)
    """
    fan_in = math.prod(filters.shape[:-1])
    kernel = normalized(filters) * (gain / math.sqrt(fan_in))
    kernel = kernel.astype(x.dtype)
    if filters.ndim == 2:
        return x @ kernel
    margins = [(side // 2, side // 2) for side in filters.shape[:2]]
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), margins, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def normalized(filters: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Each filter (last axis) with a root mean square of 1.

    >>> normalized(jnp.full((4, 1), 3.0)).round(3)[0]
    Array([1.], dtype=float32)
    """
    return normalize(filters, tuple(range(filters.ndim - 1)))


def forced(params: PyTree[Array]) -> PyTree[Array]:
    """Parameters of MPConv layers alone, their filters normalised; to be used after each update.

    The gradient is perpendicular to a normalised filter, so without this the filters would grow
    and their effective learning rate fall.

    Source: Karras et al. 2024 (EDM2), section 2.3 (forced weight normalisation).

    >>> forced({"layer": {"kernel": jnp.full((4, 1), 3.0)}})["layer"]["kernel"].round(3)[0]
    Array([1.], dtype=float32)
    """

    def treated(path: jax.tree_util.KeyPath, leaf: Array) -> Array:
        return normalized(leaf) if getattr(path[-1], "key", None) == FILTERS else leaf

    return jax.tree_util.tree_map_with_path(treated, params)


class MPConv(nn.Module):
    """A convolution or a dense layer that keeps the magnitude; see `mp_conv` and `forced`.

    Attributes:
        features: output channels.
        sides: of the filter, e.g. (3, 3), odd; () for a dense layer.

    Source: Karras et al. 2024 (EDM2), section 2.3.

    >>> layer = MPConv(features=8, sides=(3, 3))
    >>> x = jnp.ones((1, 4, 4, 2))
    >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
    (1, 4, 4, 8)
    """

    features: int
    sides: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: Float[Array, "... inputs"], gain: Scalar = 1.0) -> Float[Array, "..."]:
        if len(self.sides) not in (0, 2) or any(side % 2 == 0 for side in self.sides):
            raise UserError(f"MPConv needs a filter of two odd sides or none, not {self.sides}.")
        shape = (*self.sides, x.shape[-1], self.features)
        filters = self.param(FILTERS, nn.initializers.normal(1.0), shape)
        return mp_conv(x, jnp.asarray(filters), gain)


class MPFourier(nn.Module):
    """`mp_fourier` with frequencies and phases that are drawn at the start and not trained.

    Frequencies are of N(0, (2 pi)²), phases uniform in [0, 2 pi).

    Attributes:
        features: how many.

    Source: Karras et al. 2024 (EDM2), section 2 and appendix B.

    >>> layer, c_noise = MPFourier(features=4), jnp.zeros(3)
    >>> layer.apply(layer.init(jax.random.key(0), c_noise), c_noise).shape
    (3, 4)
    """

    features: int

    @nn.compact
    def __call__(self, c_noise: Float[Array, " batch"]) -> Float[Array, "batch features"]:
        freqs = self.param("freqs", nn.initializers.normal(2 * math.pi), (self.features,))
        phases = self.param("phases", nn.initializers.uniform(2 * math.pi), (self.features,))
        fixed = (jax.lax.stop_gradient(jnp.asarray(each)) for each in (freqs, phases))
        return mp_fourier(c_noise, *fixed)
