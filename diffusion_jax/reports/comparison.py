"""From what a comparison measured, of one training seed, to what its page says."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.inference.measure import Drawn, SamplingPlan
from diffusion_jax.metrics import Real, floor
from diffusion_jax.metrics.heldout import HeldOut
from diffusion_jax.reports import content, sampled
from diffusion_jax.reports.comparisons import compare, criterion
from diffusion_jax.reports.content import BinLoss, Measurement, Report, ReportArm
from diffusion_jax.reports.curves import Losses
from diffusion_jax.reports.failures import baseline, status, warnings
from diffusion_jax.reports.metric_list import metric_list
from diffusion_jax.reports.schedule_curves import common_axis, schedule_curves
from diffusion_jax.sampling.guidance import Contrast
from diffusion_jax.statistics.estimate import mean_of
from diffusion_jax.training.trained import TrainedArm, sound


@dataclasses.dataclass(frozen=True)
class Findings:
    """What was found, before it is put into words.

    Attributes:
        plan: how samples were drawn.
        data: the data set.
        arms: the trained arms, those that diverged too.
        cells: samples, sampling by sampling and arm by arm.
        provenance: how to run it again.
        protocol: what -> how.
        seed: of the training.
        baseline: the arm that others are held against; "" for the first.
        losses: arm -> training curve.
        held_out: arm -> its errors on held-out pictures.
        batch_size: pictures of a training step.
        guidance: spec of what samples are guided by.
        data_name: what the page calls the data; "" for the data set's own name.
    """

    plan: SamplingPlan
    data: Dataset
    arms: Mapping[str, TrainedArm]
    cells: tuple[Drawn, ...]
    provenance: content.Provenance
    protocol: Mapping[str, str]
    seed: int = 0
    baseline: str = ""
    losses: Mapping[str, Losses] = dataclasses.field(default_factory=dict)
    held_out: Mapping[str, HeldOut] = dataclasses.field(default_factory=dict)
    batch_size: int = 0
    guidance: str = ""
    data_name: str = ""


def report(found: Findings) -> Report:
    """Measures the samples, compares the arms and fills in the page."""
    plan, data, cells = found.plan, found.data, found.cells
    real = Real(data, plan.judged_count)
    base = baseline(found.baseline, found.arms)
    measured, not_measured = sampled.measure_all(plan, cells, real)
    settings = {sampling: sampled.setting(cells, sampling) for sampling in plan.samplings}
    judged_sampling = settings[plan.judged_by]
    rows = [*sampled.rows(measured, settings, base, found.seed), *_of_held_out(found, base)]
    rows += _diverged(found, rows)
    of_real = floor(real, {row.metric: m for row in rows if (m := plan.metrics.get(row.metric))})
    metrics = metric_list(
        rows, plan.metrics, SEEDS, {n: one.estimate for n, one in of_real.items()}
    )
    axis = common_axis([arm.objective for arm in sound(found.arms).values()])
    return Report(
        title="Which arm paints better?" if len(found.arms) > 1 else "How well does it paint?",
        question=_question(found),
        arms=tuple(_arm(found, name, axis) for name in found.arms),
        baseline=base,
        seeds=(found.seed,),
        budget="steps",
        metrics=metrics,
        judged_by=criterion(plan.metrics, metrics, rows, judged_sampling),
        measurements=tuple(rows),
        comparisons=compare(rows, metrics, base),
        protocol=found.protocol,
        plan=(),
        provenance=found.provenance,
        log_snr_axis=axis,
        bin_edges=_edges(found.held_out),
        bin_losses=tuple(
            BinLoss(name, found.seed, each.mean, each.standard_error)
            for name, each in found.held_out.items()
            if not each.lost
        ),
        samples=sampled.samples(plan, data, cells),
        real=sampled.real_pictures(data),
        tests=tuple(sampled.tests(measured, settings, base)),
        warnings=warnings(found.baseline, found.arms, cells, found.held_out),
        not_measured=not_measured,
        not_finite={(c.arm, settings[c.sampling]): c.lost for c in cells if c.lost},
        judged_sampling=judged_sampling,
    )


SEEDS = "those of the held-out pictures and of the sampling are the same in every arm"


def _of_held_out(found: Findings, base: str) -> Iterator[Measurement]:
    """Error in the noise, and bits per dimension, of held-out pictures."""
    of_base = found.held_out[base].by_picture if base in found.held_out else {}
    for name, each in found.held_out.items():
        for metric, values in each.by_picture.items():
            gap = mean_of(values - of_base[metric]).error if metric in of_base else None
            yield Measurement.of(name, found.seed, None, metric, mean_of(values), gap)


def _diverged(found: Findings, rows: Sequence[Measurement]) -> list[Measurement]:
    """Of an arm that diverged the table has the rows of others, without numbers."""
    lost = [name for name, arm in found.arms.items() if arm.diverged is not None]
    common = dict.fromkeys((row.sampling, row.metric) for row in rows)
    return [
        Measurement(name, found.seed, sampling, metric, math.nan, 0)
        for name in lost
        for sampling, metric in common
    ]


def _edges(held_out: Mapping[str, HeldOut]) -> np.ndarray:
    edges = [np.asarray(each.bins.edges, np.float64) for each in held_out.values()]
    return edges[0] if edges else np.zeros(0)


def _arm(found: Findings, name: str, axis: np.ndarray) -> ReportArm:
    arm, first = found.arms[name], next(iter(found.arms.values()))
    differ = _differing(found)
    path = next(
        (c.path for c in found.cells if (c.arm, c.sampling) == (name, found.plan.judged_by)), None
    )
    return ReportArm(
        name,
        {field: str(value) for field, value in arm.arm.settings.items() if field in differ},
        status(arm, [cell for cell in found.cells if cell.arm == name]),
        sum(leaf.size for leaf in jax.tree.leaves(arm.params)),
        images=first.step * found.batch_size,
        steps=arm.step if arm.diverged is None else arm.diverged,
        schedule=schedule_curves(arm.objective, axis) if arm.diverged is None else None,
        guidance=found.guidance,
        losses=found.losses.get(name),
        trajectory=sampled.trajectory(path) if path else None,
    )


def _differing(found: Findings) -> list[str]:
    """The fields in which arms differ."""
    settings = [arm.arm.settings for arm in found.arms.values()]
    names = dict.fromkeys(field for each in settings for field in each)
    return [f for f in names if len({str(each.get(f, "")) for each in settings}) > 1]


def _question(found: Findings) -> str:
    fields = sorted(_differing(found))
    differ = f"The arms differ in their {' and '.join(fields)} alone. " if fields else ""
    return f"{differ}Data: {found.data_name or found.data.name}."


def loss_curves(arms: Mapping[str, TrainedArm]) -> dict[str, Losses]:
    """The training curves of arms that have any: arm -> losses."""
    return {
        name: Losses(np.array(arm.curve["step"]), np.array(arm.curve["loss"]))
        for name, arm in arms.items()
        if arm.curve
    }


def protocol(
    config: ConfigDict, plan: SamplingPlan, data: Dataset, arms: Mapping[str, TrainedArm]
) -> dict[str, str]:
    """How arms of a config were trained and sampled, in words."""
    training, first = config.training, next(iter(arms.values()))
    size = sum(leaf.size for leaf in jax.tree.leaves(first.params))
    held_out = len(data.held_out_captions)
    asked = "captions of test pictures" + (
        f", {held_out} different ones, never seen in training" if held_out else ""
    )
    return {
        "Data": f"{config.data}: {len(data.train):,} training {data.form}",
        "Network": f"{config.network}, captions read by {config.conditioner}; "
        f"{size / 1e6:.2f}M parameters",
        "Training": f"each arm {training.steps:,} steps of {training.batch_size} pictures, all "
        f"arms on the same pictures, noise and uniform times; {config.optimizer}; average of "
        f"the parameters {training.ema}",
        "Sampling": f"{asked}; grid {config.sampling.grid}, guidance {config.sampling.guidance}, "
        f"threshold {config.sampling.threshold}; "
        f"{plan.count} samples per arm, solver and step count, {plan.judged_count} where arms "
        "are judged; sample i starts from the same noise in every arm",
        "NFE": f"denoiser evaluations per sample, each of {_passes(plan)}",
    } | _restoration(plan, config.sampling)


def _passes(plan: SamplingPlan) -> str:
    """What an evaluation of the guided denoiser costs, in words."""
    guide = plan.guidance
    if guide.passes == 1:
        return "one network pass"
    whose = ", one of them the guide's" if guide.guided_by else ""
    off = " (one where guidance is off)" if isinstance(guide, Contrast) and guide.bounded else ""
    return f"{guide.passes} network passes{whose}{off}"


def _restoration(plan: SamplingPlan, asked: ConfigDict) -> dict[str, str]:
    """How pictures are restored, in words; nothing where samples are drawn freely."""
    if plan.restoration is None:
        return {}
    return {
        "Restoration": "each sample restores a test picture of its own, with its caption, from "
        f"what {asked.operator} shows of it, by {asked.posterior}, which may need derivatives of "
        "the denoiser too; PSNR and RMSE are to that picture, mean over pictures"
    }
