"""Losses on a reverse chain of T steps, which can teach the network its variance."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of, positive, within
from diffusion_jax.process.bound_terms import BITS, step_term
from diffusion_jax.process.losses.base import Loss, losses
from diffusion_jax.process.per_sample import mean_square
from diffusion_jax.process.posterior import FIXED, LEARNED
from diffusion_jax.process.targets import TrainingTargets
from diffusion_jax.struct import Scalar, pytree, static


class ChainLoss(Loss[Array]):
    """A loss that takes the step of a chain from each level, and may learn its variance.

    Attributes:
        kind: of the variance, see `posterior.log_variance`.
        steps: T, of the chain.
    """

    kind: str
    steps: int

    @property
    def variance(self) -> str | None:
        return self.kind if self.kind in LEARNED else None

    @property
    def chain(self) -> int | None:
        return self.steps

    def _split(self, output: Float[Array, "..."]) -> tuple[Array, Array | None]:
        """The prediction, and what the network says of the variance."""
        if self.variance is None:
            return output, None
        value, learned = jnp.split(output, 2, axis=-1)
        return value, learned

    def _bound(
        self, value: Array, learned: Array | None, targets: TrainingTargets, x0: Array, eps: Array
    ) -> Array:
        """T times the term of the step, in bits per dimension."""
        if targets.step is None:
            raise ValueError(f"{type(self).__name__} needs targets with a step of its chain")
        x = targets.level.mix(x0, eps)
        guess = targets.x0(value, x)
        # The published bits/dim, and so their losses, have the approximate distribution function.
        term = step_term(targets.step, x, x0, guess, self.kind, learned, approximate=True)
        return self.steps * BITS * term


@losses.register("hybrid")
@pytree
class Hybrid(ChainLoss):
    """L_simple + part · L_vlb, in which L_vlb teaches the variance alone.

    L_simple = weight · mean_dims error²; L_vlb = T times the bound's term, in bits per dimension.
    The gradient of L_vlb stops at the prediction. With part = 1/T and with 0.001 it is the loss of
    the code that the paper published, "MSE" and "RESCALED_MSE".

    Attributes:
        kind: "learned_range" or "learned", see `posterior.log_variance`.
        part: lambda, of L_vlb.
        steps: T, of the chain; use the times `discrete` with as many, or continuous ones.

    Source: Nichol & Dhariwal 2021 (improved DDPM), eq. 16.
    """

    formula: ClassVar[str] = (
        "L = w mean_dims (y − ŷ)² + part L_vlb, L_vlb = T KL(q(x_s | x, x₀) ‖ p(x_s | x))/(dims "
        "log 2)"
    )

    kind: str = static(default="learned_range")
    part: Scalar = 0.001
    steps: int = static(default=1000)

    def __post_init__(self) -> None:
        one_of(self.kind, LEARNED, "variance of loss 'hybrid'")
        positive(self, "part")
        within(self, 2, float("inf"), "steps")

    def __call__(
        self,
        output: Array,
        targets: TrainingTargets,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
    ) -> Float[Array, "batch"]:
        value, learned = self._split(output)
        simple = targets.weight * mean_square(value - targets.target(x0, eps))
        frozen = jax.lax.stop_gradient(value)
        return simple + self.part * self._bound(frozen, learned, targets, x0, eps)


@losses.register("variational")
@pytree
class Variational(ChainLoss):
    """weight · L_vlb: T times the term of the bound, in bits per dimension.

    With the weighting "simple" its mean over the times `discrete(steps=T)` is the bound but for
    the prior.

    Attributes:
        kind: "small", "large", "learned_range" or "learned", see `posterior.log_variance`.
        steps: T, of the chain.

    Source: Ho et al. 2020 (DDPM), eq. 5; Nichol & Dhariwal 2021 (improved DDPM), eq. 4.
    """

    formula: ClassVar[str] = "L = w L_vlb, L_vlb = T KL(q(x_s | x, x₀) ‖ p(x_s | x))/(dims log 2)"

    kind: str = static(default="learned_range")
    steps: int = static(default=1000)

    def __post_init__(self) -> None:
        one_of(self.kind, (*FIXED, *LEARNED), "variance of loss 'variational'")
        within(self, 2, float("inf"), "steps")

    def __call__(
        self,
        output: Array,
        targets: TrainingTargets,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
    ) -> Float[Array, "batch"]:
        value, learned = self._split(output)
        return targets.weight * self._bound(value, learned, targets, x0, eps)
