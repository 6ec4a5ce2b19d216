"""Where in time training looks: how a uniform draw becomes a time of the schedule.

Each file here is a member of the family, or a few that share their formulas.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.process.time_samplers.base import (
    TimeSampler,
    at_quantile,
    log_snr_slope,
    time_samplers,
)
from diffusion_jax.process.time_samplers.loss_aware import LossAware
from diffusion_jax.process.time_samplers.stratified import Antithetic, LowDiscrepancy
from diffusion_jax.process.time_samplers.uniform import Uniform
from diffusion_jax.registry import import_members

__all__ = [
    "Antithetic",
    "LossAware",
    "LowDiscrepancy",
    "TimeSampler",
    "Uniform",
    "at_quantile",
    "log_snr_slope",
    "time_samplers",
]

import_members(__name__, __path__, time_samplers)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
