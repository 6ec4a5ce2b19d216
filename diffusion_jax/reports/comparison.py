"""From what a comparison measured to what its page says."""

import datetime
import json
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.evaluation.distance import Reference
from diffusion_jax.evaluation.generate import Path
from diffusion_jax.evaluation.measure import Cell, Plan, Way
from diffusion_jax.evaluation.paired import Difference, rate_difference
from diffusion_jax.evaluation.proportions import wilson
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.times import log_snr_slope
from diffusion_jax.process.weightings import effective_weight
from diffusion_jax.reports import content
from diffusion_jax.reports.pictures import from_noisy
from diffusion_jax.training.arms import Arm

CURVE = 256  # points of a schedule's curve
QUANTILES = 4096  # of a training distribution, enough for a smooth density
PAIRED_METHOD = (
    "Every arm saw the same training pictures, noise and uniform times, and samples from the same "
    "captions and noise. Rates: McNemar's exact test, adjusted Wald interval. Distances: t interval "
    "of the paired influence of each sample."
)


def schedule_curves(objective: Objective, axis: np.ndarray) -> content.Schedule:
    """A schedule over time, and its training density and effective weight over log-SNR.

    Args:
        objective: of the arm.
        axis: (levels,) log-SNR at which density and weight are wanted; zero where training
            never looks.
    """
    schedule = objective.schedule
    time = jnp.linspace(schedule.t_min, schedule.t_max, CURVE)
    u = (jnp.arange(QUANTILES) + 0.5) / QUANTILES
    level = schedule.level(objective.times.time(u, schedule))
    slope = log_snr_slope(objective.times, schedule, u)
    weight = objective.weighting.weight(level, objective.prediction, slope)
    effective = effective_weight(weight, level, objective.prediction, slope)

    log_snr = np.asarray(level.log_snr, np.float64)
    order = np.argsort(log_snr)

    def on_axis(values: np.ndarray) -> np.ndarray:
        return np.interp(axis, log_snr[order], values[order], left=0, right=0)

    relative = (time - schedule.t_min) / (schedule.t_max - schedule.t_min)
    return content.Schedule(
        np.asarray(relative, np.float64),
        np.asarray(schedule.level(time).log_snr, np.float64),
        on_axis(1 / np.asarray(slope, np.float64)),
        on_axis(np.asarray(effective, np.float64)),
    )


def common_axis(objectives: Sequence[Objective], points: int = 400) -> np.ndarray:
    """A log-SNR axis that holds 99.8% of the training levels of every objective."""
    u = jnp.array([0.001, 0.999])
    ends = np.concatenate(
        [o.schedule.level(o.times.time(u, o.schedule)).log_snr for o in objectives]
    )
    finite = ends[np.isfinite(ends)]
    return np.linspace(max(finite.min(), -20.0), min(finite.max(), 20.0), points)
