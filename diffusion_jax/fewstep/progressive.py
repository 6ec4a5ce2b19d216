"""Progressive distillation: two steps of the teacher in one of the student."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.fewstep.base import Networks, TwoTimeNetwork, ddim, fewstep
from diffusion_jax.process.per_sample import mean_square, wide
from diffusion_jax.process.preconditionings import c_noise, input_scale
from diffusion_jax.process.predictions import EDMPrediction, to_x0
from diffusion_jax.process.schedules.trigonometric import TrigFlow
from diffusion_jax.struct import Scalar, pytree


@fewstep.register("progressive")
@pytree
class Progressive:
    """max(snr, 1) |x_0~ - D(x)|², where one DDIM step onto x_0~ is two of the teacher's.

    x_0~ = (x'' - k x)/(alpha'' - k alpha), k = sigma''/sigma, with x'' where two DDIM steps of the
    teacher lead from x at t = i/N to t'' = (i - 1)/N. A training is one round: the student becomes
    the teacher of the next, with N halved. The network predicts EDM's F, which is -v where the
    data has unit variance; the path is alpha = cos(pi t/2), sigma = sin(pi t/2), t in [0, 1].

    Attributes:
        steps: N, of the student.
        sigma_data: standard deviation of the data.

    Source: Salimans & Ho 2022, algorithm 2 and section 4.

    >>> Progressive(steps=2).schedule.level(jnp.array([1.0])).alpha.tolist()
    [0.0]
    """

    formula: ClassVar[str] = (
        "L = max(SNR, 1) |x̃₀ − D(x)|², x̃₀ = (x″ − k x)/(α″ − k α), k = σ″/σ, x″ two DDIM steps "
        "of the teacher from x"
    )

    steps: Scalar = 4
    sigma_data: Scalar = 0.5

    schedule = TrigFlow()
    teaches = True
    average = False
    tells_end = False
    denoises = True
    inherits = True
    paced = False
    draws = 1

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "steps")
        positive(self, "sigma_data")

    def c_noise(self, time: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """That of every denoiser."""
        return c_noise(self.schedule.level(time))

    def estimate(
        self,
        network: TwoTimeNetwork,
        x: Float[Array, "batch ..."],
        time: Float[Array, "batch"],
        end: Float[Array, "batch"],
    ) -> Float[Array, "batch ..."]:
        """The x_0 that the network's F stands for, wherever its step of DDIM leads."""
        level = self.schedule.level(time)
        scaled = wide(input_scale(level, self.sigma_data), x) * x
        value = network(scaled, time, jnp.zeros_like(time))
        return to_x0(value, x, level, EDMPrediction(self.sigma_data))

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        teacher = networks.followed()
        time = (jnp.floor(uniform[:, 0] * self.steps) + 1) / self.steps
        here, half, there = (self.schedule.level(time - part / self.steps) for part in (0, 0.5, 1))
        start = here.mix(x0, eps)
        middle = ddim(start, teacher(start, here), here, half)
        end = ddim(middle, teacher(middle, half), half, there)
        kept = there.sigma / here.sigma
        wanted = (end - wide(kept, start) * start) / wide(there.alpha - kept * here.alpha, start)
        error = self.estimate(networks.student, start, time, time) - jax.lax.stop_gradient(wanted)
        return jnp.maximum((here.alpha / here.sigma) ** 2, 1) * mean_square(error)
