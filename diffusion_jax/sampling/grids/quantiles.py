"""Grids whose nodes are the quantiles of a distribution."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.errors import one_of, ordered, positive
from diffusion_jax.process.beta import beta_quantile
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids.base import (
    Nodes,
    append_clean,
    at_log_snr,
    at_times,
    check_call,
    grids,
    log_snr_ends,
)
from diffusion_jax.struct import Scalar, pytree, static


@grids.register("beta")
@pytree
class BetaGrid:
    """Quantiles of a Beta distribution, which has more steps at both ends than between.

    With q_i = the quantile 1 - i/(N-1) of Beta(a, b), for i = 0 … N - 1: s_i = s_min + q_i
    (s_max - s_min) along sigma/alpha; or t_i = t_min + q_i (t_max - t_min) along the time, with
    1 - i/N so that the last node keeps some noise. Then clean data.

    Attributes:
        along: "time", as in the paper, or "noise", as in diffusers.
        a: more than 1 takes steps away from the data.
        b: more than 1 takes steps away from the noise.
        sigma_min: least sigma/alpha along the noise, if the schedule goes so far.
        sigma_max: most sigma/alpha along the noise, likewise.

    Raises:
        UserError: another axis.

    Source: Lee et al. 2024 (Beta sampling is all you need), section 3.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = BetaGrid(along="noise", sigma_min=1.0, sigma_max=3.0)(schedules.make("edm"), 3)
    >>> [round(float(sigma), 3) for sigma in nodes.level.sigma]
    [3.0, 2.0, 1.0, 0.0]
    """

    formula: ClassVar[str] = (
        "t_i = t_min + Q(1 − i/N) (t_max − t_min), or s_i = sigma_min + Q(1 − i/(N − 1)) "
        "(sigma_max − sigma_min), s = σ/α, Q the quantile of Beta(a, b), i = 0 … N − 1"
    )

    along: str = static("time")
    a: Scalar = 0.6
    b: Scalar = 0.6
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        one_of(self.along, ("time", "noise"), "axis")
        positive(self, "a", "b", "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        if self.along == "time":
            low, high = schedule.t_min, schedule.t_max
            part = beta_quantile(jnp.linspace(1.0, 0.0, steps + 1)[:-1], self.a, self.b)
            time = jnp.where(part == 1, high, low + part * (high - low))
            return append_clean(at_times(schedule, time))
        lowest, highest = log_snr_ends(schedule, self.sigma_min, self.sigma_max)
        least, most = jnp.exp(-highest / 2), jnp.exp(-lowest / 2)
        part = beta_quantile(jnp.linspace(1.0, 0.0, steps), self.a, self.b)
        return at_log_snr(schedule, -2 * jnp.log(least + part * (most - least)))
