"""Objectives of few-step training: networks that follow the flow over long distances.

Each file here is a member of the family; they are pure mathematics over functions. Conventions:

- Time grows with noise, and each objective says which path and which time it uses: EDM's, in which
  time is sigma, or the straight path x = (1 - t) x_0 + t eps of flow matching, t in [0, 1].
- A network is a function (x, t, r) → output with the time t of x and the time r < t to go to. Those
  that always go to the data ignore r.
- Velocities are dx/dt, towards noise: x_r = x_t - (t - r) u. Papers that run time from noise to
  data have them with the other sign.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.fewstep.base import FewStep, Networks, TwoTimeNetwork, fewstep
from diffusion_jax.registry import import_members

__all__ = ["FewStep", "Networks", "TwoTimeNetwork", "fewstep"]

import_members(__name__, __path__, fewstep)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
