"""Easy consistency tuning: from diffusion to consistency in stages."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import ordered, positive, within
from diffusion_jax.fewstep.base import Networks, fewstep
from diffusion_jax.fewstep.edm_time import EDMTime, truncated_log_normal
from diffusion_jax.process.per_sample import mean_square, pseudo_huber, wide
from diffusion_jax.process.schedules.exploding import EDM
from diffusion_jax.struct import Scalar, pytree, static

SEEN = 1e-4  # less noise is not seen in x


@fewstep.register("easy_consistency")
@pytree
class EasyConsistency(EDMTime):
    """d(f(x_0 + t eps, t), f(x_0 + r eps, r))/(t - r), with r drawn closer to t in stages.

    r/t = 1 - n(t)/q^(stage + 1) and no less than 0, n(t) = 1 + k sigmoid(-b t). Where r = 0 the
    second f is x_0 and the loss is that of a denoiser, with which training begins. d is the
    pseudo-Huber distance, the second f is a constant, log t is normal. In EDM's time, with the
    boundary at 0.

    Attributes:
        sigma_data: standard deviation of the data.
        sigma_max: the most noise, from which samples are made.
        stages: how many there are, of equal length.
        q: by how much the distance shrinks from stage to stage.
        k: how much larger it is at little noise.
        b: how fast that falls as the noise grows.
        mean: of log t.
        std: of log t.
        huber: c over sqrt(number of dimensions).
        average: whether the second f is that of the moving average of the parameters.

    Source: Geng et al. 2024 (consistency models made easy), eq. 12-15 and appendix.

    >>> tuning = EasyConsistency(stages=4, k=0.0)
    >>> [tuning.earlier(jnp.array([1.0]), jnp.array(part)).tolist() for part in (0.0, 0.5, 1.0)]
    [[0.5], [0.875], [0.9375]]
    """

    formula: ClassVar[str] = (
        "L = d(f(x₀ + t ε, t), f(x₀ + r ε, r))/(t − r), r = t max(0, 1 − n/q^(stage + 1)), n = 1 + "
        "k/(1 + exp(b t)), d pseudo-Huber"
    )

    sigma_data: Scalar = 0.5
    sigma_max: Scalar = 80.0
    stages: Scalar = 8
    q: Scalar = 2.0
    k: Scalar = 8.0
    b: Scalar = 1.0
    mean: Scalar = -1.1
    std: Scalar = 2.0
    huber: Scalar = 0.00054
    average: bool = static(default=False)

    sigma_min = 0.0
    teaches = False
    paced = True
    draws = 1

    def __post_init__(self) -> None:
        positive(self, "sigma_data", "sigma_max", "q", "std", "huber")
        within(self, 1, float("inf"), "stages", "q")
        within(self, 0, float("inf"), "k", "b")
        ordered(self, "sigma_min", "sigma_max")

    @property
    def schedule(self) -> EDM:
        """alpha = 1, sigma = t, down to noise that is not seen."""
        return EDM(SEEN, self.sigma_max)

    def earlier(
        self, time: Float[Array, "batch"], progress: Float[Array, ""]
    ) -> Float[Array, "batch"]:
        """r < t at a part of the training."""
        stage = jnp.minimum(jnp.floor(progress * self.stages), self.stages - 1)
        nearness = 1 + self.k * jax.nn.sigmoid(-self.b * time)
        return time * jnp.maximum(1 - nearness / self.q ** (stage + 1), 0)

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        # Between quantiles that differ in float32.
        time = truncated_log_normal(uniform[:, 0], self.mean, self.std, SEEN, self.sigma_max)
        before = self.earlier(time, progress)
        found = self.consistent(networks.student, x0 + wide(time, eps) * eps, time)
        again = self.consistent(networks.target, x0 + wide(before, eps) * eps, before)
        wanted = jnp.where(wide(before, x0) > 0, again, x0)
        dims = x0[0].size
        square = dims * mean_square(found - jax.lax.stop_gradient(wanted))
        return pseudo_huber(square, self.huber * jnp.sqrt(dims)) / (time - before)
