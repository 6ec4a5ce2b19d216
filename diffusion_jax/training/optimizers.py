"""Optimisers: an update rule of optax under a learning rate that warms up and decays.

The learning rate of update t (from 0) is

    peak · min(1, (t + 1) / warmup) · decay(t),

where the decay starts from 1 at update s = max(warmup, hold). With r = (t - s) / (steps - s) it is
1 (constant), 1 - r (linear), (1 + cos(pi r))/2 (cosine) or sqrt(s / t) (inverse_sqrt).

An optimizer is a pytree whose numbers are leaves: arms that differ in them alone run the same
compiled step.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

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

    def rate(self, count: Any) -> Float[Array, "..."]:
        """The learning rate after `count` updates.

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


def _kernels(params: PyTree[Any]) -> PyTree[bool]:
    """Which parameters are weights of layers: of two axes or more, and no embedding."""

    def is_kernel(path: tuple[Any, ...], leaf: Any) -> bool:
        return leaf.ndim >= 2 and "embedding" not in [getattr(each, "key", None) for each in path]

    return jax.tree_util.tree_map_with_path(is_kernel, params)


# How which parameters lose weight is called -> which of a tree of them do.
DECAYED: dict[str, Callable[[PyTree[Any]], PyTree[bool]] | None] = {
    "all": None,
    "kernels": _kernels,
}

optimizers: Registry[Optimizer] = Registry("optimizer")


@optimizers.register("adam")
@pytree
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015).

    Attributes:
        b1: share of the past in the mean of gradients.
        b2: in that of their squares.
        eps: added to the root of the latter.

    >>> optimizer = optimizers.make("adam(learning_rate=0.1, clip=1.0)", steps=100)
    """

    b1: Scalar = 0.9
    b2: Scalar = 0.999
    eps: Scalar = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("b1", "b2")
        self._not_negative("eps")

    def rule(self) -> optax.GradientTransformation:
        return optax.scale_by_adam(self.b1, self.b2, self.eps)


@optimizers.register("adamw")
@pytree
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Attributes:
        weight_decay: share of a parameter taken away by an update, times the learning rate.
        decayed: which parameters that is done to: "all", or "kernels", the weights of layers, so
            that biases, scales of norms and embeddings are left alone.
    """

    weight_decay: Scalar = 1e-2
    decayed: str = static(default="all")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._not_negative("weight_decay")
        one_of(self.decayed, DECAYED, "choice of parameters that decay")

    def rule(self) -> optax.GradientTransformation:
        decay = optax.add_decayed_weights(self.weight_decay, DECAYED[self.decayed])
        return optax.chain(super().rule(), decay)


@optimizers.register("sgd")
@pytree
class SGD(Optimizer):
    """Stochastic gradient descent with (heavy-ball) momentum.

    Attributes:
        momentum: share of the past in the direction.
    """

    learning_rate: Scalar = 1e-2
    momentum: Scalar = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("momentum")

    def rule(self) -> optax.GradientTransformation:
        return optax.trace(self.momentum)
