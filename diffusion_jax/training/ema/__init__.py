"""Running averages of the parameters, free of bias towards where they start.

Every member gives the weight w_t of the newest parameters in

    ema_t = ema_{t-1} + w_t (params_t - ema_{t-1}),

with w_1 = 1. So the average after one update is those parameters, whatever it started from, and
the average of a constant is that constant.

Snapshots of `PowerFunction` averages give that of any other width after training: `reconstruct`.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.registry import import_members
from diffusion_jax.training.ema.base import Average, averages, update
from diffusion_jax.training.posthoc import reconstruct

__all__ = ["Average", "averages", "reconstruct", "update"]

import_members(__name__, __path__, averages)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
