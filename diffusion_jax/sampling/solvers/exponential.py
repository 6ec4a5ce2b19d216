"""The step that all DPM-Solvers share: linear terms exactly, the estimate by a Taylor polynomial.

1. With lambda = log(alpha/sigma), half the log-SNR, the reverse process is linear in x but for the
   network's estimate m of x_0 or of eps, whichever the method extrapolates. With eta between 0
   (the probability flow) and 1 (the process run backwards), a step from t to s is, for
   h = lambda_s - lambda_t,

       x0:       x_s = sigma_s/sigma_t e^(-eta h) x_t
                       + alpha_s (1 + eta) int_0^h e^((1 + eta)(u - h)) m(u) du
                       + sigma_s sqrt(1 - e^(-2 eta h)) z,
       epsilon:  x_s = alpha_s/alpha_t x_t - sigma_s (1 + eta) int_0^h e^(h - u) m(u) du
                       + sigma_s sqrt(eta (e^(2 h) - 1)) z.

2. Along the step m(tau) = m + tau m' + tau²/2 m'' + …, tau = u/h, whose integrals are known:

       x_s = kept x_t - scale (psi_1(z) m + psi_2(z) m' + psi_3(z) m'') + spread · noise,
       psi_k(z) = z phi_k(z):  psi_1 = e^z - 1, psi_2 = psi_1/z - 1, psi_3 = psi_2/z - 1/2,

   with scale = alpha_s, z = -(1 + eta) h for x0, and scale = (1 + eta) sigma_s, z = h for epsilon.
3. The derivatives come from differences with other evaluations, before or within the step.

Source: Lu et al. 2022 (DPM-Solver), eq. 3.4-3.6; Lu et al. 2022 (DPM-Solver++), eq. 8-9 and 18.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.sampling.solvers.base import predicted_noise
from diffusion_jax.struct import Scalar, pytree

X = Float[Array, "batch ..."]
TERMS = 17  # of a power series that are all of it, in double precision for |z| < 1


def psi(order: int, z: Float[Array, "..."]) -> Float[Array, "..."]:
    """z phi_k(z) for k = `order` = 1, 2 or 3: the integral that weighs derivative k - 1 of m.

    >>> round(float(psi(2, jnp.float32(1.0))), 4)
    0.7183
    """
    if order == 1:
        return jnp.expm1(z)
    # The recursion takes nearly equal numbers from each other where |z| is small.
    small = jnp.where(jnp.abs(z) < 1, z, 0)
    terms = jnp.array([1 / math.factorial(order + k) for k in range(TERMS)], small.dtype)
    series = small * jnp.sum(terms * small[..., None] ** jnp.arange(TERMS), axis=-1)
    away = jnp.where(jnp.abs(z) < 1, 1, z)
    return jnp.where(jnp.abs(z) < 1, series, psi(order - 1, away) / away - 1 / (order - 1))


@pytree
class Step:
    """x_s = kept x_t - scale (psi_1 m + psi_2 m' + psi_3 m'') + spread noise.

    Attributes:
        kept: factor of x, of the shape of the levels that the step joins; so are the others.
        scale: factor of the estimate's integral.
        z: argument of psi; infinite at the ends of time, where m' and m'' must be 0.
        spread: standard deviation of the noise.
    """

    kept: Float[Array, "..."]
    scale: Float[Array, "..."]
    z: Float[Array, "..."]
    spread: Float[Array, "..."]

    def constant(self, x: X, m: X) -> X:
        """The step with m as it is: of first order, DDIM where there is no noise."""
        step = self._like(x)
        return step.kept * x - step.scale * psi(1, step.z) * m

    def linear(self, x: X, m: X, slope: X, variant: str = "taylor") -> X:
        """The step with m and its slope, which "midpoint" weighs with psi_1/2 instead of psi_2."""
        step = self._like(x)
        weight = psi(1, step.z) / 2 if variant == "midpoint" else psi(2, step.z)
        return self.constant(x, m) - step.scale * weight * slope

    def quadratic(self, x: X, m: X, slope: X, curvature: X) -> X:
        """The step with m and its first two derivatives."""
        step = self._like(x)
        return self.linear(x, m, slope) - step.scale * psi(3, step.z) * curvature

    def _like(self, x: X) -> "Step":
        shape = self.z.shape + (1,) * (x.ndim - self.z.ndim)
        return Step(*(v.reshape(shape) for v in (self.kept, self.scale, self.z, self.spread)))


def between(estimate: str, start: Level, end: Level, eta: Scalar = 0.0) -> Step:
    """The step from one level to another.

    Args:
        estimate: "x0" or "epsilon", what m is.
        start: level to step from; for "epsilon" with some signal.
        end: level to step to; for "epsilon" with some noise, or the step is finite but void.
        eta: how much of the process's own noise is put back.

    >>> start, end = Level.from_log_snr(jnp.zeros(2)), Level.from_log_snr(jnp.ones(2))
    >>> step = between("x0", start, end)
    >>> bool(jnp.allclose(step.constant(start.sigma[:, None], jnp.zeros((2, 1))).T, end.sigma))
    True
    """
    h = (end.log_snr - start.log_snr) / 2
    # e^-h, exact at the ends of time, where h is infinite.
    decay = (start.alpha / end.alpha) * (end.sigma / start.sigma)
    if estimate == "x0":
        kept = end.sigma / start.sigma * decay**eta
        spread = end.sigma * jnp.sqrt(jnp.maximum(1 - decay ** (2 * eta), 0))
        return Step(kept, end.alpha, -(1 + eta) * h, spread)
    h = jnp.where(jnp.isfinite(h), h, 0)
    spread = end.sigma * jnp.sqrt(jnp.maximum(eta * jnp.expm1(2 * h), 0))
    return Step(end.alpha / start.alpha, (1 + eta) * end.sigma, h, spread)


def estimated(estimate: str, x: X, x0: X, level: Level) -> X:
    """What m is at x: the estimate of x_0, or of the noise."""
    return x0 if estimate == "x0" else predicted_noise(x, x0, level.like(x))


def derivatives(
    m: X, first: tuple[Scalar, X], second: tuple[Scalar, X]
) -> tuple[Float[Array, "batch ..."], Float[Array, "batch ..."]]:
    """m' and m'' at tau = 0 of the parabola through m and two others, (tau, m) each.

    >>> values = [jnp.array([[1 + 2 * tau + 3 * tau**2]]) for tau in (0.0, -1.0, 0.5)]
    >>> first, second = (jnp.array(-1.0), values[1]), (jnp.array(0.5), values[2])
    >>> [float(v[0, 0]) for v in derivatives(values[0], first, second)]
    [2.0, 6.0]
    """
    (tau1, m1), (tau2, m2) = first, second
    d1, d2 = (m1 - m) / tau1, (m2 - m) / tau2
    bend = (d2 - d1) / (tau2 - tau1)  # 0 if the second is infinitely far away
    return d1 - tau1 * bend, 2 * bend
