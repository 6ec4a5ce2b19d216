"""Consistency training: a consistency model from data alone."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import ordered, positive, within
from diffusion_jax.fewstep.base import Networks, fewstep
from diffusion_jax.fewstep.edm_time import EDMTime, on_karras_grid, truncated_log_normal
from diffusion_jax.process.per_sample import mean_square, pseudo_huber, wide
from diffusion_jax.struct import Scalar, pytree, static


@fewstep.register("consistency_training")
@pytree
class ConsistencyTraining(EDMTime):
    """d(f(x_0 + t' eps, t'), f(x_0 + t eps, t))/(t' - t) at neighbours t < t' of a grid.

    d is the pseudo-Huber distance, the second f is a constant, and both have the same eps: the
    shared noise stands for a step of the flow. The grid is EDM's with N intervals, and N doubles
    from `first` to `last` at equal stages of training. Intervals are drawn as often as log t lies
    in them, log-normal. In EDM's time.

    Attributes:
        sigma_data: standard deviation of the data.
        sigma_min: the least noise, at which f changes nothing.
        sigma_max: the most noise.
        rho: of EDM's grid.
        first: intervals at the start of the training.
        last: intervals at its end.
        mean: of log t.
        std: of log t.
        huber: c over sqrt(number of dimensions).
        average: whether the second f is that of the moving average of the parameters.

    Source: Song et al. 2023 (consistency models), algorithm 3; Song & Dhariwal 2024 (improved
    techniques), table 1, for all settings.

    >>> ConsistencyTraining().intervals(jnp.array([0.0, 0.5, 1.0])).tolist()
    [10.0, 160.0, 1280.0]
    """

    formula: ClassVar[str] = (
        "L = d(f(x₀ + t′ ε, t′), f(x₀ + t ε, t))/(t′ − t), t < t′ neighbours on EDM's grid, d "
        "pseudo-Huber"
    )

    sigma_data: Scalar = 0.5
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0
    rho: Scalar = 7.0
    first: Scalar = 10
    last: Scalar = 1280
    mean: Scalar = -1.1
    std: Scalar = 2.0
    huber: Scalar = 0.00054
    average: bool = static(default=False)

    teaches = False
    paced = True
    draws = 1

    def __post_init__(self) -> None:
        positive(self, "sigma_data", "sigma_min", "sigma_max", "rho", "std", "huber")
        ordered(self, "sigma_min", "sigma_max")
        within(self, 1, float("inf"), "first", "last")

    def intervals(self, progress: Float[Array, "..."]) -> Float[Array, "..."]:
        """N at a part of the training."""
        stages = jnp.log2(self.last / self.first) + 1
        return jnp.minimum(self.first * 2 ** jnp.floor(progress * stages), self.last)

    def neighbours(
        self, uniform: Float[Array, "batch"], progress: Float[Array, ""]
    ) -> tuple[Float[Array, "batch"], Float[Array, "batch"]]:
        """The ends t < t' of the interval of the grid in which a log-normal draw falls."""
        ends = self.rho, self.sigma_min, self.sigma_max
        drawn = truncated_log_normal(uniform, self.mean, self.std, *ends[1:]) ** (1 / self.rho)
        low, high = (end ** (1 / self.rho) for end in ends[1:])
        count = self.intervals(progress)
        index = jnp.clip(jnp.floor((drawn - low) / (high - low) * count), 0, count - 1)
        return on_karras_grid(index / count, *ends), on_karras_grid((index + 1) / count, *ends)

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        low, high = self.neighbours(uniform[:, 0], progress)
        found = self.consistent(networks.student, x0 + wide(high, eps) * eps, high)
        wanted = self.consistent(networks.target, x0 + wide(low, eps) * eps, low)
        dims = x0[0].size
        square = dims * mean_square(found - jax.lax.stop_gradient(wanted))
        return pseudo_huber(square, self.huber * jnp.sqrt(dims)) / (high - low)
