"""Normal distributions in the variational bound: divergence, and the likelihood of pixels."""

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

SMALLEST = 1e-12  # the least probability of a pixel
# In standard deviations, where the tails of both distribution functions are 0: the outermost bins
# end here, as the derivative of the approximate one is not a number at infinity.
FAR = 1e4


def normal_kl(
    mean: Float[Array, "..."],
    log_variance: Float[Array, "..."],
    other_mean: Float[Array, "..."] | float,
    other_log_variance: Float[Array, "..."] | float,
) -> Float[Array, "..."]:
    """KL(N(mean, variance) | N(other_mean, other_variance)) in nats, element by element.

    1/2 (log V - log v + v/V - 1 + (m - M)²/V).

    >>> float(normal_kl(jnp.float32(1.0), jnp.float32(0.0), 0.0, 0.0))
    0.5
    """
    excess = log_variance - other_log_variance
    # v/V - 1 - log(v/V) without subtracting nearly equal numbers.
    spread = jnp.expm1(excess) - excess
    return (spread + (mean - other_mean) ** 2 * jnp.exp(-other_log_variance)) / 2


def tanh_cdf(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """A stand-in for the normal distribution function, within 3e-4 of it.

    (1 + tanh(sqrt(2/pi) (z + 0.044715 z³)))/2. Published bits/dim of DDPMs were computed with it.

    Source: Page 1977 (approximations to the cumulative normal function).

    >>> float(tanh_cdf(jnp.float32(0.0)))
    0.5
    """
    return jax.nn.sigmoid(2 * jnp.sqrt(2 / jnp.pi) * (z + 0.044715 * z**3))


def pixel_log_likelihood(
    x0: Float[Array, "..."],
    mean: Float[Array, "..."],
    log_variance: Float[Array, "..."],
    values: int = 256,
    approximate: bool = False,
) -> Float[Array, "..."]:
    """log of the mass that N(mean, variance) has in the bin of each pixel, in nats.

    Bins lie around -1, -1 + 2/(values - 1), …, 1; the outermost reach to infinity.

    Args:
        x0: pixels, on those values.
        mean: of the decoder.
        log_variance: of the decoder.
        values: number of values of a pixel.
        approximate: use `tanh_cdf`, as published figures do.

    Source: Ho et al. 2020 (DDPM), eq. 13.

    >>> middle = pixel_log_likelihood(jnp.zeros(1), jnp.zeros(1), jnp.full(1, -20.0))
    >>> float(jnp.exp(middle)[0])
    1.0
    """
    cdf = tanh_cdf if approximate else ndtr
    half, scale = 1 / (values - 1), jnp.exp(-log_variance / 2)
    low = jnp.where(x0 < -1 + half, -FAR, (x0 - mean - half) * scale)
    high = jnp.where(x0 > 1 - half, FAR, (x0 - mean + half) * scale)
    # By symmetry in the lower tail, where the distribution function keeps its digits.
    flip = low + high > 0
    low, high = jnp.where(flip, -high, low), jnp.where(flip, -low, high)
    return jnp.log(jnp.maximum(cdf(high) - cdf(low), SMALLEST))
