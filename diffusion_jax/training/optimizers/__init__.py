"""Optimisers: an update rule of optax under a learning rate that warms up and decays.

The learning rate of update t (from 0) is

    peak · min(1, (t + 1) / warmup) · decay(t),

where the decay starts from 1 at update s = max(warmup, hold). With r = (t - s) / (steps - s) it is
1 (constant), 1 - r (linear), (1 + cos(pi r))/2 (cosine) or sqrt(s / t) (inverse_sqrt).

An optimizer is a pytree whose numbers are leaves: arms that differ in them alone run the same
compiled step.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.registry import import_members
from diffusion_jax.training.optimizers.base import Given, Optimizer, decays, optimizers

__all__ = ["Given", "Optimizer", "decays", "optimizers"]

import_members(__name__, __path__, optimizers)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
