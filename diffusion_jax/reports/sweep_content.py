"""What the report of a sweep says, as plain data: many arms × training seeds × ways of sampling.

A `SweepReport` knows nothing of networks, configs or files. Whoever ran the sweep fills in one
long table of `Measurement`s and what was noted beside them; means, intervals, comparisons and
figures derive from it. `diffusion_jax.reports.sweep_page.write` draws it.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from diffusion_jax.errors import one_of
from diffusion_jax.reports import content
from diffusion_jax.statistics.replicates import Compared

DONE = "done"


@dataclasses.dataclass(frozen=True)
class SweepArm:
    """One arm of a sweep: one point of its axes, trained with every seed.

    Attributes:
        name: short and unique; the other parts refer to it.
        settings: field -> value as text, of those fields in which the arms of the sweep differ,
            e.g. {"schedule": "cosine", "learning_rate": "0.001"}. The page makes of each field
            a column to sort and a list to filter by.
        status: "done", "missing" (not run yet), "diverged at step 312", "failed: out of memory";
            where only some seeds fared so, say which. All but "done" is told first on the page.
        parameters: of the network, None if unknown.
        flops_per_step: floating-point operations of one training step, None if unknown.
        seconds_per_step: wall time of one training step of this arm, compilation apart (its
            share, where arms run together), None if unknown.
        images: training pictures seen.
        steps: training steps taken.
        group: name of the group of arms that share their compiled program.
        execution: how the group was run, "together" or "one by one".
        schedule: its curves over `SweepReport.log_snr_axis`, or None.

    >>> SweepArm("cosine", flops_per_step=2e9, steps=500).flops
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
    schedule: content.Schedule | None = None

    @property
    def flops(self) -> float | None:
        """Floating-point operations of the whole training, None if unknown."""
        return None if self.flops_per_step is None else self.flops_per_step * self.steps

    @property
    def seconds(self) -> float | None:
        """Wall time of the whole training, compilation apart, None if unknown."""
        return None if self.seconds_per_step is None else self.seconds_per_step * self.steps


@dataclasses.dataclass(frozen=True)
class Metric:
    """What was measured.

    Attributes:
        name: short and unique, as in files, e.g. "kid".
        label: the heading on the page, e.g. "Kernel distance".
        better: "lower" or "higher".
        unit: e.g. "nats"; "%" for shares, which are given from 0 to 1 (the page shows percent,
            CSV files shares); may be empty.
        explanation: the protocol: sample counts, seeds, features, estimator.
    """

    name: str
    label: str
    better: str
    unit: str = ""
    explanation: str = ""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One number: a row of the long table from which all else derives.

    Attributes:
        arm: name of an arm.
        seed: training seed.
        way: how samples were drawn, the same for all arms (the evaluations of adaptive solvers
            are the mean over arms); None for metrics that need no sampling.
        metric: name of a metric.
        value: the number; not finite where this seed of the arm diverged. Of seeds that were
            not run there is no row.
        count: samples or pictures that it was measured on.
        error: standard error of the value over samples, or None.
        difference_error: standard error, over samples, of the difference between this value and
            the baseline's with the same seed, way and metric, paired sample by sample; None
            where unknown. With one seed it is all there is to judge by, with more it bounds
            the noise from below.
    """

    arm: str
    seed: int
    way: content.Setting | None
    metric: str
    value: float
    count: int
    error: float | None = None
    difference_error: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison(Compared):
    """One arm against the baseline by one metric in one way, over training seeds.

    Attributes:
        arm: name of the arm.
        baseline: name of the arm that it is compared to.
        way: how samples were drawn, or None.
        metric: name of the metric.
    """

    arm: str
    baseline: str
    way: content.Setting | None
    metric: str


@dataclasses.dataclass(frozen=True)
class BinLoss:
    """Held-out denoising loss per log-SNR bin, of one arm and seed.

    Attributes:
        arm: name of the arm.
        seed: training seed.
        losses: (bins,) mean loss in each bin of `SweepReport.bin_edges`, of the same target and
            unweighted in all arms.
    """

    arm: str
    seed: int
    losses: Float[np.ndarray, " bins"]


@dataclasses.dataclass(frozen=True)
class Curve:
    """Held-out loss during training, of one arm and seed, against every measure of its cost.

    Attributes:
        arm: name of the arm.
        seed: training seed.
        steps: (P,) training steps at each point, rising.
        images: (P,) pictures seen.
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
class Headline:
    """What the arms are judged by in the first paragraph, fixed before the sweep ran.

    Attributes:
        metric: name of a metric.
        way: one of the ways, or None for a metric without sampling.
    """

    metric: str
    way: content.Setting | None = None


@dataclasses.dataclass(frozen=True)
class SweepReport:
    """All that the page of a sweep shows. Empty or None parts are left out of it.

    Attributes:
        title: e.g. "Which schedule, at the same compute?".
        question: one or two sentences: what differs, on which data.
        arms: in the order of the sweep.
        baseline: name of the arm that others are compared to.
        seeds: training seeds of the sweep.
        budget: what is equal for all arms: "images", "steps", "flops" or "time".
        metrics: what was measured.
        headline: what the arms are judged by.
        measurements: the long table.
        comparisons: of every other arm with the baseline, see `sweep_comparisons.compare`.
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

    Raises:
        UserError: an arm or a metric that is spoken of is not among `arms` or `metrics`.
    """

    title: str
    question: str
    arms: tuple[SweepArm, ...]
    baseline: str
    seeds: tuple[int, ...]
    budget: str
    metrics: tuple[Metric, ...]
    headline: Headline
    measurements: tuple[Measurement, ...]
    comparisons: tuple[Comparison, ...]
    protocol: Mapping[str, str]
    plan: tuple[str, ...]
    provenance: content.Provenance
    log_snr_axis: Float[np.ndarray, " levels"] = dataclasses.field(
        default_factory=lambda: np.zeros(0)
    )
    bin_edges: Float[np.ndarray, " edges"] = dataclasses.field(default_factory=lambda: np.zeros(0))
    bin_losses: tuple[BinLoss, ...] = ()
    curves: tuple[Curve, ...] = ()
    curve_label: str = "held-out loss"
    samples: content.Samples | None = None
    real: content.RealPictures | None = None

    def __post_init__(self) -> None:
        arms = [arm.name for arm in self.arms]
        metrics = [metric.name for metric in self.metrics]
        rows: tuple[Measurement | Comparison, ...] = (*self.measurements, *self.comparisons)
        for name in {self.baseline, *(row.arm for row in rows)}:
            one_of(name, arms, "arm")
        for name in {self.headline.metric, *(row.metric for row in rows)}:
            one_of(name, metrics, "metric")
