"""Rows of the long table and of comparisons, and what they are of: arm, metric, sampling."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from diffusion_jax.reports import formats
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.statistics.many_to_one import Compared


@dataclasses.dataclass(frozen=True)
class ReportedSampling:
    """How samples were drawn.

    Attributes:
        solver: spec of the solver, e.g. "heun".
        steps: number of steps.
        nfe: denoiser evaluations per sample that this costs (what guidance adds, the protocol
            says); of adaptive solvers, the mean.
    """

    solver: str
    steps: int
    nfe: int


def sampling_text(sampling: ReportedSampling | None) -> str:
    """How samples were drawn, in a few words; steps or evaluations that arms do not share are 0.

    >>> sampling_text(ReportedSampling("heun", 16, 31)), sampling_text(None)
    ('heun, 16 steps, NFE 31', 'no sampling')
    >>> sampling_text(ReportedSampling("each arm's own", 0, 8))
    "each arm's own, NFE 8"
    """
    if sampling is None:
        return "no sampling"
    steps = f", {sampling.steps} steps" if sampling.steps else ""
    return f"{sampling.solver}{steps}" + (f", NFE {sampling.nfe}" if sampling.nfe else "")


@dataclasses.dataclass(frozen=True)
class ReportMetric:
    """What was measured.

    Attributes:
        name: short and unique, as in files, e.g. "kid".
        label: the heading on the page, e.g. "Kernel distance".
        better: "lower" or "higher".
        unit: e.g. "nats"; "%" for shares, which are given from 0 to 1 (the page shows percent,
            CSV files shares); may be empty.
        explanation: the protocol: sample counts, seeds, features, estimator.
        floor: what real examples with the same captions get, as a perfect model would; None for
            metrics of networks, and where it was not measured.
    """

    name: str
    label: str
    better: str
    unit: str = ""
    explanation: str = ""
    floor: Estimate | None = None

    @property
    def of_real(self) -> str:
        """The floor in words; of shares, once they are in percent."""
        share = "%" if self.unit == "%" else ""
        return "" if self.floor is None else f"{formats.number(self.floor.value)}{share}"


class Criterion(NamedTuple):
    """What arms are held against each other by: a metric with a sampling.

    Attributes:
        metric: name of a metric.
        sampling: one of the samplings, or None for a metric without sampling.
    """

    metric: str
    sampling: ReportedSampling | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfArm:
    """What a number is of.

    Attributes:
        arm: name of an arm.
        sampling: how samples were drawn, the same for all arms (the evaluations of adaptive solvers
            are the mean over arms); None for metrics that need no sampling.
        metric: name of a metric.
    """

    arm: str
    sampling: ReportedSampling | None
    metric: str

    @property
    def criterion(self) -> Criterion:
        """Metric and sampling."""
        return Criterion(self.metric, self.sampling)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement(OfArm, Estimate):
    """One number with its interval over samples: a row of the long table, and the source of all.

    It is not finite where this seed of the arm diverged, and 0 samples were measured. Of seeds that
    were not run there is no row.

    Attributes:
        seed: training seed.
        difference_error: standard error, over samples, of the difference between this value and
            the baseline's with the same seed, sampling and metric, paired sample by sample; None
            where unknown. With one seed it is all there is to judge by, with more it bounds
            the noise from below.
    """

    seed: int
    difference_error: float | None = None

    def scaled(self, factor: float) -> "Measurement":
        """In another unit."""
        error = self.difference_error
        scaled = {**vars(super().scaled(factor)), "difference_error": error and factor * error}
        return dataclasses.replace(self, **scaled)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison(OfArm, Compared):
    """One arm against the baseline by one metric with one sampling.

    Over training seeds; or of one seed, sample by sample, with the same captions and noise. The
    latter is about these networks: what another training would change, no test of samples covers.

    Attributes:
        against: name of the baseline.
    """

    against: str


Row = TypeVar("Row", bound=OfArm)


def by_criterion(rows: Iterable[Row]) -> dict[Criterion, list[Row]]:
    """Rows in groups of one metric and sampling, each in its order."""
    groups: dict[Criterion, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.criterion, []).append(row)
    return groups
