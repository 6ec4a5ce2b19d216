"""What a report says, as plain data: arms × training seeds × samplings.

A `Report` knows nothing of networks, configs or files. Whoever ran the arms fills in one long
table of `Measurement`s and what was noted beside them; means, intervals, comparisons and figures
derive from it. `diffusion_jax.reports.page.write` draws it. So the page can be tested with made-up
data, and a figure can be drawn again without running anything again.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from diffusion_jax.errors import one_of
from diffusion_jax.inference.trajectory import Trajectory
from diffusion_jax.reports.provenance import Provenance
from diffusion_jax.reports.rows import (
    Comparison,
    Criterion,
    Measurement,
    OfArm,
    ReportedSampling,
    ReportMetric,
)
from diffusion_jax.sweeps.outcomes import Curve

Pictures = UInt8[np.ndarray, "n height width channels"]
DONE = "done"


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
class ReportArm:
    """One arm: a training, run with every seed.

    Attributes:
        name: short and unique; the other parts refer to it.
        settings: field -> value as text, of those fields in which the arms differ,
            e.g. {"schedule": "cosine", "learning_rate": "0.001"}. The page makes of each field
            a column to sort and a list to filter by.
        status: "done", "missing" (not run yet), "diverged at step 312", "failed: out of memory";
            where only some seeds fared so, say which. All but "done" is said first on the page.
        parameters: of the network, None if unknown.
        flops_per_step: floating-point operations of one training step, None if unknown.
        seconds_per_step: wall time of one training step of this arm, compilation apart (its
            share, where arms run together), None if unknown.
        images: training examples seen.
        steps: training steps taken.
        group: name of the group of arms that share their compiled program.
        execution: how the group was run, "together" or "one by one".
        schedule: its curves over `Report.log_snr_axis`, or None.
        guidance: spec of what its samples were guided by.
        losses: its training curve as logged, or None; NaNs are left out, and the page smooths it.
        trajectory: its reverse process, or None; for the same captions and the same starting
            noise in every arm: those of the first N `Samples`.

    >>> ReportArm("cosine", flops_per_step=2e9, steps=500).flops
    1000000000000.0
    """

    name: str
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    status: str = DONE
    parameters: int | None = None
    flops_per_step: float | None = None
    seconds_per_step: float | None = None
    images: int = 0
    steps: int = 0
    group: str = ""
    execution: str = ""
    schedule: ScheduleCurve | None = None
    guidance: str = ""
    losses: Curve | None = None
    trajectory: Trajectory | None = None

    @property
    def flops(self) -> float | None:
        """Floating-point operations of the whole training, None if unknown."""
        return None if self.flops_per_step is None else self.flops_per_step * self.steps

    @property
    def seconds(self) -> float | None:
        """Wall time of the whole training, compilation apart, None if unknown."""
        return None if self.seconds_per_step is None else self.seconds_per_step * self.steps


@dataclasses.dataclass(frozen=True)
class BinLoss:
    """Held-out denoising loss per log-SNR bin, of one arm and seed.

    Attributes:
        arm: name of the arm.
        seed: training seed.
        losses: (bins,) mean loss in each bin of `Report.bin_edges`, of the same target and
            unweighted in all arms.
        errors: (bins,) standard errors over held-out examples, or None; drawn where there is
            one seed.
    """

    arm: str
    seed: int
    losses: Float[np.ndarray, " bins"]
    errors: Float[np.ndarray, " bins"] | None = None


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """Held-out loss during training, of one arm and seed, against every measure of its cost.

    Attributes:
        arm: name of the arm.
        seed: training seed.
        steps: (P,) training steps at each point, rising.
        images: (P,) examples seen.
        flops: (P,) floating-point operations, NaN if unknown.
        seconds: (P,) wall time, NaN if unknown.
        loss: (P,) held-out loss, the same quantity in all arms; not finite once diverged.
    """

    arm: str
    seed: int
    steps: Int[np.ndarray, " points"]
    images: Int[np.ndarray, " points"]
    flops: Float[np.ndarray, " points"]
    seconds: Float[np.ndarray, " points"]
    loss: Float[np.ndarray, " points"]


@dataclasses.dataclass(frozen=True)
class Samples:
    """Samples of every arm for the same captions and the same starting noise, or plots of them.

    Attributes:
        setting: how they were drawn.
        captions: (N) what was asked for.
        pictures: arm name -> (N, H, W, C) uint8.
        plotted: whether each is a plot of many samples, which are no pictures.
        right: arm name -> attribute -> (N,) whether the checker found it right; empty where
            the data set has no checker. A picture is right when all its attributes are, so
            there is no attribute "all" among them.
        beside: what -> (N, H, W, C) other pictures to be shown with them, such as what was seen
            of each.
        missing: arm name -> indices of samples that were not finite, which have no picture.
    """

    setting: ReportedSampling
    captions: tuple[str, ...]
    pictures: Mapping[str, Pictures]
    right: Mapping[str, Mapping[str, Bool[np.ndarray, " n"]]] = dataclasses.field(
        default_factory=dict
    )
    beside: Mapping[str, Pictures] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, frozenset[int]] = dataclasses.field(default_factory=dict)
    plotted: bool = False


@dataclasses.dataclass(frozen=True)
class RealPictures:
    """Pictures of the data set, or a plot of it, to compare the samples with.

    Attributes:
        pictures: (N, H, W, C) uint8.
        captions: (N) their captions.
    """

    pictures: Pictures
    captions: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """All that the page shows. Empty or None parts are left out of it.

    Attributes:
        title: e.g. "Which schedule, at the same compute?".
        question: one or two sentences: what differs, on which data.
        arms: in the order of the legend.
        baseline: name of the arm that others are compared to.
        seeds: training seeds; none where all arms are of one model that was not trained here.
        budget: what is equal for all arms: "images", "steps", "flops" or "time".
        metrics: what was measured.
        judged_by: what the arms are judged by in the first paragraph, fixed before anything was
            trained.
        measurements: the long table.
        comparisons: of every other arm with the baseline, see `comparisons.compare`.
        protocol: what -> how, in order; short lines.
        plan: lines of text: groups, what ran where, how long it took.
        provenance: how to run it again.
        log_snr_axis: (L,) the common axis of the arms' densities and weights, rising.
        bin_edges: (bins + 1,) log-SNR, rising, of all `bin_losses`.
        bin_losses: held-out loss per bin.
        curves: held-out loss during training.
        curve_label: what the curves' loss is, e.g. "held-out loss (v, unweighted)".
        samples: pictures for the same captions and starting noise in every arm (one training
            seed, which the protocol names), or None.
        real: pictures of the data, or None.
        tests: of samples, of one training seed; adjusted by Holm's method.
        warnings: sentences that must be read before all else, such as of another baseline.
        not_measured: metric -> why it, or some of it, is missing, as part of a sentence.
        judged_sampling: the one that arms are judged with by any metric; None if nothing was
            sampled.

    Raises:
        UserError: an arm or a metric that is spoken of is not among `arms` or `metrics`.
    """

    title: str
    question: str
    arms: tuple[ReportArm, ...]
    baseline: str
    seeds: tuple[int, ...]
    budget: str
    metrics: tuple[ReportMetric, ...]
    judged_by: Criterion
    measurements: tuple[Measurement, ...]
    comparisons: tuple[Comparison, ...]
    protocol: Mapping[str, str]
    plan: tuple[str, ...]
    provenance: Provenance = dataclasses.field(default_factory=Provenance)
    log_snr_axis: Float[np.ndarray, " levels"] = dataclasses.field(
        default_factory=lambda: np.zeros(0)
    )
    bin_edges: Float[np.ndarray, " edges"] = dataclasses.field(default_factory=lambda: np.zeros(0))
    bin_losses: tuple[BinLoss, ...] = ()
    curves: tuple[LearningCurve, ...] = ()
    curve_label: str = "held-out loss"
    samples: Samples | None = None
    real: RealPictures | None = None
    tests: tuple[Comparison, ...] = ()
    warnings: tuple[str, ...] = ()
    not_measured: Mapping[str, str] = dataclasses.field(default_factory=dict)
    judged_sampling: ReportedSampling | None = None

    def __post_init__(self) -> None:
        metrics = [metric.name for metric in self.metrics]
        rows: tuple[OfArm, ...] = (*self.measurements, *self.comparisons, *self.tests)
        for name in {self.baseline, *(row.arm for row in rows)}:
            one_of(name, self.index, "arm")
        for name in {self.judged_by.metric, *(row.metric for row in rows)}:
            one_of(name, metrics, "metric")

    @property
    def index(self) -> dict[str, int]:
        """Name of an arm -> its place in the legend."""
        return {arm.name: place for place, arm in enumerate(self.arms)}

    def metric(self, name: str) -> ReportMetric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)

    @property
    def fields(self) -> tuple[str, ...]:
        """The settings in which arms differ: the axes of a sweep."""
        return tuple(dict.fromkeys(field for arm in self.arms for field in arm.settings))

    @property
    def judged(self) -> list[Comparison]:
        """The comparisons that the arms are judged by, in their order."""
        return [each for each in self.comparisons if each.criterion == self.judged_by]
