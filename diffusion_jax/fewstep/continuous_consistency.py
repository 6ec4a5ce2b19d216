"""sCM: a consistency model in continuous time, from its own derivative along the flow."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.fewstep.base import Networks, TwoTimeNetwork, fewstep
from diffusion_jax.process.per_sample import mean_square, wide
from diffusion_jax.process.schedules.trigonometric import TrigFlow
from diffusion_jax.sampling.forward_mode import forward_mode
from diffusion_jax.struct import Scalar, pytree, static


@fewstep.register("continuous_consistency")
@pytree
class ContinuousConsistency:
    """|F(x, t) - F^(x, t) - g/(|g| + c)|², where F^ = F is a constant and g is -df/dt, weighted.

    f = cos(a) x - s sin(a) F(x/s, t) is the consistency function on TrigFlow's path
    x = cos(a) x_0 + s sin(a) eps, with s the data's standard deviation and a = pi t/2. Along
    dx/da, which is s cos(a) eps - sin(a) x_0, or the teacher's (cos(a) x - D)/sin(a),

        g = -cos²(a) (s F^ - dx/da) - r cos(a) sin(a) (x + s dF^/da),

    which is cos(a) df/da at r = 1; r grows from 0 as training sets in, and dF^/da comes by
    forward differentiation. log(s tan a) is normal. All times count alike: the paper learns a
    weight for each, beside.

    Attributes:
        sigma_data: standard deviation of the data.
        mean: of log(s tan a), the logarithm of sigma/alpha.
        std: of the same.
        c: keeps short g short.
        warmup: share of the training in which r grows to 1.
        teaches: whether a teacher gives dx/da (sCD); else the data does (sCT).

    Source: Lu & Song 2024 (sCM), algorithm 1, eq. 6-8, 10 and 11.
    """

    formula: ClassVar[str] = (
        "L = |F − F′ − g/(|g| + c)|², F′ = F, g = −cos²(a) (sigma_data F′ − dx/da) − r cos(a) "
        "sin(a) (x + sigma_data dF′/da), a = πt/2"
    )

    sigma_data: Scalar = 0.5
    mean: Scalar = -1.0
    std: Scalar = 1.4
    c: Scalar = 0.1
    warmup: Scalar = 0.1
    teaches: bool = static(default=False)

    average = False
    tells_end = False
    denoises = False
    inherits = False
    paced = True
    draws = 1

    def __post_init__(self) -> None:
        positive(self, "sigma_data", "std", "c", "warmup")
        within(self, 0, 1, "warmup")

    @property
    def schedule(self) -> TrigFlow:
        """alpha = cos(a), sigma = s sin(a): x has the data's variance at all times."""
        return TrigFlow(self.sigma_data)

    def c_noise(self, time: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """2 t - 1: linear and slow, so that derivatives in time stay small."""
        return 2 * time - 1

    def estimate(
        self,
        network: TwoTimeNetwork,
        x: Float[Array, "batch ..."],
        time: Float[Array, "batch"],
        end: Float[Array, "batch"],
    ) -> Float[Array, "batch ..."]:
        """f(x, t), whatever the end."""
        level = self.schedule.level(time)
        out = network(x / self.sigma_data, time, jnp.zeros_like(time))
        return wide(level.alpha, x) * x - wide(level.sigma, x) * out

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        noise = jnp.exp(self.mean + self.std * norm.ppf(jnp.clip(uniform[:, 0], 1e-6, 1 - 1e-6)))
        time = self.schedule.time(-2 * jnp.log(noise))
        level = self.schedule.level(time)
        x = level.mix(x0, eps)
        cos, sin = wide(level.alpha, x), wide(level.sigma / self.sigma_data, x)
        velocity = self.sigma_data * cos * eps - sin * x0
        if self.teaches:
            velocity = (cos * x - networks.followed()(x, level)) / sin

        def own(x: Array, time: Array) -> Array:
            return networks.student(x / self.sigma_data, time, jnp.zeros_like(time))

        # Time runs from 0 to 1 where the angle runs from 0 to pi/2.
        along = velocity, jnp.full_like(time, 2 / jnp.pi)
        with forward_mode("continuous_consistency"):
            found, slope = jax.jvp(own, (x, time), along)
        fixed = jax.lax.stop_gradient(found)
        share = jnp.minimum(progress / self.warmup, 1)
        g = -(cos**2) * (self.sigma_data * fixed - velocity)
        g -= share * cos * sin * (x + self.sigma_data * jax.lax.stop_gradient(slope))
        length = jnp.sqrt(jnp.sum(g.reshape(len(g), -1) ** 2, axis=1))
        return mean_square(found - fixed - jax.lax.stop_gradient(g / wide(length + self.c, g)))
