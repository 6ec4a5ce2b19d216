"""The curves of an objective: its schedule, and where and how much it trains, over the log-SNR."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.fewstep.denoiser import FewStepPrediction
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers import at_quantile
from diffusion_jax.process.weightings import effective_weight
from diffusion_jax.reports.content import ScheduleCurve

Curve = Float[np.ndarray, " levels"]
CURVE = 256  # points of a schedule's curve
QUANTILES = 4096  # of a training distribution, enough for a smooth density


def schedule_curves(objective: Objective, axis: Curve) -> ScheduleCurve:
    """A schedule over time, and its training density and effective weight over log-SNR.

    Args:
        objective: of the arm.
        axis: (levels,) log-SNR at which density and weight are wanted; zero where training
            never looks. Few-step objectives, which draw two times and hold a network against
            itself, have neither: they are NaN.
    """
    schedule = objective.schedule
    time, there = np.stack(_over_time(schedule)).astype(np.float64)
    if isinstance(objective.prediction, FewStepPrediction):
        return ScheduleCurve(time, there, *np.full((2, len(axis)), np.nan))
    found = np.stack(_over_training(objective)).astype(np.float64)
    # Quantiles that are clipped to the end of the schedule share one level, of no width.
    found = found[:, found[1] > 0]
    log_snr, slope, effective = found[:, np.argsort(found[0])]

    def on_axis(values: Float[np.ndarray, " quantiles"]) -> Curve:
        return np.interp(axis, log_snr, values, left=0, right=0)

    return ScheduleCurve(time, there, on_axis(1 / slope), on_axis(effective))


@jax.jit
def _over_time(schedule: Schedule) -> tuple[Array, Array]:
    """Parts of the time, and the log-SNR there."""
    time = jnp.linspace(schedule.t_min, schedule.t_max, CURVE)
    relative = (time - schedule.t_min) / (schedule.t_max - schedule.t_min)
    return relative, schedule.level(time).log_snr


@jax.jit
def _over_training(objective: Objective) -> tuple[Array, Array, Array]:
    """Log-SNR, its slope and the effective weight, at quantiles of the training distribution."""
    u = (jnp.arange(QUANTILES) + 0.5) / QUANTILES
    _, level, slope = at_quantile(objective.time_sampler, objective.schedule, u)
    weight = objective.weighting.weight(level, objective.prediction, slope)
    effective = effective_weight(weight, level, objective.prediction, slope)
    return level.log_snr, slope, effective


def common_axis(objectives: Sequence[Objective], points: int = 400) -> Curve:
    """A log-SNR axis that holds 99.8% of the training levels of every objective."""
    u = jnp.array([0.001, 0.999])
    ends = np.concatenate(
        [o.schedule.level(o.time_sampler.time(u, o.schedule)).log_snr for o in objectives]
    )
    finite = ends[np.isfinite(ends)]
    return np.linspace(max(float(finite.min()), -20.0), min(float(finite.max()), 20.0), points)
