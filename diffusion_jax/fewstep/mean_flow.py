"""MeanFlow: the average velocity over any distance, from its own derivative."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.fewstep.base import Networks, fewstep
from diffusion_jax.fewstep.straight import StraightPath, logit_normal
from diffusion_jax.process.per_sample import mean_square, wide
from diffusion_jax.sampling.forward_mode import forward_mode
from diffusion_jax.struct import Scalar, pytree


@fewstep.register("mean_flow")
@pytree
class MeanFlow(StraightPath):
    """|u(x, t, r) - (v - (t - r) du/dt)|², v = eps - x_0, over its own size to a power.

    u = 1/(t - r) ∫ v ds from r to t, whose derivative along the flow gives the identity
    u = v - (t - r) du/dt, with du/dt = v · du/dx + ∂u/∂t by forward differentiation. The right side
    is a constant. t and r are the larger and the smaller of two logit-normal draws, and r = t for
    most samples, which is flow matching. In the straight path's time.

    Attributes:
        share: of the samples with r < t.
        mean: of logit t.
        std: of logit t.
        power: p; each loss is divided by the constant (loss + c)^p.
        c: least size.

    Source: Geng et al. 2025 (mean flows), eq. 6-12 and algorithm 1.
    """

    formula: ClassVar[str] = (
        "L = e/(e + c)^power, e = |u(x, t, r) − (v − (t − r) du/dt)|², v = ε − x₀"
    )

    share: Scalar = 0.25
    mean: Scalar = -0.4
    std: Scalar = 1.0
    power: Scalar = 1.0
    c: Scalar = 1e-3

    teaches = False
    average = False
    tells_end = True
    draws = 3

    def __post_init__(self) -> None:
        within(self, 0, 1, "share")
        within(self, 0, float("inf"), "power")
        positive(self, "std", "c")

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        pair = logit_normal(uniform[:, :2], self.mean, self.std)
        time = jnp.max(pair, axis=1)
        end = jnp.where(uniform[:, 2] < self.share, jnp.min(pair, axis=1), time)
        x, v = self.schedule.level(time).mix(x0, eps), eps - x0
        along = (v, jnp.ones_like(time), jnp.zeros_like(end))
        with forward_mode("mean_flow"):
            u, slope = jax.jvp(networks.student, (x, time, end), along)
        wanted = v - wide(time - end, x) * slope
        error = mean_square(u - jax.lax.stop_gradient(wanted))
        return error / jax.lax.stop_gradient(error + self.c) ** self.power
