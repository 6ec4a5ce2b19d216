"""How often training looks at each log-SNR, tabulated once per schedule."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.times import log_snr_slope, times
from tests.members import TIMES

COUNT = 2000
STEP = 1e-6


@jax.jit
def _tabulate(schedule: Schedule, u: Array) -> dict[str, dict[str, Array]]:
    def one(spec: str) -> dict[str, Array]:
        distribution = times.make(spec)
        time = distribution.time(u, schedule)

        def log_snr(quantile: Array) -> Array:
            return schedule.level(distribution.time(quantile, schedule)).log_snr

        return {
            "time": time,
            "log_snr": log_snr(u),
            "slope": log_snr_slope(distribution, schedule, u),
            "difference": (log_snr(u - STEP) - log_snr(u + STEP)) / (2 * STEP),
        }

    return {spec: one(spec) for spec in TIMES}


@functools.cache
def table(spec: str) -> dict[str, dict[str, np.ndarray]]:
    """For every distribution of times over a schedule: times, log-SNR and slopes at even quantiles.

    `slope` is what the library says, `difference` a central difference of the log-SNR.
    """
    with jax.enable_x64(True):
        u = (jnp.arange(COUNT) + 0.5) / COUNT
        return jax.tree.map(np.asarray, _tabulate(schedules.make(spec), u))
