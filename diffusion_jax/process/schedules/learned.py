"""A schedule that can be learned: log-SNR as a monotone network of time."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from jax.scipy.special import ndtri
from jax.tree_util import Partial
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules, solve
from diffusion_jax.struct import Scalar, pytree

LEARNED = ("slope", "rate", "bias", "out")


@pytree
class MonotoneNetwork:
    """Log-SNR by a network whose weights count by their absolute value, so that it only falls.

    h(t) = |slope| t + mean_k |out_k| tanh((|rate_k| (2t - 1) + bias_k)/2), for t in [0, 1];
    log_snr(t) = max - (max - min) (h(t) - h(0))/(h(1) - h(0)); variance-preserving. So the ends
    stay whatever the network does.

    Attributes:
        log_snr_min: log-SNR at t = 1.
        log_snr_max: log-SNR at t = 0.
        slope: how much h rises, but for the hidden units.
        rate: of each hidden unit, (units,).
        bias: of each hidden unit, (units,).
        out: weight of each hidden unit, (units,).

    Source: Kingma et al. 2021 (VDM), appendix H.

    >>> z = jnp.zeros(3)
    >>> schedule = MonotoneNetwork(jnp.array(-5.0), jnp.array(13.3), jnp.array(1.0), z, z, z)
    >>> round(float(schedule.level(jnp.float32(0.5)).log_snr), 3)
    4.15
    """

    log_snr_min: Scalar
    log_snr_max: Scalar
    slope: Scalar
    rate: Float[Array, "units"]
    bias: Float[Array, "units"]
    out: Float[Array, "units"]

    t_min = 0.0
    t_max = 1.0

    def learned(self) -> dict[str, Array]:
        return {name: jnp.asarray(getattr(self, name)) for name in LEARNED}

    def with_learned(self, params: Mapping[str, Array]) -> "MonotoneNetwork":
        return dataclasses.replace(self, **params)

    def height(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        """h(t), which rises."""
        hidden = jnp.abs(self.rate) * (2 * time[..., None] - 1) + self.bias
        bent = jnp.mean(jnp.abs(self.out) * jnp.tanh(hidden / 2), axis=-1)
        return jnp.abs(self.slope) * time + bent

    def _log_snr(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        first, last = self.height(jnp.array([self.t_min, self.t_max], time.dtype))
        fallen = (self.height(time) - first) / (last - first)
        return self.log_snr_max - (self.log_snr_max - self.log_snr_min) * fallen

    def level(self, time: Float[Array, "..."]) -> Level:
        return Level.from_log_snr(self._log_snr(time))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        # Somewhat beyond the ends too, as far as the other schedules continue theirs.
        return solve(Partial(MonotoneNetwork._log_snr, self), log_snr, -1.0, 2.0)


@schedules.register(
    "learned_log_snr",
    formula=(
        "λ = λ_max − (λ_max − λ_min) (h(t) − h(0))/(h(1) − h(0)), h(t) = |w| t + meanₖ |vₖ| "
        "tanh((|rₖ| (2t − 1) + bₖ)/2), α² + σ² = 1"
    ),
)
def learned_log_snr(
    units: int = 1024, log_snr_min: float = -5.0, log_snr_max: float = 13.3
) -> MonotoneNetwork:
    """Log-SNR by VDM's monotone network, trained with the score network by the square of its loss.

    Before training it is close to `linear_log_snr`: the initial weights are the quantiles of the
    normal distributions from which VDM draws them. Within another schedule it stays so.

    Args:
        units: hidden units.
        log_snr_min: log-SNR at t = 1.
        log_snr_max: log-SNR at t = 0.

    Raises:
        UserError: no units, or ends in the wrong order.

    Source: Kingma et al. 2021 (VDM), section 5 and appendices H and I.2.

    >>> schedule = learned_log_snr(units=16)
    >>> round(float(schedule.level(jnp.float32(0.5)).log_snr), 2)
    4.15
    """
    if units < 1 or not log_snr_min < log_snr_max:
        raise UserError(
            "schedule 'learned_log_snr' needs 1 or more units and log_snr_min < log_snr_max, not "
            f"{units}, {log_snr_min} and {log_snr_max}."
        )
    normal = ndtri((jnp.arange(units) + 0.5) / units)
    least, most = jnp.array([log_snr_min, log_snr_max], dtype=float)
    # The two halves of the weights are paired crosswise, so that no unit has all that is small.
    out = jnp.roll(normal, units // 4) / jnp.sqrt(units) / (most - least)
    return MonotoneNetwork(least, most, jnp.ones_like(least), normal, jnp.zeros(units), out)
