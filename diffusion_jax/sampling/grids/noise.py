"""Grids along sigma/alpha, or its logarithm, the same whatever the schedule's clock."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.errors import ordered, positive
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids.base import Nodes, at_log_snr, check_call, grids, log_snr_ends
from diffusion_jax.struct import Scalar, pytree


@grids.register("log_snr")
@pytree
class LogSnr:
    """Equal steps in log-SNR, then clean data; also known as the exponential grid.

    Attributes:
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Lu et al. 2022 (DPM-Solver), section 3.4.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = LogSnr(sigma_min=0.01, sigma_max=1.0)(schedules.make("edm"), 3)
    >>> [round(float(sigma), 3) for sigma in nodes.level.sigma]
    [1.0, 0.1, 0.01, 0.0]
    """

    formula: ClassVar[str] = (
        "log s_i = log sigma_max + i/(N − 1) (log sigma_min − log sigma_max), s = σ/α, i = 0 … N − "
        "1"
    )

    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        lowest, highest = log_snr_ends(schedule, self.sigma_min, self.sigma_max)
        return at_log_snr(schedule, jnp.linspace(lowest, highest, steps))


@grids.register("polyexponential")
@pytree
class Polyexponential:
    """A power between equal steps in log(sigma/alpha), then clean data.

    log s_i = log s_min + (1 - i/(N-1))^rho (log s_max - log s_min) for i = 0 … N - 1.

    Attributes:
        rho: 1 is `log_snr`; more makes the steps near the data shorter.
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Crowson 2022 (k-diffusion), where it is a polynomial in log sigma.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = Polyexponential(rho=2.0, sigma_min=0.01, sigma_max=1.0)(schedules.make("edm"), 3)
    >>> [round(float(sigma), 4) for sigma in nodes.level.sigma]
    [1.0, 0.0316, 0.01, 0.0]
    """

    formula: ClassVar[str] = (
        "log s_i = log sigma_min + (1 − i/(N − 1))^rho (log sigma_max − log sigma_min), s = σ/α, i "
        "= 0 … N − 1"
    )

    rho: Scalar = 1.5
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "rho", "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        lowest, highest = log_snr_ends(schedule, self.sigma_min, self.sigma_max)
        left = jnp.linspace(1.0, 0.0, steps) ** self.rho
        return at_log_snr(schedule, highest - left * (highest - lowest))


@grids.register("karras")
@pytree
class Karras:
    """EDM's grid: equal steps in (sigma/alpha)^(1/rho), then clean data.

    s_i = (s_max^(1/rho) + i/(N-1) (s_min^(1/rho) - s_max^(1/rho)))^rho for i = 0 … N - 1.

    Attributes:
        rho: how much shorter the steps near the data are.
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Karras et al. 2022 (EDM), eq. 5.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = Karras(rho=1.0, sigma_min=1.0, sigma_max=3.0)(schedules.make("edm"), 3)
    >>> [round(float(sigma), 3) for sigma in nodes.level.sigma]
    [3.0, 2.0, 1.0, 0.0]
    """

    formula: ClassVar[str] = (
        "s_i = (sigma_max^(1/rho) + i/(N − 1) (sigma_min^(1/rho) − sigma_max^(1/rho)))^rho, s = "
        "σ/α, i = 0 … N − 1"
    )

    rho: Scalar = 7.0
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "rho", "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        lowest, highest = log_snr_ends(schedule, self.sigma_min, self.sigma_max)
        roots = jnp.linspace(
            jnp.exp(-lowest / 2) ** (1 / self.rho), jnp.exp(-highest / 2) ** (1 / self.rho), steps
        )
        return at_log_snr(schedule, -2 * self.rho * jnp.log(roots))
