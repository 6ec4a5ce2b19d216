"""What a training step needs to know of an objective: plain numbers for each sample."""

from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.posterior import ChainStep
from diffusion_jax.struct import pytree


@pytree
class TrainingTargets:
    """All that a training step needs to know of an arm, for each sample of a batch.

    Plain arrays: one compiled step serves arms with any schedules, predictions, training times
    and weightings.

    Attributes:
        level: noise levels, (batch,).
        input_scale: factor that gives the network's input unit variance, (batch,).
        c_noise: by which the network knows the noise level, (batch,).
        a: coefficient of x_0 in the target, (batch,).
        b: coefficient of eps in the target, (batch,).
        weight: weight of the squared error, (batch,).
        step: the step of a chain from here, for losses that know one, (batch,).
    """

    level: Level
    input_scale: Float[Array, "*batch"]
    c_noise: Float[Array, "*batch"]
    a: Float[Array, "*batch"]
    b: Float[Array, "*batch"]
    weight: Float[Array, "*batch"]
    step: ChainStep | None = None

    def target(
        self, x0: Float[Array, "batch ..."], eps: Float[Array, "batch ..."]
    ) -> Float[Array, "batch ..."]:
        """a x_0 + b eps, what the network should predict."""
        return wide(self.a, x0) * x0 + wide(self.b, x0) * eps

    def x0(
        self, value: Float[Array, "batch ..."], x: Float[Array, "batch ..."]
    ) -> Float[Array, "batch ..."]:
        """The x_0 that a prediction stands for at x; see `predictions`, 3."""
        det = self.level.alpha * self.b - self.level.sigma * self.a
        return (wide(self.b, x) * x - wide(self.level.sigma, x) * value) / wide(det, x)
