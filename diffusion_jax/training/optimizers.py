"""Optimisers: an update rule of optax under a learning rate that warms up and decays.

The learning rate of update t (from 0) is

    peak · min(1, (t + 1) / warmup) · decay(t),

where the decay starts from 1 at update s = max(warmup, hold). With r = (t - s) / (steps - s) it is
1 (constant), 1 - r (linear), (1 + cos(pi r))/2 (cosine) or sqrt(s / t) (inverse_sqrt).
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.registry import Registry

Factor = Callable[[Float[Array, "..."], float, int], Float[Array, "..."]]


def _share(count: Float[Array, "..."], start: float, steps: int) -> Float[Array, "..."]:
    return jnp.clip((count - start) / max(steps - start, 1), 0.0, 1.0)


# Of the number of updates made, the one at which the decay starts, and those of the whole run.
decays: dict[str, Factor] = {
    "constant": lambda count, start, steps: jnp.ones_like(count),
    "linear": lambda count, start, steps: 1 - _share(count, start, steps),
    "cosine": lambda count, start, steps: (1 + jnp.cos(jnp.pi * _share(count, start, steps))) / 2,
    "inverse_sqrt": lambda count, start, steps: jnp.maximum(count / max(start, 1), 1.0) ** -0.5,
}

optimizers: Registry[optax.GradientTransformation] = Registry("optimizer")


def learning_rate_schedule(
    peak: float, warmup: float, decay: str, steps: int, hold: float = 0
) -> Callable[[Any], Float[Array, "..."]]:
    """The learning rate as a function of the number of updates made.

    Args:
        peak: the rate reached after warm-up.
        warmup: number of updates over which it grows linearly; 0 for none.
        decay: 'constant', 'linear', 'cosine' or 'inverse_sqrt'.
        steps: number of updates of the whole run, where a linear or cosine decay reaches 0.
        hold: the update at which the decay starts, if that is later than the end of warm-up.

    Raises:
        UserError: unknown decay, or a negative rate, warm-up or hold.

    Source: Karras et al. 2024 (EDM2), section 3 and appendix B, for warm-up, hold and inverse_sqrt.

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
    _not_negative(hold=hold)
    start = max(warmup, hold)

    def rate(count: Any) -> Float[Array, "..."]:
        count = jnp.asarray(count, float)
        growth = jnp.minimum(1.0, (count + 1) / max(warmup, 1))
        return peak * growth * decays[decay](count, start, steps)

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
    hold: int = 0,
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
    rate = learning_rate_schedule(learning_rate, warmup, decay, steps, hold)
    return _optimizer(optax.scale_by_adam(b1, b2, eps), rate, clip)


@optimizers.register("adamw")
def adamw(
    steps: int,
    learning_rate: float = 1e-3,
    warmup: int = 0,
    decay: str = "constant",
    hold: int = 0,
    clip: float = float("inf"),
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""
    _shares(b1=b1, b2=b2)
    _not_negative(eps=eps, weight_decay=weight_decay)
    rate = learning_rate_schedule(learning_rate, warmup, decay, steps, hold)
    rule = optax.chain(optax.scale_by_adam(b1, b2, eps), optax.add_decayed_weights(weight_decay))
    return _optimizer(rule, rate, clip)


@optimizers.register("sgd")
def sgd(
    steps: int,
    learning_rate: float = 1e-2,
    warmup: int = 0,
    decay: str = "constant",
    hold: int = 0,
    clip: float = float("inf"),
    momentum: float = 0.9,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with (heavy-ball) momentum."""
    _shares(momentum=momentum)
    rate = learning_rate_schedule(learning_rate, warmup, decay, steps, hold)
    return _optimizer(optax.trace(momentum), rate, clip)
