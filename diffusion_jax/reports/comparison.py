"""From what a comparison measured to what its page says."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Example, Values, caption_of, take, to_bytes, values_of
from diffusion_jax.fewstep.denoiser import FewStepPrediction
from diffusion_jax.inference.generate import Path as ReversePath
from diffusion_jax.inference.measure import Cell, Plan, Way
from diffusion_jax.inference.restoration import Fidelity, interval
from diffusion_jax.metrics import Kernel
from diffusion_jax.metrics.distance import (
    Features,
    KernelDistance,
    distance_difference,
    features,
    kernel_distance,
)
from diffusion_jax.metrics.heldout import HeldOut
from diffusion_jax.metrics.real import Real, captioned_pictures, reference_count
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers import at_quantile
from diffusion_jax.process.weightings import effective_weight
from diffusion_jax.reports import content, judged
from diffusion_jax.reports.failures import baseline, warnings
from diffusion_jax.reports.pictures import from_noisy
from diffusion_jax.reports.scatter import as_film, as_pictures
from diffusion_jax.runs.metrics_log import read_metrics
from diffusion_jax.sampling.guidance import Contrast
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.statistics.paired import Z95, rate_difference, wilson
from diffusion_jax.training.trained import TrainedArm, sound

Curve = Float[np.ndarray, " levels"]
CURVE = 256  # points of a schedule's curve
QUANTILES = 4096  # of a training distribution, enough for a smooth density
PAIRED_METHOD = (
    "Every arm saw the same training pictures, noise and uniform times, and its samples have the "
    "same captions and start from the same noise. Rates: McNemar's exact test, adjusted Wald "
    "interval. Distances: normal interval from each sample's influence, subtracted pair by pair. "
    "All are about these trained networks: what another training seed would change, no interval "
    "covers."
)


def schedule_curves(objective: Objective, axis: Curve) -> content.Schedule:
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
        return content.Schedule(time, there, *np.full((2, len(axis)), np.nan))
    found = np.stack(_over_training(objective)).astype(np.float64)
    # Quantiles that are clipped to the end of the schedule share one level, of no width.
    found = found[:, found[1] > 0]
    log_snr, slope, effective = found[:, np.argsort(found[0])]

    def on_axis(values: Float[np.ndarray, " quantiles"]) -> Curve:
        return np.interp(axis, log_snr, values, left=0, right=0)

    return content.Schedule(time, there, on_axis(1 / slope), on_axis(effective))


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


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a comparison has found, before it is put into words.

    Attributes:
        config: of the run.
        plan: how samples were drawn.
        data: the data set.
        arms: the trained arms, those that diverged too.
        cells: samples, way by way and arm by arm.
        losses: arm -> training curve.
        provenance: how to run it again.
        held_out: arm -> its errors on held-out pictures.
    """

    config: ConfigDict
    plan: Plan
    data: Dataset
    arms: Mapping[str, TrainedArm]
    cells: Sequence[Cell]
    losses: Mapping[str, content.Losses]
    provenance: content.Provenance
    held_out: Mapping[str, HeldOut] = dataclasses.field(default_factory=dict)


def report(found: Measured) -> content.Report:
    """Judges the arms and fills in the page.

    The floor of the distance is that of real pictures with the very captions of the samples.
    """
    plan, data = found.plan, found.data
    # A single test picture gives its caption, and is shown for want of others.
    real = take(data.test, range(max(reference_count(data), 1)))
    missing = Kernel().needs(plan.count, Real(data, plan.count))
    distances = {} if missing else _distances(found)
    axis = common_axis([arm.objective for arm in sound(found.arms).values()])
    rows, not_measured = judged.quality_rows(plan, data, found.cells)
    if missing:
        not_measured["Kernel distance in every way"] = missing
    return content.Report(
        title="Which arm paints better?" if len(found.arms) > 1 else "How well does it paint?",
        question=_question(found),
        protocol=_protocol(found),
        arms=tuple(_arm(found, name, axis) for name in found.arms),
        log_snr_axis=axis,
        results=tuple(
            _result(found, cell, distances.get((cell.arm, cell.way))) for cell in found.cells
        ),
        paired=_paired(found, distances),
        paired_method=PAIRED_METHOD,
        headline=_setting(found, plan.headline),
        samples=_samples(found),
        real=_real(data, real),
        ceiling=_ceiling(data, real),
        distance=None if missing else _distance(plan, data),
        provenance=found.provenance,
        quality=rows + judged.bits_row(found.held_out),
        baseline=baseline(found.config, found.arms),
        warnings=warnings(found.config, found.arms, found.cells, found.held_out),
        not_measured=not_measured,
    )


def _real(data: Dataset, real: Sequence[Example]) -> content.RealPictures:
    if not data.has_pictures:
        return content.RealPictures(as_pictures(_pictures(real)), (f"{len(real):,} of testing",))
    shown = real[: judged.SHOWN]
    return content.RealPictures(_pictures(shown), _captions(shown))


def _distances(found: Measured) -> dict[tuple[str, Way], KernelDistance]:
    """Of every arm in every way, if all its samples are finite.

    Of as many samples everywhere, so that all rows have the same captions and the same chance.
    """
    reference = _reference(found.data)
    return {
        (cell.arm, cell.way): kernel_distance(
            features(cell.pictures[: found.plan.count]), reference
        )
        for cell in found.cells
        if not cell.lost
    }


def _reference(data: Dataset) -> Features:
    return features(_pictures(take(data.test, range(reference_count(data)))))


def loss_curves(run_folder: Path) -> dict[str, content.Losses]:
    """The training curves of a run: arm -> losses."""
    return {
        arm: content.Losses(np.array(columns["step"]), np.array(columns["loss"]))
        for arm, columns in read_metrics(run_folder).items()
    }


def _pictures(examples: Sequence[Example]) -> Values:
    return values_of(examples)


def _captions(examples: Sequence[Example]) -> tuple[str, ...]:
    return tuple(caption_of(example) for example in examples)


def _setting(found: Measured, way: Way) -> content.Setting:
    """With the evaluations that it took; where solvers are adaptive, their mean over all arms."""
    spent = [cell.evaluations for cell in found.cells if cell.way == way]
    return content.Setting(way.solver, way.steps, round(float(np.mean(spent))))


def _arm(found: Measured, name: str, axis: Curve) -> content.Arm:
    arm = found.arms[name]
    settings = {field: str(value) for field, value in arm.arm.settings.items()}
    if arm.diverged is not None:
        return content.Arm(name, settings, losses=found.losses.get(name), diverged=arm.diverged)
    wanted = (name, found.plan.headline)
    path = next(cell.path for cell in found.cells if (cell.arm, cell.way) == wanted)
    return content.Arm(
        name,
        settings,
        schedule_curves(arm.objective, axis),
        found.losses.get(name),
        _trajectory(path),
        judged.noise_errors(found.held_out[name]) if name in found.held_out else None,
    )


def _trajectory(path: ReversePath) -> content.Trajectory | None:
    """None where some of it is not finite."""
    if not (np.isfinite(path.x).all() and np.isfinite(path.denoised).all()):
        return None
    level = path.level.like(jnp.asarray(path.x))
    alpha, sigma = np.asarray(level.alpha), np.asarray(level.sigma)
    log_snr = np.asarray(path.level.log_snr, np.float64)
    if path.x.ndim == 3:
        noisy = as_film(path.x / np.sqrt(alpha**2 + 2 * sigma**2))
        return content.Trajectory(log_snr, noisy, as_film(path.denoised))
    return content.Trajectory(log_snr, from_noisy(path.x, alpha, sigma), to_bytes(path.denoised))


def _result(found: Measured, cell: Cell, distance: KernelDistance | None) -> content.Result:
    if cell.lost:
        setting = _setting(found, cell.way)
        return content.Result(cell.arm, setting, len(cell.pictures), not_finite=cell.lost)
    by_attribute = {name: float(ok.mean()) for name, ok in cell.right.items() if name != "all"}
    fidelity = Fidelity.of(cell.pictures, cell.truth) if cell.truth is not None else None
    return content.Result(
        cell.arm,
        _setting(found, cell.way),
        len(cell.pictures),
        Estimate(*wilson(cell.right["all"])) if cell.right else None,
        by_attribute,
        _estimate(distance) if distance else None,
        _mean(fidelity.psnr) if fidelity else None,
        _mean(fidelity.rmse) if fidelity else None,
    )


def _mean(values: Float[np.ndarray, " n"]) -> Estimate:
    """With an interval, unless it is of one picture."""
    mean, low, high = interval(values)
    return Estimate(mean, low, high) if len(values) > 1 else Estimate(mean)


def _estimate(distance: KernelDistance) -> Estimate:
    spread = Z95 * distance.standard_error
    return Estimate(distance.value, distance.value - spread, distance.value + spread)


def _paired(
    found: Measured, distances: Mapping[tuple[str, Way], KernelDistance]
) -> tuple[content.Paired, ...]:
    """Every other arm against the baseline, in every way and by every measure.

    Where some samples of either are not finite there is no difference.
    """
    base = baseline(found.config, found.arms)
    cells = {(cell.arm, cell.way): cell for cell in found.cells}
    rows = []
    for (name, way), cell in cells.items():
        against = cells[base, way]
        if name == base or cell.lost or against.lost:
            continue
        gaps = {}
        if distances:
            gaps["distance"] = distance_difference(distances[name, way], distances[base, way])
        if cell.right:
            gaps["rate"] = rate_difference(cell.right["all"], against.right["all"])
        rows += [
            content.Paired(
                name,
                base,
                _setting(found, way),
                len(cell.pictures) if measure == "rate" else found.plan.count,
                measure,
                Estimate(gap.value, gap.low, gap.high),
                gap.p_value,
            )
            for measure, gap in gaps.items()
        ]
    return tuple(rows)


def _samples(found: Measured) -> content.Samples:
    cells = [cell for cell in found.cells if cell.way == found.plan.headline]
    if not found.data.has_pictures:
        return content.Samples(
            _setting(found, found.plan.headline),
            (f"all {found.plan.headline_count:,} samples",),
            {cell.arm: as_pictures(cell.pictures) for cell in cells},
        )
    return content.Samples(
        _setting(found, found.plan.headline),
        cells[0].captions[: judged.SHOWN],
        {cell.arm: cell.pictures[: judged.SHOWN] for cell in cells},
        {
            cell.arm: {name: ok[: judged.SHOWN] for name, ok in cell.right.items() if name != "all"}
            for cell in cells
        },
        judged.beside(found.plan, cells[0]),
        {cell.arm: frozenset(np.flatnonzero(~cell.finite).tolist()) for cell in cells},
    )


def _ceiling(data: Dataset, real: Sequence[Example]) -> Estimate | None:
    if data.check is None:
        return None
    return Estimate(*wilson(data.check(_pictures(real), _captions(real))["all"]))


def _distance(plan: Plan, data: Dataset) -> content.Distance:
    reference = _reference(data)
    others = features(_pictures(captioned_pictures(data, plan.count)))
    return content.Distance(
        "Kernel distance",
        f"Squared kernel distance of the first {plan.count} samples to {len(reference):,} test "
        "pictures "
        "(unbiased MMD² with KID's cubic kernel, on pixel values, not on Inception features). 0 is "
        "the same distribution; chance can take it below, and shifts all rows alike, since their "
        "captions are the same.",
        _estimate(kernel_distance(others, reference)),
    )


def _question(found: Measured) -> str:
    varying = sorted(
        field
        for field in next(iter(found.arms.values())).arm.settings
        if len({str(arm.arm.settings[field]) for arm in found.arms.values()}) > 1
    )
    differ = f"The arms differ in their {' and '.join(varying)} alone. " if varying else ""
    return f"{differ}Data: {found.config.data}."


def _protocol(found: Measured) -> dict[str, str]:
    config, data, plan = found.config, found.data, found.plan
    training, first = config.training, next(iter(found.arms.values()))
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
        f"{plan.count} samples per arm, solver and step count, {plan.headline_count} where arms "
        "are judged; sample i starts from the same noise in every arm",
        "NFE": f"denoiser evaluations per sample, each of {_passes(plan)}",
    } | judged.protocol(plan, config.sampling)


def _passes(plan: Plan) -> str:
    """What an evaluation of the guided denoiser costs, in words."""
    guide = plan.guidance
    if guide.passes == 1:
        return "one network pass"
    whose = ", one of them the guide's" if guide.guided_by else ""
    off = " (one where guidance is off)" if isinstance(guide, Contrast) and guide.bounded else ""
    return f"{guide.passes} network passes{whose}{off}"
