"""Uniform training times: over an interval, over discrete labels, over log-SNR."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import ordered, positive, within
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.base import (
    TimeSampler,
    at_noise,
    at_share,
    noise_range,
    time_samplers,
)
from diffusion_jax.struct import Scalar, pytree, static


@time_samplers.register("uniform")
@pytree
class Uniform(TimeSampler):
    """Uniform in the schedule's own time.

    Source: Song et al. 2021 (score SDE), eq. 7.

    >>> from diffusion_jax.process.schedules import schedules
    >>> float(Uniform().time(jnp.float32(0.25), schedules.make("rectified_flow")))
    0.25
    """

    formula: ClassVar[str] = "t = t_min + u (t_max − t_min)"

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return at_share(schedule, u)


@time_samplers.register("discrete")
@pytree
class Discrete(TimeSampler):
    """One of T labels: t = t_max k/T, with k = ceil(u T) uniform in 1 … T.

    On a table of T betas these are the times of its entries, DDPM's integer steps. Its density
    over log-SNR is that of a uniform time, spread over the width of a label.

    Attributes:
        steps: T, the number of labels.

    Source: Ho et al. 2020 (DDPM), algorithm 1.

    >>> from diffusion_jax.process.schedules import schedules
    >>> float(Discrete(steps=4).time(jnp.float32(0.3), schedules.make("rectified_flow")))
    0.5
    """

    formula: ClassVar[str] = "t = t_max ⌈u T⌉/T, T = steps"

    steps: int = static(1000)

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "steps")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        label = jax.lax.stop_gradient(jnp.ceil(u * self.steps)) / self.steps
        # A label has no slope of its own: it takes that of u.
        time = schedule.t_max * (label + (u - jax.lax.stop_gradient(u)))
        return jnp.maximum(time, schedule.t_min)


@time_samplers.register("log_uniform")
@pytree
class LogUniform(TimeSampler):
    """Uniform in log-SNR.

    Attributes:
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Kingma et al. 2021 (VDM), section 4.1: the density of a log-SNR linear in time.
    """

    formula: ClassVar[str] = "log(σ/α) = (1 − u) log sigma_min + u log sigma_max"

    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        least, most = noise_range(schedule, self.sigma_min, self.sigma_max)
        return at_noise(schedule, least + u * (most - least))
