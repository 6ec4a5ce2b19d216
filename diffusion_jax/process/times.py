"""Where in time training looks: how a uniform draw becomes a time of the schedule.

All arms of a comparison share the draw u in (0, 1); each turns it into its own time. A member is
thus a quantile function, and its density over log-SNR follows by differentiation:
p(log_snr) = 1/|d log_snr/du|.
"""

from abc import ABC, abstractmethod

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from diffusion_jax.errors import finite, positive
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar, pytree


class Times(ABC):
    """A distribution of training times over a schedule."""

    @abstractmethod
    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        """The time, in [t_min, t_max], at quantile u in (0, 1); noisier as u grows."""

    def stratify(self, u: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """Makes independent uniform draws of a batch depend on each other; by default not."""
        return u


times: Registry[Times] = Registry("times")


@times.register("uniform")
@pytree
class Uniform(Times):
    """Uniform in the schedule's own time.

    Source: Ho et al. 2020 (DDPM), algorithm 1.
    """

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return schedule.t_min + u * (schedule.t_max - schedule.t_min)


@times.register("low_discrepancy")
@pytree
class LowDiscrepancy(Times):
    """Another distribution, drawn so that each batch covers it evenly.

    u_i = (u_0 + i/batch) mod 1: each draw alone is uniform still; their mean varies less.

    Attributes:
        times: the distribution.

    Source: Kingma et al. 2021 (VDM), appendix I.1.
    """

    times: Times = Uniform()

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return self.times.time(u, schedule)

    def stratify(self, u: Float[Array, "batch"]) -> Float[Array, "batch"]:
        count = u.shape[0]
        spread = (u[0] + jnp.arange(count, dtype=u.dtype) / count) % 1
        # Rounding may reach 0 or 1, where the quantile of a normal distribution is infinite.
        smallest = jnp.finfo(u.dtype).epsneg
        return jnp.clip(spread, smallest, 1 - smallest)


@times.register("log_normal")
@pytree
class LogNormal(Times):
    """Normal in log(sigma/alpha), clipped to what the schedule reaches.

    Attributes:
        mean: of log(sigma/alpha).
        std: of log(sigma/alpha).

    Source: Karras et al. 2022 (EDM), table 1.
    """

    mean: Scalar = -1.2
    std: Scalar = 1.2

    def __post_init__(self) -> None:
        finite(self, "mean")
        positive(self, "std")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        log_snr = -2 * (self.mean + self.std * ndtri(u))
        return jnp.clip(schedule.time(log_snr), schedule.t_min, schedule.t_max)


@times.register("logit_normal")
@pytree
class LogitNormal(Times):
    """Normal in the logit of the relative time (t - t_min)/(t_max - t_min).

    Attributes:
        mean: of the logit; more than 0 leans to the noise.
        std: of the logit.

    Source: Esser et al. 2024 (SD3), eq. 19.
    """

    mean: Scalar = 0.0
    std: Scalar = 1.0

    def __post_init__(self) -> None:
        finite(self, "mean")
        positive(self, "std")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        relative = jax.nn.sigmoid(self.mean + self.std * ndtri(u))
        return schedule.t_min + relative * (schedule.t_max - schedule.t_min)


def log_snr_slope(
    distribution: Times, schedule: Schedule, u: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """|d log_snr/du| at quantile u, the inverse of the training density over log-SNR.

    >>> from diffusion_jax.process.schedules import schedules
    >>> slope = log_snr_slope(Uniform(), schedules.make("ve"), jnp.array([0.2, 0.7]))
    >>> [round(float(value), 2) for value in slope]
    [17.03, 17.03]
    """

    def log_snr(quantile: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return schedule.level(distribution.time(quantile, schedule)).log_snr

    return jnp.abs(jax.jvp(log_snr, (u,), (jnp.ones_like(u),))[1])
