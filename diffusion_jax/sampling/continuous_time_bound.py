"""The variational bound in continuous time: an integral over the log-SNR, and its two ends.

    -log p(x_0) <= KL(q(x | lambda_min) | N(0, 1)) + 1/2 ∫ e dlambda - log p(x_0 | x at lambda_max),

in nats per dimension, where e(lambda) = mean_dims (eps_hat - eps)² is the error in the noise of
x = alpha x_0 + sigma eps, in expectation over eps. Schedules do not matter but for the two ends.

Source: Kingma et al. 2021 (VDM), eq. 11-18; Kingma & Gao 2023, eq. 6.
"""

import jax
from jaxtyping import Array, Float, Key, PyTree, UInt8

from diffusion_jax.process.bound_terms import prior_term
from diffusion_jax.process.denoiser import DenoiserLike
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import mean_square
from diffusion_jax.process.pixels import reconstruction


def noise_error(
    denoise: DenoiserLike,
    x0: Float[Array, "batch ..."],
    condition: PyTree,
    eps: Float[Array, "batch ..."],
    log_snr: Float[Array, "batch"],
) -> Float[Array, "batch"]:
    """mean_dims (eps_hat - eps)² at the variance-preserving level of a log-SNR.

    As x is the same, eps_hat - eps = alpha/sigma (x_0 - E[x_0 | x]).

    Args:
        denoise: (x, level, condition) → E[x_0 | x], at any scale of the process, as networks are.
        x0: data.
        condition: handed to `denoise`.
        eps: standard normal noise.
        log_snr: of each row.

    >>> import jax.numpy as jnp
    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> data = Gaussian(mean=jnp.zeros(1), std=jnp.zeros(1))  # nothing there but noise
    >>> x0, eps = jnp.zeros((1, 1)), jnp.ones((1, 1))
    >>> noise_error(data.denoise, x0, None, eps, jnp.zeros(1)).tolist()
    [0.0]
    """
    level = Level.from_log_snr(log_snr)
    error = x0 - denoise(level.mix(x0, eps), level, condition)
    return mean_square(error) / level.noise_to_signal**2


@jax.jit
def end_terms(
    pictures: UInt8[Array, "batch ..."],
    keys: Key[Array, "batch"],
    low: Float[Array, ""],
    high: Float[Array, ""],
) -> Float[Array, "batch"]:
    """What the bound has besides the integral, in nats per dimension; no network is asked.

    KL(q(x | low) | N(0, 1)) - log p(pictures | x at high), where p(v | x) of a byte v is
    proportional to N(x; alpha x_0(v), sigma²).

    Source: Kingma et al. 2021 (VDM), eq. 11-12.
    """
    x0 = pictures / 127.5 - 1
    prior = prior_term(x0, Level.from_log_snr(low))
    clean = Level.from_log_snr(high)
    # VDM's 256 bins fill [-1, 1], and ours have their outermost middles there: the same, scaled.
    scale = 255 / 256
    scaled = Level(clean.alpha, scale * clean.sigma)

    def decoder(row: tuple[Array, Array, Array]) -> Array:
        byte, x0, key = row
        x = scale * clean.mix(x0, jax.random.normal(key, x0.shape, x0.dtype))
        return reconstruction(byte[None].astype(int), x[None], scaled)[0]

    # One by one, as each pixel is held against 256 values.
    return prior + jax.lax.map(decoder, (pictures, x0, keys))


def draw_noise(
    keys: Key[Array, "batch"], x0: Float[Array, "batch ..."]
) -> Float[Array, "batch ..."]:
    """Standard normal noise of the shape of x0, row by row."""
    return jax.vmap(lambda key: jax.random.normal(key, x0.shape[1:], x0.dtype))(keys)
