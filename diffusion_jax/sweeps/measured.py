"""From samples and held-out errors of a trained arm to its outcome: of sweeps and comparisons."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.inference.measure import Drawn, SamplingPlan, measure
from diffusion_jax.inference.numbers import numbers_of
from diffusion_jax.inference.trajectory import plane, trajectory
from diffusion_jax.metrics import Metric
from diffusion_jax.metrics.heldout import HeldOut, denoises, held_out
from diffusion_jax.metrics.real import Real
from diffusion_jax.runs.progress import Progress
from diffusion_jax.statistics.estimate import mean_of
from diffusion_jax.sweeps.outcomes import Number, Outcome, sampling_key
from diffusion_jax.training.trained import TrainedArm, sound

SHOWN = 24  # samples that are kept as pictures
HELD_OUT_PICTURES = "held-out pictures"
# Held-out examples that arms are asked about. They stay two numbers: a sweep keeps what it has
# measured, and holds arms of today against it; results of comparisons are recorded with theirs.
COMPARED, SWEPT = 256, 512


def outcomes(
    plan: SamplingPlan,
    arms: Mapping[str, TrainedArm],
    data: Dataset,
    real: Real,
    progress: Progress,
    guides: Mapping[str, TrainedArm],
    asked: int,
    seed: int,
) -> dict[str, Outcome]:
    """Samples trained arms, asks them about held-out examples, and measures: arm -> outcome.

    Args:
        plan: how samples are drawn, and by what they are measured.
        arms: by name, those that diverged too.
        data: what they were trained on, which has the held-out examples.
        real: what samples are held against.
        progress: where to show it.
        guides: arm -> the network that guides it.
        asked: held-out examples, if there are as many.
        seed: of their noise and levels.
    """
    left, held = sound(arms), {}
    count = min(asked, len(data.test))
    with progress.phase("Held-out loss", len(left), unit="arms") as done:
        for name, arm in left.items():
            if denoises(arm.objective):
                size = min(plan.batch_size, count)
                held[name] = held_out(arm, data, count, seed, size)
            done(name)
    cells = tuple(measure(plan, arms, data, progress, guides))
    return {
        name: _outcome(plan, [c for c in cells if c.arm == name], held.get(name), data, real)
        if name in left
        else Outcome(arm.diverged)
        for name, arm in arms.items()
    }


def _outcome(
    plan: SamplingPlan, cells: Iterable[Drawn], asked: HeldOut | None, data: Dataset, real: Real
) -> Outcome:
    """All that is measured of one arm that did not diverge.

    Args:
        plan: how its samples were drawn, and by what they are measured.
        cells: the samples, sampling by sampling.
        asked: its errors on held-out examples; None where it estimates no noise.
        data: what it was trained on.
        real: what samples are held against.
    """
    numbers, lost, missing = [], {}, {}
    judged: Drawn | None = None
    for cell in cells:
        found, why = of_samples(plan.metrics_of(cell.sampling), cell, real)
        numbers += found
        if cell.lost:
            lost[sampling_key(cell.sampling.solver, cell.sampling.steps)] = cell.lost
        if cell.sampling == plan.judged_by:
            judged, missing = cell, why
    assert judged is not None, "arms are judged by one of the samplings"
    pictures = real.data.has_pictures
    few = judged.path.x.ndim == 5 and not pictures  # to be plotted
    shown = judged.pictures[:SHOWN] if pictures else plane(judged.pictures[judged.finite])
    held: dict[str, Any] = {}
    if asked is not None:
        numbers += [
            Number(*mean_of(values).parts, solver="", steps=0, nfe=0.0, metric=name)
            for name, values in asked.by_picture.items()
        ]
        lost |= {HELD_OUT_PICTURES: asked.lost} if asked.lost else {}
        bins = asked.per_picture.astype(np.float64)
        held = {"edges": asked.bins.edges, "bins": bins, "bits": asked.bits}
    return Outcome(
        None,
        tuple(numbers),
        **held,
        shown=shown,
        missing=tuple(np.flatnonzero(~judged.finite[:SHOWN]).tolist()) if pictures else (),
        right={n: ok[:SHOWN] for n, ok in judged.right.items() if pictures and n != "all"},
        trajectory=None if few else trajectory(judged.path, pictures, data.seen),
        not_finite=lost,
        not_measured=missing,
    )


def of_samples(
    metrics: Mapping[str, Metric], cell: Drawn, real: Real
) -> tuple[list[Number], dict[str, str]]:
    """Samples of one solver and step count by each metric, and why some say nothing."""
    found, missing = numbers_of(metrics, cell, real)
    how = {**vars(cell.sampling), "nfe": cell.evaluations}
    numbers = [Number(*one.parts, one.pairing, **how, metric=n) for n, one in found.items()]
    return numbers, missing
