"""diffusers' schedulers: their configs read as schedule, prediction, grid and solver."""

from diffusion_jax.published.schedulers.base import ReleasedProcess
from diffusion_jax.published.schedulers.scheduler import Scheduler, translate

__all__ = ["ReleasedProcess", "Scheduler", "translate"]
