"""The noise level: all that anything downstream of a schedule needs to know of time."""

import jax.numpy as jnp
from jax.nn import log_sigmoid
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.process.per_sample import wide
from diffusion_jax.struct import pytree


@pytree
class Level:
    """A noise level (alpha, sigma) of the process x = alpha x_0 + sigma eps.

    Attributes:
        alpha: scale of the data, any shape.
        sigma: standard deviation of the noise, same shape.

    >>> round(float(Level(jnp.float32(0.6), jnp.float32(0.8)).log_snr), 4)
    -0.5754
    """

    alpha: Float[Array, "..."]
    sigma: Float[Array, "..."]

    def __post_init__(self) -> None:
        for name in ("alpha", "sigma"):
            value: object = getattr(self, name)
            if value is None or isinstance(value, str):
                raise UserError(f"Level: {name} must be a number or an array, not {value!r}.")

    @property
    def log_snr(self) -> Float[Array, "..."]:
        """log(alpha²/sigma²) as a difference of logarithms, so that no ratio overflows."""
        return 2 * (jnp.log(self.alpha) - jnp.log(self.sigma))

    @property
    def noise_to_signal(self) -> Float[Array, "..."]:
        """sigma/alpha: the sigma of the variance-exploding process that this one rescales."""
        return self.sigma / self.alpha

    def like(self, x: Float[Array, "..."]) -> "Level":
        """Appends axes so that a level per sample, (batch,), broadcasts against x, (batch, ...)."""
        return Level(wide(self.alpha, x), wide(self.sigma, x))

    @staticmethod
    def from_log_snr(log_snr: Float[Array, "..."]) -> "Level":
        """The variance-preserving level: alpha² = sigmoid(log_snr), sigma² = sigmoid(-log_snr)."""
        return Level(jnp.exp(log_sigmoid(log_snr) / 2), jnp.exp(log_sigmoid(-log_snr) / 2))

    def mix(self, x0: Float[Array, "..."], eps: Float[Array, "..."]) -> Float[Array, "..."]:
        """alpha x_0 + sigma eps, the forward process; the level broadcasts from the left."""
        level = self.like(x0)
        return level.alpha * x0 + level.sigma * eps
