"""What a report says, as plain data: numpy arrays, numbers and words.

A `Report` knows nothing of networks, schedules or files. Whoever ran the experiment fills it
in; `diffusion_jax.reports.page.write` draws it. So the page can be tested with made-up data,
and a figure can be drawn again without running anything again.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from diffusion_jax.statistics.estimate import Estimate

Pictures = UInt8[np.ndarray, "n height width channels"]
Film = UInt8[np.ndarray, "frames n height width channels"]


@dataclasses.dataclass(frozen=True)
class Schedule:
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
class NoiseErrors:
    """How well an arm finds the noise in held-out pictures, by noise level.

    Attributes:
        edges: (B + 1,) of the bins of log-SNR.
        mean: (B,) mean square error in the noise within each bin, over pictures.
        low: (B,) lower ends of 95% intervals.
        high: (B,) upper ends.
    """

    edges: Float[np.ndarray, " edges"]
    mean: Float[np.ndarray, " bins"]
    low: Float[np.ndarray, " bins"]
    high: Float[np.ndarray, " bins"]


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """The reverse process of one arm, from noise to pictures, frame by frame.

    Attributes:
        log_snr: (F,) of each frame, rising; the last may be inf.
        noisy: (F, N, H, W, C) x_t scaled for display, see `pictures.from_noisy`.
        denoised: (F, N, H, W, C) the denoiser's estimate of x_0 from that x_t.
    """

    log_snr: Float[np.ndarray, " frames"]
    noisy: Film
    denoised: Film


@dataclasses.dataclass(frozen=True)
class Forward:
    """The forward process of one picture, from data to static, frame by frame.

    Attributes:
        time: (F,) the schedule's own time scaled to [0, 1], 0 = data, 1 = noise.
        log_snr: (F,) of each frame, falling.
        noisy: (F, H, W, C) x_t scaled for display, see `pictures.from_noisy`.
    """

    time: Float[np.ndarray, " frames"]
    log_snr: Float[np.ndarray, " frames"]
    noisy: UInt8[np.ndarray, "frames height width channels"]


@dataclasses.dataclass(frozen=True)
class Arm:
    """One contestant: a model trained and sampled in one of the ways under comparison.

    Attributes:
        name: short and unique, as in the config; the other parts refer to it.
        settings: what makes this arm, field -> spec, e.g. {"schedule": "cosine"}; the page
            prints in the arm's legend those in which the arms differ.
        schedule: its curves, or None to leave it out of the schedule plots.
        losses: its training curve, or None (e.g. weights released by others).
        trajectory: its reverse process, or None; for the same captions and the same starting
            noise in every arm: those of the first N `Samples`.
        noise_errors: on held-out pictures, the same for all arms, or None.
        diverged: the training step at which its numbers were no longer finite; it has no results.
    """

    name: str
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    schedule: Schedule | None = None
    losses: Losses | None = None
    trajectory: Trajectory | None = None
    noise_errors: NoiseErrors | None = None
    diverged: int | None = None


@dataclasses.dataclass(frozen=True)
class Setting:
    """How samples were drawn.

    Attributes:
        solver: spec of the solver, e.g. "heun".
        steps: number of steps.
        nfe: denoiser evaluations per picture that this costs (what guidance adds, the protocol
            says); of adaptive solvers, the mean.
    """

    solver: str
    steps: int
    nfe: int


@dataclasses.dataclass(frozen=True)
class Result:
    """One row of the table: one arm sampled in one way.

    Attributes:
        arm: name of an arm of the report.
        setting: solver, steps, evaluations.
        count: number of samples measured.
        rate: fraction of samples that show all that their caption says, in [0, 1]; None where
            the data set has no checker.
        by_attribute: fraction right by attribute, e.g. {"colour": 0.99, "shape": 0.83}.
        distance: distance to the data (`Report.distance` says which), or None.
        psnr: of restored pictures, to the true ones, in decibels; None where nothing is restored.
        rmse: of the same, root of the mean square error in values of a byte.
        not_finite: how many of the samples were not; if any, there is no number.
    """

    arm: str
    setting: Setting
    count: int
    rate: Estimate | None = None
    by_attribute: Mapping[str, float] = dataclasses.field(default_factory=dict)
    distance: Estimate | None = None
    psnr: Estimate | None = None
    rmse: Estimate | None = None
    not_finite: int = 0


@dataclasses.dataclass(frozen=True)
class Quality:
    """One measure of the arms, or of the samples that they are judged by.

    Attributes:
        metric: its spec, e.g. "frechet(features=principal)".
        explanation: what it is, in a sentence.
        unit: "%" for shares in [0, 1], "" for plain numbers.
        better: "higher" or "lower".
        count: number of pictures of each arm.
        by_arm: arm -> value with its interval; without those that it says nothing of, as bits per
            dimension of consistency functions, or that `Report.not_measured` gives a reason for.
        floor: what real pictures with the same captions get; None for measures of networks, and
            where it cannot be measured.
    """

    metric: str
    explanation: str
    unit: str
    better: str
    count: int
    by_arm: Mapping[str, Estimate]
    floor: Estimate | None


@dataclasses.dataclass(frozen=True)
class Paired:
    """The difference between an arm and the baseline on the same captions and noise.

    Attributes:
        arm: name of the arm.
        baseline: name of the arm it is compared to.
        setting: solver and steps at which both were sampled.
        count: number of pairs.
        measure: "rate" (arm's exact-match rate minus the baseline's, as a fraction; more is
            better) or "distance" (arm's distance minus the baseline's; less is better).
        difference: the difference with its 95% interval.
        p_value: two-sided, unadjusted; None where only the interval is known. The page adjusts
            for the number of comparisons (Holm); `Report.paired_method` names the method.
    """

    arm: str
    baseline: str
    setting: Setting
    count: int
    measure: str
    difference: Estimate
    p_value: float | None = None


@dataclasses.dataclass(frozen=True)
class Samples:
    """Pictures of every arm for the same captions and the same starting noise.

    Attributes:
        setting: how they were drawn.
        captions: (N) what was asked for.
        pictures: arm name -> (N, H, W, C) uint8.
        right: arm name -> attribute -> (N,) whether the checker found it right; empty where
            the data set has no checker. A picture is right when all its attributes are, so
            there is no attribute "all" among them.
        beside: what -> (N, H, W, C) other pictures to be shown with them, such as what was seen
            of each.
        missing: arm name -> indices of samples that were not finite, which have no picture.
    """

    setting: Setting
    captions: tuple[str, ...]
    pictures: Mapping[str, Pictures]
    right: Mapping[str, Mapping[str, Bool[np.ndarray, " n"]]] = dataclasses.field(
        default_factory=dict
    )
    beside: Mapping[str, Pictures] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, frozenset[int]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RealPictures:
    """Pictures of the data set, to compare the samples with.

    Attributes:
        pictures: (N, H, W, C) uint8.
        captions: (N) their captions.
    """

    pictures: Pictures
    captions: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Distance:
    """Which distance to the data the table holds.

    Attributes:
        name: short, the column's heading, e.g. "KID".
        explanation: one or two sentences: features, estimator, number of real and generated
            pictures.
        floor: the same distance between two sets of real pictures of the same sizes: what a
            perfect model would get; None where unknown.
    """

    name: str
    explanation: str
    floor: Estimate | None = None


@dataclasses.dataclass(frozen=True)
class Provenance:
    """All that is needed to run it again.

    Attributes:
        command: the command line that makes this report anew.
        revision: git revision, with a mark if the tree was changed.
        hardware: one line, e.g. "2 CPU cores (x86_64)".
        duration: wall-clock seconds of the whole run, None if unknown.
        seeds: what -> seed, e.g. {"training": 0, "sampling": 1}.
        versions: package -> version.
        config: the whole config as text.
        created: date and time, as text.
    """

    command: str
    revision: str
    hardware: str
    duration: float | None
    seeds: Mapping[str, int]
    versions: Mapping[str, str]
    config: str
    created: str


@dataclasses.dataclass(frozen=True)
class Report:
    """All that the page shows. Empty or None parts are left out of it.

    Attributes:
        title: e.g. "Which noise schedule paints better?".
        question: one or two sentences: what is compared, on which data.
        protocol: what -> how, in order; short lines, e.g. {"Data": "shapes, one object,
            16×16", "Samples": "500 held-out captions, guidance 2"}.
        arms: in the order of the legend.
        log_snr_axis: (L,) the common axis of densities and weights, rising.
        results: the table.
        paired: differences from the baseline.
        paired_method: one sentence: how intervals and p-values were made.
        headline: the setting at which the arms are judged in the first paragraph; results and
            paired rows with another setting are shown, not judged.
        samples: pictures of every arm, or None.
        real: pictures of the data, or None.
        ceiling: the checker's exact-match rate on real pictures, or None.
        distance: which distance the table holds, or None.
        provenance: how to run it again.
        quality: the arms by every measure, at the headline setting.
        baseline: name of the arm that others are held against; "" for the first.
        warnings: sentences that must be read before all else: what diverged or is not finite.
        not_measured: measure -> why it, or some of it, is missing, as part of a sentence.
    """

    title: str
    question: str
    protocol: Mapping[str, str]
    arms: tuple[Arm, ...]
    log_snr_axis: Float[np.ndarray, " levels"]
    results: tuple[Result, ...]
    paired: tuple[Paired, ...]
    paired_method: str
    headline: Setting
    samples: Samples | None
    real: RealPictures | None
    ceiling: Estimate | None
    distance: Distance | None
    provenance: Provenance
    quality: tuple[Quality, ...] = ()
    baseline: str = ""
    warnings: tuple[str, ...] = ()
    not_measured: Mapping[str, str] = dataclasses.field(default_factory=dict)
