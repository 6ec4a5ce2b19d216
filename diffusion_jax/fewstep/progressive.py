"""Progressive distillation: two steps of the teacher in one of the student."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.fewstep.base import Network, Networks, fewstep, like, square
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import V, to_x0
from diffusion_jax.sampling.solvers.base import Denoise
from diffusion_jax.struct import Scalar, pytree


@fewstep.register("progressive")
@pytree
class Progressive:
    """max(snr, 1) |x_0~ - D(x)|², where one DDIM step onto x_0~ is two of the teacher's.

    x_0~ = (x'' - k x)/(alpha'' - k alpha), k = sigma''/sigma, with x'' where two DDIM steps of the
    teacher lead from x at t = i/N to t'' = (i - 1)/N. A training is one round: the student becomes
    the teacher of the next (`denoiser`), with N halved. The network predicts v; the path is
    alpha = cos(pi t/2), sigma = sin(pi t/2), t in [0, 1].

    Attributes:
        steps: N, of the student.

    Source: Salimans & Ho 2022, algorithm 2 and section 4.

    >>> Progressive(steps=2).level(jnp.array([1.0])).alpha.tolist()
    [0.0]
    """

    steps: Scalar = 4

    teaches = True
    draws = 1
    t_max = 1.0

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "steps")

    def level(self, time: Float[Array, "batch"]) -> Level:
        """The variance-preserving path whose angle is linear in time."""
        return Level(jnp.sin(jnp.pi / 2 * (1 - time)), jnp.sin(jnp.pi / 2 * time))

    def estimate(
        self, network: Network, x: Float[Array, "batch ..."], time: Float[Array, "batch"]
    ) -> Float[Array, "batch ..."]:
        """The x_0 that the network's v stands for."""
        return to_x0(network(x, time, jnp.zeros_like(time)), x, self.level(time), V())

    def denoiser(self, network: Network) -> Denoise:
        """A trained student as the teacher of the next round."""

        def denoise(x: Float[Array, "batch ..."], level: Level) -> Float[Array, "batch ..."]:
            return self.estimate(network, x, 2 / jnp.pi * jnp.arctan2(level.sigma, level.alpha))

        return denoise

    def jump(
        self,
        network: Network,
        x: Float[Array, "batch ..."],
        time: Float[Array, "batch"],
        end: Float[Array, "batch"],
    ) -> Float[Array, "batch ..."]:
        """One step of DDIM."""
        return ddim(x, self.estimate(network, x, time), self.level(time), self.level(end))

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
        here, half, there = (self.level(time - part / self.steps) for part in (0, 0.5, 1))
        start = here.mix(x0, eps)
        middle = ddim(start, teacher(start, here), here, half)
        end = ddim(middle, teacher(middle, half), half, there)
        kept = there.sigma / here.sigma
        wanted = (end - like(kept, start) * start) / like(there.alpha - kept * here.alpha, start)
        error = self.estimate(networks.student, start, time) - jax.lax.stop_gradient(wanted)
        return jnp.maximum((here.alpha / here.sigma) ** 2, 1) * square(error)


def ddim(
    x: Float[Array, "batch ..."], x0: Float[Array, "batch ..."], here: Level, there: Level
) -> Float[Array, "batch ..."]:
    """alpha_s x_0 + sigma_s eps, for levels (batch,).

    >>> ends = [Level(jnp.array([a]), jnp.array([s])) for a, s in ((0.5, 0.5), (0.75, 0.25))]
    >>> ddim(jnp.array([[1.0]]), jnp.array([[2.0]]), *ends).tolist()
    [[1.5]]
    """
    eps = (x - like(here.alpha, x) * x0) / like(here.sigma, x)
    return there.mix(x0, eps)
