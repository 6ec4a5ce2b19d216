"""One step of the reverse chain, q(x_s | x_t, x_0), and the variances that models give it.

1. The process restricted to two levels, s less noisy than t, is
       x_t = r x_s + sigma_ts z,   r = alpha_t/alpha_s,   sigma_ts² = sigma_t² - r² sigma_s².
2. As SNR(t)/SNR(s) = r² sigma_s²/sigma_t², the share of the noise of x_t that is newer than s is
       sigma_ts²/sigma_t² = 1 - SNR(t)/SNR(s) = -expm1(log_snr_t - log_snr_s) = fresh,
   without subtracting nearly equal numbers.
3. By Bayes, q(x_s | x_t, x_0) is normal, with
       mean = r sigma_s²/sigma_t² x_t + alpha_s fresh x_0,   variance = sigma_s² fresh.
4. A model that knows E[x_0 | x_t] only has a variance between that one ("small", right if x_0 is
   known) and sigma_ts² = sigma_t² fresh ("large", right for data that are standard normal).
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.errors import one_of
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.struct import pytree

FIXED = ("small", "large")
LEARNED = ("learned", "learned_range")


@pytree
class StepPosterior:
    """q(x_s | x_t, x_0): mean = of_x x_t + of_x0 x_0, and the logarithms of two variances.

    Attributes:
        of_x: coefficient of x_t in the mean.
        of_x0: coefficient of x_0 in it.
        log_small: log(sigma_s² fresh), its variance; -inf onto clean data.
        log_large: log(sigma_t² fresh), that of x_t given x_s.

    Source: Ho et al. 2020 (DDPM), eq. 6-7; Kingma et al. 2021 (VDM), eq. 25-28, for any two levels.
    """

    of_x: Float[Array, "..."]
    of_x0: Float[Array, "..."]
    log_small: Float[Array, "..."]
    log_large: Float[Array, "..."]

    def mean(self, x: Float[Array, "..."], x0: Float[Array, "..."]) -> Float[Array, "..."]:
        """The mean of x_s; coefficients per sample broadcast from the left."""
        return wide(self.of_x, x) * x + wide(self.of_x0, x) * x0


def posterior(here: Level, there: Level) -> StepPosterior:
    """The posterior of the step from level `here`, noisy, to the less noisy or clean `there`.

    >>> here = Level(jnp.float32(0.6), jnp.float32(0.8))
    >>> round(float(posterior(here, Level.from_log_snr(jnp.float32(2.0))).of_x0), 4)
    0.8671
    """
    log_fresh = jnp.log(-jnp.expm1(here.log_snr - there.log_snr))
    kept = (there.sigma / here.sigma) ** 2
    return StepPosterior(
        of_x=here.alpha / there.alpha * kept,
        of_x0=there.alpha * jnp.exp(log_fresh),
        log_small=2 * jnp.log(there.sigma) + log_fresh,
        log_large=2 * jnp.log(here.sigma) + log_fresh,
    )


def log_variance(
    kind: str, learned: Float[Array, "..."] | None, step: StepPosterior
) -> Float[Array, "..."]:
    """The logarithm of the variance that a model gives to a step.

    Args:
        kind: "small" or "large", see above; "learned": the model predicts the logarithm itself;
            "learned_range": it predicts where between both, from -1 (small) to 1 (large).
        learned: what the model predicts, of the shape of x; None for the fixed ones.
        step: its posterior.

    Returns:
        Of the shape of x, or of the step's for the fixed ones.

    Raises:
        UserError: no such kind.

    Source: Nichol & Dhariwal 2021 (improved DDPM), eq. 15.

    >>> step = posterior(Level.from_log_snr(jnp.float32(0)), Level.from_log_snr(jnp.float32(1)))
    >>> learned = log_variance("learned_range", jnp.float32(-1.0), step)
    >>> bool(learned == step.log_small)
    True
    """
    one_of(kind, (*FIXED, *LEARNED), "variance")
    if learned is None or kind in FIXED:
        return step.log_small if kind == "small" else step.log_large
    if kind == "learned":
        return learned
    part = (learned + 1) / 2
    return part * wide(step.log_large, learned) + (1 - part) * wide(step.log_small, learned)


@pytree
class ChainStep:
    """A step of a chain of T, down to data.

    Attributes:
        there: the level after the step; alpha = 1 and sigma = 0 for the last one, the decoder.
        posterior: of the step. Onto clean data the small variance is 0, and the likelihood of a
            decoder would be infinite: there `log_small` is that of the step before, as in DDPM.
    """

    there: Level
    posterior: StepPosterior

    @property
    def decodes(self) -> Bool[Array, "..."]:
        """Whether it is the decoder."""
        return self.there.sigma <= 0

    def log_variance(self, kind: str, learned: Float[Array, "..."] | None) -> Float[Array, "..."]:
        """As `log_variance`, but that a decoder's fixed variance is small whatever the kind."""
        if learned is None or kind in FIXED:
            decoder, other = log_variance("small", learned, self.posterior), self.posterior
            return jnp.where(self.decodes, decoder, log_variance(kind, learned, other))
        return log_variance(kind, learned, self.posterior)


def chain_step(schedule: Schedule, time: Float[Array, "*batch"], steps: int) -> ChainStep:
    """The step that a chain of T steps takes from `time`: to t_max/T earlier, or to clean data.

    Clean is what is less than half a step from t = 0, or more than that before t_min.

    Args:
        schedule: whose chain it is; of a table of T betas, the chain of its entries.
        time: where to step from, at least half a step.
        steps: T, at least 2.

    Source: Ho et al. 2020 (DDPM), section 3.2; Nichol & Dhariwal 2021, eq. 10.

    >>> from diffusion_jax.process.schedules import schedules
    >>> step = chain_step(schedules.make("ddpm_linear"), jnp.array([0.001, 0.002]), 1000)
    >>> step.decodes.tolist()
    [True, False]
    """
    length = schedule.t_max / steps

    def level(time: Float[Array, "*batch"]) -> Level:
        found = schedule.level(jnp.clip(time, schedule.t_min, schedule.t_max))
        clean = time < jnp.maximum(length / 2, schedule.t_min - length / 2)
        return Level(jnp.where(clean, 1, found.alpha), jnp.where(clean, 0, found.sigma))

    here, there = schedule.level(time), level(time - length)
    step, before = posterior(here, there), posterior(level(time + length), here)
    log_small = jnp.where(there.sigma > 0, step.log_small, before.log_small)
    return ChainStep(there, StepPosterior(step.of_x, step.of_x0, log_small, step.log_large))
