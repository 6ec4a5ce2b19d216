"""The quantile function of the Beta distributions, which SciPy has and JAX does not."""

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, betaln
from jaxtyping import Array, Float

from diffusion_jax.struct import Scalar


@jax.jit
def beta_quantile(u: Float[Array, "*shape"], a: Scalar, b: Scalar) -> Float[Array, "*shape"]:
    """The x with betainc(a, b, x) = u, by halving; differentiable in u.

    Args:
        u: from 0 to 1; both ends are exact.
        a: positive, how little there is near 0.
        b: positive, how little there is near 1.

    >>> round(float(beta_quantile(jnp.float32(0.25), 1.0, 2.0)), 4)
    0.134
    """
    a, b = jnp.asarray(a, u.dtype), jnp.asarray(b, u.dtype)
    fixed, precision = jax.lax.stop_gradient(u), jnp.finfo(u.dtype)

    def halve(_: Array | int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        below = betainc(a, b, middle) < fixed
        return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

    # Quantiles close to 0 keep their digits, as halving goes on beyond the last of those of 1.
    ends = jax.lax.fori_loop(0, 2 * precision.nmant, halve, (jnp.zeros_like(u), jnp.ones_like(u)))
    # What rounds to an end has no density to divide by.
    x = jnp.clip(jax.lax.stop_gradient(sum(ends) / 2), precision.tiny, 1 - precision.epsneg)
    density = jnp.exp((a - 1) * jnp.log(x) + (b - 1) * jnp.log1p(-x) - betaln(a, b))
    inside = x + (u - fixed) / density  # 1/density is the derivative; the second term is 0
    return jnp.where(u <= 0, 0, jnp.where(u >= 1, 1, inside))
