"""What the settings of guided-diffusion and DiT mean, in terms of this library."""

import dataclasses
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.schedules.table import Table
from diffusion_jax.sampling.grids.labels import Sections, Strided
from diffusion_jax.sampling.guidance.classifier import classifier_guided
from diffusion_jax.sampling.thresholds import Clip
from diffusion_jax.struct import pytree, static
from tests.golden.check import Known, Uncovered
from tests.golden.diffusers import Thresholded
from tests.golden.load import Case
from tests.golden.problems import Problem
from tests.golden.replay import at_times

SCHEDULES = Known("schedule", {"linear": "ddpm_linear", "cosine": "ddpm_cosine"})
MEANS = Known(
    "model_mean_type",
    {"EPSILON": "epsilon", "START_X": "x0", "PREVIOUS_X": "previous(steps={})"},
)
VARIANCES = Known(
    "model_var_type",
    {
        "FIXED_SMALL": "small",
        "FIXED_LARGE": "large",
        "LEARNED": "learned",
        "LEARNED_RANGE": "learned_range",
    },
)
# What a run takes where it is told nothing.
DEFAULTS = {
    "T": 1000,
    "schedule": "linear",
    "respacing": None,
    "model_mean_type": "EPSILON",
    "model_var_type": "FIXED_SMALL",
    "clip_denoised": True,
    "eta": 0.0,
    "rescale_timesteps": False,
    "cond_class": None,
    "cond_scale": 1.0,
    "loss_type": "MSE",
}


def asked(case: Case, name: str) -> Any:
    """A setting of guided-diffusion, or its default."""
    return case.kwargs.get(name, DEFAULTS[name])


def words(respacing: Any) -> str:
    """A respacing as it is written on the command line; theirs also take a list of counts."""
    written = ",".join(map(str, respacing)) if isinstance(respacing, list) else str(respacing or "")
    if not re.fullmatch(r"(ddim\d+|\d+(, ?\d+)*)?", written):
        raise Uncovered(f"respacing {written!r} is not known here")
    return written


# They take betas from 1 and multiply, which rounds what little signal is left at the end.
ROUNDING = 1e-13


def dit_schedule(case: Case) -> str:
    """OpenAI's name of the table that DiT names."""
    name = case.kwargs.get("noise_schedule", "linear")
    return {"squaredcos_cap_v2": "cosine"}.get(name, name)


def kept(respacing: Any, trained: int) -> np.ndarray:
    """The labels that a respacing keeps, least noise first, by our own grids."""
    respacing = words(respacing)
    if not respacing:
        return np.arange(trained)
    if respacing.startswith("ddim"):
        labels = Strided(trained).labels(int(respacing.removeprefix("ddim")))
    else:
        shares = tuple(int(share) for share in respacing.split(","))
        labels = Sections(shares, trained).labels(sum(shares))
    return np.asarray(labels, int)[::-1]


@dataclasses.dataclass(frozen=True)
class Chain:
    """A chain of some of the steps of a table: of as many entries, least noise first."""

    labels: np.ndarray  # of the entries in the whole table
    trained: int  # entries of the whole table
    table: Table

    @staticmethod
    def of(schedule: str, trained: int, labels: np.ndarray) -> "Chain":
        """The chain of the entries `labels` of a published table."""
        whole = schedules.make(f"{SCHEDULES[schedule]}(steps={trained})")
        assert isinstance(whole, Table)
        return Chain(labels, trained, Table(jnp.asarray(np.asarray(whole.log_alpha)[labels])))

    @property
    def steps(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def levels(self) -> Level:
        """Of the entries, least noise first, in numpy."""
        level = at_times(self.table, np.arange(1, self.steps + 1) / self.steps).level
        return jax.tree.map(np.asarray, level)

    @property
    def down(self) -> tuple[np.ndarray, np.ndarray]:
        """alpha and sigma of the entries, noisiest first, and of clean data."""
        return np.append(self.levels.alpha[::-1], 1.0), np.append(self.levels.sigma[::-1], 0.0)

    def prediction(self, mean_type: str) -> Prediction:
        """What the network predicts."""
        return predictions.make(MEANS[mean_type].format(self.steps), schedule=self.table)


@pytree
class ClassGradient:
    """The gradient of the exact classifier of a mixture's components: (x, level) → d log p/dx."""

    data: Any
    component: Array

    def __call__(self, x: Array, level: Level, condition: Any = None) -> Array:
        chosen = jnp.full(x.shape[0], self.component)
        # Tweedie: the score is (alpha E[x_0|x] - x)/sigma².
        difference = self.data.denoise(x, level, chosen) - self.data.denoise(x, level)
        level = level.like(x)
        return level.alpha / level.sigma**2 * difference


@pytree
class Steered:
    """A problem whose estimates are guided by a classifier.

    Attributes:
        data: the problem.
        gradient: of the classifier.
        scale: of its guidance.
    """

    data: Any
    gradient: ClassGradient
    scale: Any

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        guided = classifier_guided(self.data.denoise, self.gradient, self.scale)
        return guided(x, level, condition)


def sampled(
    data: Problem, clip: bool, gradient: ClassGradient | None = None, scale: float = 1.0
) -> Problem:
    """A problem with what a sampler puts around it: x_0 within [-1, 1], and then a classifier."""
    kept = Thresholded(data, Clip()) if clip else data
    return kept if gradient is None else Steered(kept, gradient, scale)


@pytree
class Telling:
    """A problem whose denoiser also tells what was recorded of its variance, level by level.

    Attributes:
        data: tells E[x_0 | x].
        sigma: of the levels, (steps,).
        told: at each, (steps, batch, dim).
        kind: how to read it.
    """

    data: Any
    sigma: Array
    told: Array
    kind: str = static()

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        return self.data.denoise(x, level, condition)

    @property
    def telling(self) -> Denoiser:
        def estimate(x: Array, level: Level, condition: Any = None) -> tuple[Array, Array]:
            nearest = jnp.argmin(jnp.abs(self.sigma - jnp.ravel(level.sigma)[0]))
            return self.denoise(x, level, condition), self.told[nearest]

        return Denoiser.with_variance(self.kind, estimate)


def told(data: Problem, kind: str, sigma: Any, recorded: Any) -> Problem:
    """`data`, telling its variance if the kind is one that is learned."""
    if not kind.startswith("learned"):
        return data
    return Telling(data, jnp.asarray(sigma), jnp.asarray(recorded), kind)
