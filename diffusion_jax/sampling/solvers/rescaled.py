"""Any process as the variance-exploding one that it rescales.

With z = x/alpha and s = sigma/alpha every process is z = x_0 + s eps, in which the probability
flow is dz/ds = (z - D)/s. Solvers written in z and s work with every schedule, from any level with
some signal, and give the same for all that share their s.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.sampling.solvers.base import Denoise
from diffusion_jax.struct import Scalar


def denoised_at(
    denoise: Denoise, z: Float[Array, "batch ..."], s: Float[Array, ""]
) -> Float[Array, "batch ..."]:
    """E[x_0] given z = x_0 + s eps, for an s between nodes.

    The network is asked on the variance-preserving scale, whatever the schedule: only s counts.

    >>> seen = denoised_at(lambda x, level: x / level.alpha, jnp.ones((2, 3)), jnp.array(0.75))
    >>> bool(jnp.allclose(seen, 1.0))
    True
    """
    level = Level.from_log_snr(-2 * jnp.log(s))
    return denoise(level.alpha * z, level)


def towards(
    x0: Float[Array, "batch ..."], z: Float[Array, "batch ..."], part: Float[Array, ""]
) -> Float[Array, "batch ..."]:
    """x_0 + part (z - x_0): the flow of a constant estimate, where `part` is the ratio of the s."""
    return x0 + part * (z - x0)


def midpoint(
    z: Float[Array, "batch ..."],
    x0: Float[Array, "batch ..."],
    s: Float[Array, ""],
    s_next: Float[Array, ""],
    denoise: Denoise,
) -> tuple[Float[Array, "batch ..."], Float[Array, "batch ..."]]:
    """z + (s_next - s) (z_m - D_m)/s_m at s_m = sqrt(s s_next), and D_m.

    z_m is Euler's estimate, z_m = D + s_m/s (z - D). So the step is also Euler's, plus
    (s_next - s)/s_m (D - D_m), in which no large z is taken from another in float32.

    Source: Lu et al. 2022 (DPM-Solver), algorithm 1, for the middle; k-diffusion (Crowson 2022),
    `dpm_2`, for the step.
    """
    s_middle = jnp.sqrt(s * s_next)
    x0_middle = denoised_at(denoise, towards(x0, z, s_middle / s), s_middle)
    step = towards(x0, z, s_next / s) + (s_next - s) / s_middle * (x0 - x0_middle)
    return step, x0_middle


def down_and_up(
    s: Float[Array, "..."], s_next: Float[Array, "..."], eta: Scalar
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """How far to denoise below s_next, and the standard deviation of the noise that leads back.

    up = min(1, eta sqrt(1 - (s_next/s)²)) s_next, down² + up² = s_next². At eta = 1 this is DDPM's
    ancestral sampling, down = s_next²/s; at eta = 0 there is no noise.

    Source: Song et al. 2020 (DDIM), eq. 16, in z and s; Crowson 2022 (k-diffusion), for the bound,
    which matters beyond eta = 1.

    >>> [round(float(v), 6) for v in down_and_up(jnp.array(2.0), jnp.array(1.0), 1.0)]
    [0.5, 0.866025]
    """
    ratio = s_next / s
    # Not as sqrt(s_next² - up²), of which nothing is left in float32 where s_next << s.
    down = s_next * jnp.sqrt(jnp.maximum((1 - eta) * (1 + eta) + (eta * ratio) ** 2, 0))
    up = s_next * jnp.minimum(eta * jnp.sqrt(jnp.maximum((1 - ratio) * (1 + ratio), 0)), 1)
    return down, up
