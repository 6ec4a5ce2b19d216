"""What the schedules with linearly growing beta share."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive
from diffusion_jax.struct import Scalar, pytree


@pytree
class LinearBeta:
    """beta(t) = beta_min + t (beta_max - beta_min), for t in [0, 1].

    Attributes:
        beta_min: beta at t = 0.
        beta_max: beta at t = 1.

    Source: Song et al. 2021 (score SDE), eq. 32.
    """

    beta_min: Scalar = 0.1
    beta_max: Scalar = 20.0

    t_min = 0.0
    t_max = 1.0

    def __post_init__(self) -> None:
        positive(self, "beta_min", "beta_max")

    def integral(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        """∫ beta over [0, t] = t² (beta_max - beta_min)/2 + t beta_min.

        >>> float(LinearBeta(1.0, 3.0).integral(jnp.float32(1.0)))
        2.0
        """
        return time**2 * (self.beta_max - self.beta_min) / 2 + time * self.beta_min

    def time_of_integral(self, value: Float[Array, "..."]) -> Float[Array, "..."]:
        """The time at which `integral` is `value`: the root of a square, without cancellation."""
        slope = self.beta_max - self.beta_min
        return 2 * value / (self.beta_min + jnp.sqrt(self.beta_min**2 + 2 * slope * value))
