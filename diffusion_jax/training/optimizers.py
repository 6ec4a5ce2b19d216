"""Optimisers: an update rule of optax under a learning rate that warms up and decays.

The learning rate of update t (from 0) is

    peak · min(1, (t + 1) / warmup) · decay((t - warmup) / (steps - warmup)),

with `decay` falling from 1 to 0 over [0, 1], or constant.
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.registry import Registry

Factor = Callable[[Float[Array, ""]], Float[Array, ""]]

decays: dict[str, Factor] = {
    "constant": jnp.ones_like,
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + jnp.cos(jnp.pi * share)) / 2,
}

optimizers: Registry[optax.GradientTransformation] = Registry("optimizer")


def learning_rate_schedule(
    peak: float, warmup: int, decay: str, steps: int
) -> Callable[[Any], Float[Array, ""]]:
    """The learning rate as a function of the number of updates made.

    Args:
        peak: the rate reached after warm-up.
        warmup: number of updates over which it grows linearly; 0 for none.
        decay: 'constant', 'linear' or 'cosine'.
        steps: number of updates of the whole run, where a decay reaches 0.

    Raises:
        UserError: unknown decay, or a negative rate or warm-up.

    >>> rate = learning_rate_schedule(peak=1.0, warmup=4, decay="linear", steps=8)
    >>> [float(rate(t)) for t in (0, 3, 6)]
    [0.25, 1.0, 0.5]
    """
    one_of(decay, decays, "learning-rate decay")
    if not 0 <= peak < math.inf or not 0 <= warmup < 2**31:
        raise UserError(
            "An optimizer needs a finite learning_rate >= 0 and a warmup >= 0, "
            f"got {peak} and {warmup}."
        )

    def rate(count: Any) -> Float[Array, ""]:
        count = jnp.asarray(count, jnp.float32)
        share = jnp.clip((count - warmup) / max(steps - warmup, 1), 0.0, 1.0)
        return peak * jnp.minimum(1.0, (count + 1) / max(warmup, 1)) * decays[decay](share)

    return rate


def _optimizer(
    rule: optax.GradientTransformation, rate: Callable[[Any], Array], clip: float
) -> optax.GradientTransformation:
    if clip <= 0:
        raise UserError(f"An optimizer needs clip > 0 (inf for no clipping), got {clip}.")
    return optax.chain(optax.clip_by_global_norm(clip), rule, optax.scale_by_learning_rate(rate))


def _shares(**settings: float) -> None:
    """Raises UserError unless each is the share of an average that the past has, in [0, 1)."""
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise UserError(f"An optimizer needs {name} in [0, 1), got {value}.")


def _not_negative(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value < math.inf:
            raise UserError(f"An optimizer needs {name} >= 0 and finite, got {value}.")


@optimizers.register("adam")
def adam(
    steps: int,
    learning_rate: float = 1e-3,
    warmup: int = 0,
    decay: str = "constant",
    clip: float = float("inf"),
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015). `clip` is the largest global norm of a gradient; `inf`: none.

    >>> optimizer = optimizers.make("adam(learning_rate=0.1, clip=1.0)", steps=100)
    """
    _shares(b1=b1, b2=b2)
    _not_negative(eps=eps)
    rate = learning_rate_schedule(learning_rate, warmup, decay, steps)
    return _optimizer(optax.scale_by_adam(b1, b2, eps), rate, clip)


@optimizers.register("adamw")
def adamw(
    steps: int,
    learning_rate: float = 1e-3,
    warmup: int = 0,
    decay: str = "constant",
    clip: float = float("inf"),
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""
    _shares(b1=b1, b2=b2)
    _not_negative(eps=eps, weight_decay=weight_decay)
    rate = learning_rate_schedule(learning_rate, warmup, decay, steps)
    rule = optax.chain(optax.scale_by_adam(b1, b2, eps), optax.add_decayed_weights(weight_decay))
    return _optimizer(rule, rate, clip)


@optimizers.register("sgd")
def sgd(
    steps: int,
    learning_rate: float = 1e-2,
    warmup: int = 0,
    decay: str = "constant",
    clip: float = float("inf"),
    momentum: float = 0.9,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with (heavy-ball) momentum."""
    _shares(momentum=momentum)
    rate = learning_rate_schedule(learning_rate, warmup, decay, steps)
    return _optimizer(optax.trace(momentum), rate, clip)
