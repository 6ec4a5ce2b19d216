"""Curves and films of one arm, as plain data."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int, UInt8


@dataclasses.dataclass(frozen=True)
class ScheduleCurve:
    """How one arm spreads noise over its time, and training over noise.

    Attributes:
        time: (T,) the schedule's own time scaled to [0, 1], 0 = data, 1 = noise.
        log_snr: (T,) log(alpha²/sigma²) at those times. Infinite ends are left out of the plot.
        density: (L,) probability density of the training noise level over
            `Report.log_snr_axis`, per unit of log-SNR.
        weight: (L,) effective weight over the same axis: that density times the loss weight,
            both written for the squared error of the *noise* prediction, so that arms with
            different prediction targets are comparable; constant for the evidence lower bound
            (Kingma & Gao 2023, eq. 6). Only its shape matters; the page scales it to 1 at
            log-SNR 0. Zero where training never looks.

    Density and weight are NaN for few-step objectives, which have neither.
    """

    time: Float[np.ndarray, " times"]
    log_snr: Float[np.ndarray, " times"]
    density: Float[np.ndarray, " levels"]
    weight: Float[np.ndarray, " levels"]


@dataclasses.dataclass(frozen=True)
class Losses:
    """A training curve.

    Attributes:
        step: (S,) optimizer step of each logged value, rising.
        loss: (S,) the logged loss, unsmoothed; the page smooths it. NaNs are left out.
    """

    step: Int[np.ndarray, " logged"]
    loss: Float[np.ndarray, " logged"]


@dataclasses.dataclass(frozen=True)
class Forward:
    """The forward process of one picture, from data to static, frame by frame.

    Attributes:
        time: (F,) the schedule's own time scaled to [0, 1], 0 = data, 1 = noise.
        log_snr: (F,) of each frame, falling.
        noisy: (F, H, W, C) x_t scaled for display, see `inference.trajectory.visible`.
    """

    time: Float[np.ndarray, " frames"]
    log_snr: Float[np.ndarray, " frames"]
    noisy: UInt8[np.ndarray, "frames height width channels"]
