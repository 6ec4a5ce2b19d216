"""Guidance: functions from denoisers to denoisers."""

import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import finite, ordered, within
from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.denoisers import Denoiser
from diffusion_jax.struct import Scalar, pytree, static


@runtime_checkable
class Guidance(Protocol):
    """A way to steer a denoiser harder towards its condition."""

    def __call__(self, denoise: Denoiser, null: Any) -> Denoiser:
        """The steered denoiser.

        Args:
            denoise: the denoiser, which takes a condition.
            null: the condition that says nothing, a pytree like those that `denoise` is given.
        """
        ...


guidance: Registry[Guidance] = Registry("guidance")


@guidance.register("none")
@pytree
class NoGuidance:
    """The conditional denoiser as it is."""

    def __call__(self, denoise: Denoiser, null: Any) -> Denoiser:
        return denoise


@guidance.register("classifier_free")
@pytree
class ClassifierFree:
    """Classifier-free guidance within an interval of noise.

    D = D(x, null) + scale (D(x, c) - D(x, null)) where sigma_low < sigma/alpha <= sigma_high,
    and D(x, c) elsewhere. In this convention scale = 1 is no guidance; Ho & Salimans' weight w is
    scale - 1. At a given x the formula is the same for x_0, eps, v and the score.

    Attributes:
        scale: how far to go from the unconditional to the conditional estimate, and beyond.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.

    Source: Ho & Salimans 2022, eq. 6; Kynkäänniemi et al. 2024 for the interval.

    >>> guide = ClassifierFree(scale=3.0)
    >>> toy = lambda x, level, condition: 0 * x + condition[:, None]
    >>> level = Level(jnp.array(0.6), jnp.array(0.8))
    >>> float(guide(toy, jnp.array([1.0]))(jnp.zeros((1, 1)), level, jnp.array([2.0]))[0, 0])
    4.0
    """

    scale: Scalar = 2.0
    sigma_low: float = static(default=0.0)
    sigma_high: float = static(default=math.inf)

    def __post_init__(self) -> None:
        finite(self, "scale")
        within(self, 0, math.inf, "sigma_low")
        ordered(self, "sigma_low", "sigma_high")

    def __call__(self, denoise: Denoiser, null: Any) -> Denoiser:
        def both(x: Float[Array, "batch ..."], level: Level, condition: Any) -> Any:
            # One call on a doubled batch: the network is compiled, and launched, once.
            doubled = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), condition, null)
            wide = level if level.alpha.ndim == 0 else jax.tree.map(lambda a: jnp.tile(a, 2), level)
            with_condition, without = jnp.split(denoise(jnp.concatenate([x, x]), wide, doubled), 2)
            # From the conditional estimate, so that scale = 1 leaves it as it is to the last bit.
            return with_condition + (self.scale - 1) * (with_condition - without)

        if (self.sigma_low, self.sigma_high) == (0, math.inf):
            return both

        def guided(x: Float[Array, "batch ..."], level: Level, condition: Any) -> Any:
            noise = level.noise_to_signal
            inside = (self.sigma_low < noise) & (noise <= self.sigma_high)
            if inside.ndim == 0:  # a solver's level: only the branch that is needed runs
                return jax.lax.cond(inside, both, denoise, x, level, condition)
            mask = inside.reshape(inside.shape + (1,) * (x.ndim - 1))
            return jnp.where(mask, both(x, level, condition), denoise(x, level, condition))

        return guided
