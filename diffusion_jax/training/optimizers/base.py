"""What an optimizer is: a rule of optax under a learning rate, and a largest gradient."""

import math
from abc import abstractmethod
from collections.abc import Callable

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar, pytree, static

Factor = Callable[[Float[Array, "..."], Scalar, Scalar], Float[Array, "..."]]


def _share(count: Float[Array, "..."], start: Scalar, steps: Scalar) -> Float[Array, "..."]:
    return jnp.clip((count - start) / jnp.maximum(steps - start, 1), 0.0, 1.0)


# Of the number of updates made, the one at which the decay starts, and those of the whole run.
decays: dict[str, Factor] = {
    "constant": lambda count, start, steps: jnp.ones_like(count),
    "linear": lambda count, start, steps: 1 - _share(count, start, steps),
    "cosine": lambda count, start, steps: (1 + jnp.cos(jnp.pi * _share(count, start, steps))) / 2,
    "inverse_sqrt": lambda count, start, steps: (
        jnp.maximum(count / jnp.maximum(start, 1), 1.0) ** -0.5
    ),
}
ENDING = ("linear", "cosine")  # decays that reach 0 at the end of a run


@pytree
class Optimizer:
    """A rule, the learning rate over time, and the largest norm of a gradient.

    Attributes:
        steps: updates of the whole run, where a linear or cosine decay reaches 0; filled in where
            a run is trained.
        learning_rate: reached after warm-up.
        warmup: updates over which it grows linearly; 0 for none.
        decay: "constant", "linear", "cosine" or "inverse_sqrt".
        hold: the update at which the decay starts, if that is later than the end of warm-up.
        clip: the largest global norm of a gradient; `inf`: any.

    Raises:
        UserError: unknown decay, or a number out of range.

    Source: Karras et al. 2024 (EDM2), section 3 and appendix B, for warm-up, hold and inverse_sqrt.
    """

    steps: Scalar | None = None
    learning_rate: Scalar = 1e-3
    warmup: Scalar = 0
    decay: str = static(default="constant")
    hold: Scalar = 0
    clip: Scalar = float("inf")

    def __post_init__(self) -> None:
        one_of(self.decay, decays, "learning-rate decay")
        if not 0 <= self.learning_rate < math.inf or not 0 <= self.warmup < 2**31:
            raise UserError(
                "An optimizer needs a finite learning_rate >= 0 and a warmup >= 0, "
                f"got {self.learning_rate} and {self.warmup}."
            )
        self._not_negative("hold")
        if not self.clip > 0:
            raise UserError(f"An optimizer needs clip > 0 (inf for no clipping), got {self.clip}.")

    def depends_on_steps(self, count: int) -> bool:
        """Whether the first `count` updates would be others if the run had another length.

        >>> held = optimizers.make("adam(decay='linear', hold=80)", steps=100)
        >>> held.depends_on_steps(80), held.depends_on_steps(90)
        (False, True)
        """
        start = max(self.warmup, self.hold)
        return self.decay in ENDING and bool(count - 1 > start)

    @abstractmethod
    def rule(self) -> optax.GradientTransformation:
        """The direction of an update, before the learning rate."""

    def rate(self, count: ArrayLike) -> Float[Array, "..."]:
        """The learning rate after `count` updates.

        Raises:
            UserError: the decay ends with training, whose number of steps is not known.

        >>> adam = optimizers.make("adam(learning_rate=1.0, warmup=4, decay='linear')", steps=8)
        >>> [float(adam.rate(t)) for t in (0, 3, 6)]
        [0.25, 1.0, 0.5]
        """
        count = jnp.asarray(count, float)
        start, steps = jnp.maximum(self.warmup, self.hold), self.steps
        if steps is None:
            if self.decay in ENDING:
                raise UserError(f"An optimizer with decay={self.decay!r} needs its steps.")
            steps = math.inf
        growth = jnp.minimum(1.0, (count + 1) / jnp.maximum(self.warmup, 1))
        return self.learning_rate * growth * decays[self.decay](count, start, steps)

    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation: clip, rule, learning rate."""
        return optax.chain(
            optax.clip_by_global_norm(self.clip),
            self.rule(),
            optax.scale_by_learning_rate(self.rate),
        )

    def _shares(self, *names: str) -> None:
        """Raises UserError unless each is the share of an average that the past has, in [0, 1)."""
        for name in names:
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"An optimizer needs {name} in [0, 1), got {getattr(self, name)}.")

    def _not_negative(self, *names: str) -> None:
        for name in names:
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(
                    f"An optimizer needs {name} >= 0 and finite, got {getattr(self, name)}."
                )


@pytree
class Given:
    """An optax transformation of one's own, with its learning rate.

    Attributes:
        made: the transformation.
    """

    made: optax.GradientTransformation = static()

    def transformation(self) -> optax.GradientTransformation:
        """The transformation."""
        return self.made


optimizers: Registry[Optimizer] = Registry("optimizer")
