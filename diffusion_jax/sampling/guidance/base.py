"""What guidance is, and what all that contrast two estimates share."""

import math
from collections.abc import Callable
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError, finite, ordered, within
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.struct import Scalar, pytree, static

T = TypeVar("T")

# (x, level, stronger estimate, weaker estimate) → the guided estimate of x_0.
Combine = Callable[[Array, Level, Array, Array], Array]

# (x, level, condition, end) → the stronger and the weaker estimate of x_0.
Pair = Callable[[Array, Level, PyTree, Level | None], tuple[Array, Array]]


@runtime_checkable
class Guidance(Protocol):
    """A rule that steers a denoiser harder towards its condition."""

    @property
    def passes(self) -> int:
        """Network passes that one evaluation of the guided denoiser makes, at most."""
        ...

    @property
    def guided_by(self) -> tuple[str, int | None] | None:
        """(arm, checkpoint's step) of the guide that it needs; None if it needs none."""
        ...

    @property
    def perturbs(self) -> tuple[int, ...] | None:
        """Self-attentions that it lacks as its own guide, () for all; None if it is no guide."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether an evaluation depends on those before: no solver may then take one back."""
        ...

    def __call__(
        self,
        denoise: DenoiserLike,
        null: PyTree,
        run: SamplingRun | None = None,
        guide: DenoiserLike | None = None,
    ) -> Denoiser:
        """The steered denoiser, for one run of a sampler.

        Args:
            denoise: the denoiser, which takes a condition.
            null: the condition that says nothing, a pytree like those that `denoise` is given.
            run: of the sampler, for members that act by step rather than by level, or remember
                earlier evaluations; these steer one run, and are called anew for the next.
            guide: a second, weaker denoiser, for members that have one.
        """
        ...


guidance: Registry[Guidance] = Registry("guidance")


def needed(part: object, value: T | None, what: str) -> T:
    """Returns `value`, which `part` cannot do without.

    Raises:
        UserError: it is None.
    """
    if value is None:
        raise UserError(f"guidance {type(part).__name__} needs {what}.")
    return value


@pytree
class Contrast:
    """Guidance away from a weaker estimate of x_0, within an interval of noise.

    A member says how the two estimates are combined; by default in a straight line,
    D = weaker + scale (stronger - weaker). Outside of the interval the stronger is left alone.

    Attributes:
        scale: how far to go from the weaker to the stronger estimate, and beyond.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.
        channels: guides the first so many channels (the last axis) alone; None is all.
    """

    scale: Scalar = 2.0
    sigma_low: float = static(default=0.0)
    sigma_high: float = static(default=math.inf)
    channels: int | None = static(default=None)

    passes: ClassVar[int] = 2

    def __post_init__(self) -> None:
        finite(self, "scale")
        within(self, 0, math.inf, "sigma_low")
        ordered(self, "sigma_low", "sigma_high")
        within(self, 1, math.inf, "channels")

    @property
    def guided_by(self) -> tuple[str, int | None] | None:
        return None

    @property
    def perturbs(self) -> tuple[int, ...] | None:
        return None

    @property
    def remembers(self) -> bool:
        return False

    @property
    def bounded(self) -> bool:
        """Whether there is noise at which it does not guide."""
        return (self.sigma_low, self.sigma_high) != (0, math.inf)

    def combine(
        self,
        x: Float[Array, "batch ..."],
        level: Level,
        stronger: Float[Array, "batch ..."],
        weaker: Float[Array, "batch ..."],
    ) -> Float[Array, "batch ..."]:
        """The guided estimate at x."""
        # From the stronger estimate, so that scale = 1 leaves it as it is to the last bit.
        return stronger + (self.scale - 1) * (stronger - weaker)

    def begin(self, run: SamplingRun | None) -> Combine:
        """`combine` for one run of a sampler."""
        return self.combine

    def pair(self, denoise: Denoiser, null: PyTree, guide: Denoiser | None) -> Pair:
        """The stronger and the weaker estimate: with the condition and without it."""

        def both(
            x: Float[Array, "batch ..."], level: Level, condition: PyTree, end: Level | None
        ) -> tuple[Array, Array]:
            # One call on a doubled batch: the network is compiled, and launched, once.
            doubled = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), condition, null)
            levels = jax.tree.map(lambda a: a if a.ndim == 0 else jnp.tile(a, 2), (level, end))
            estimates = denoise(jnp.concatenate([x, x]), levels[0], doubled, levels[1])
            return estimates[: x.shape[0]], estimates[x.shape[0] :]

        return both

    def __call__(
        self,
        denoise: DenoiserLike,
        null: PyTree,
        run: SamplingRun | None = None,
        guide: DenoiserLike | None = None,
    ) -> Denoiser:
        inner = as_denoiser(denoise)
        pair = self.pair(inner, null, None if guide is None else as_denoiser(guide))
        combine = self.begin(run)

        def steered(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
            stronger, weaker = pair(x, level, condition, end)
            guided = combine(x, level, stronger, weaker)
            if self.channels is None:
                return guided
            return stronger.at[..., : self.channels].set(guided[..., : self.channels])

        if not self.bounded:
            return inner.wrapped(steered)

        def guided(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
            noise = level.noise_to_signal
            inside = (self.sigma_low < noise) & (noise <= self.sigma_high)
            if inside.ndim == 0:  # a solver's level: only the branch that is needed runs
                return jax.lax.cond(inside, steered, inner, x, level, condition, end)
            mask = inside.reshape(inside.shape + (1,) * (x.ndim - 1))
            given = (x, level, condition, end)
            return jnp.where(mask, steered(*given), inner(*given))

        return inner.wrapped(guided)
