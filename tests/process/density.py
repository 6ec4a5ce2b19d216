"""How often training looks at each log-SNR, tabulated."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import at_quantile, time_samplers

COUNT = 1000  # the shape that other tests use too, so that they share compiled operations


@functools.cache
def table(schedule: str, distribution: str) -> dict[str, np.ndarray]:
    """Times, log-SNR and slopes of a distribution of times over a schedule, at even quantiles.

    `slope` is what the library says, `difference` is taken between neighbours.
    """
    with jax.enable_x64(True):
        # Operation by operation, as all schedules share the compiled ones.
        u = jnp.asarray((np.arange(COUNT) + 0.5) / COUNT)
        process, drawn = schedules.make(schedule), time_samplers.make(distribution)
        time, level, slope = at_quantile(drawn, process, u)
        log_snr = np.asarray(level.log_snr)
        return {
            "time": np.asarray(time),
            "log_snr": log_snr,
            "slope": np.asarray(slope),
            "difference": np.abs(np.gradient(log_snr, np.asarray(u))),
        }
