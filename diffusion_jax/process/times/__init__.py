"""Where in time training looks: how a uniform draw becomes a time of the schedule.

Each file here is a member of the family, or a few that share their formulas.
"""

from diffusion_jax.process.times.base import Times, at_quantile, log_snr_slope, times
from diffusion_jax.process.times.loss_aware import LossAware
from diffusion_jax.process.times.stratified import Antithetic, LowDiscrepancy
from diffusion_jax.process.times.uniform import Uniform
from diffusion_jax.registry import import_members

__all__ = [
    "Antithetic",
    "LossAware",
    "LowDiscrepancy",
    "Times",
    "Uniform",
    "at_quantile",
    "log_snr_slope",
    "times",
]

import_members(__name__, __path__)
