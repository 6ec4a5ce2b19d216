"""What a report shows of samples and data: pictures, or plots where examples are no pictures."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import caption_of, take, values_of
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.inference.trajectory import Trajectory, plane
from diffusion_jax.metrics.real import captioned_pictures, reference_count
from diffusion_jax.reports.content import RealPictures, Samples
from diffusion_jax.reports.long_table import Found
from diffusion_jax.reports.rows import ReportedSampling
from diffusion_jax.reports.scatter import FILM_SIDE, scatter, window
from diffusion_jax.sweeps.measured import SHOWN


def samples(
    found: Sequence[Found],
    data: Dataset,
    sampling: ReportedSampling | None,
    beside: Mapping[str, Shaped[np.ndarray, "shown ..."]],
) -> Samples | None:
    """The first samples of every arm, where arms are judged; of vectors, a plot of all.

    Args:
        found: arms with one training seed.
        data: whose captions were asked for.
        sampling: that arms are judged by.
        beside: what -> pictures to be shown beside them.
    """
    drawn = {f.arm: f.whole for f in found if f.whole and len(f.whole.shown)}
    if not drawn:
        return None
    setting = sampling or ReportedSampling(*found[0].judged_by, 0)
    count = min(len(each.shown) for each in drawn.values())
    if not data.has_pictures:
        reach = window(data)
        plots = {arm: scatter(plane(o.shown), reach=reach)[None] for arm, o in drawn.items()}
        return Samples(setting, (f"{count:,} samples{_axes(data)}",), plots, plotted=True)
    count = min(SHOWN, count)
    captions = tuple(caption_of(example) for example in captioned_pictures(data, count))
    return Samples(
        setting,
        captions,
        {arm: each.shown[:count] for arm, each in drawn.items()},
        {arm: {name: ok[:count] for name, ok in each.right.items()} for arm, each in drawn.items()},
        {what: each[:count] for what, each in beside.items()},
        {arm: frozenset(each.missing) for arm, each in drawn.items()},
    )


def real_examples(data: Dataset) -> RealPictures:
    """Of the test examples that distances are measured to; of vectors, a plot of all."""
    # A single test picture gives its caption, and is shown for want of others.
    count = max(reference_count(data), 1)
    if not data.has_pictures:
        points = plane(values_of(take(data.test, range(count))))
        plot = scatter(points, reach=window(data))[None]
        return RealPictures(plot, (f"{count:,} of testing{_axes(data)}",))
    shown = take(data.test, range(min(SHOWN, count)))
    return RealPictures(values_of(shown), tuple(map(caption_of, shown)))


def _axes(data: Dataset) -> str:
    """What a plot leaves out, in words."""
    size = math.prod(data.shape)
    return f", the first two of {size:,} numbers each" if size > 2 else ""


def drawn_film(film: Trajectory, reach: float) -> Trajectory:
    """A film in pictures; of vectors, a plot of all for every frame."""
    if film.noisy.ndim == 5:
        return film
    noisy, denoised = (
        np.stack([scatter(frame, FILM_SIDE, reach)[None] for frame in each])
        for each in (film.noisy, film.denoised)
    )
    return Trajectory(film.log_snr, noisy, denoised)


def restored(plan: SamplingPlan, data: Dataset) -> dict[str, np.ndarray]:
    """What was seen of the pictures that samples restore, and the pictures themselves.

    Nothing where samples are drawn freely, or restore what is no picture.
    """
    if plan.restoration is None or not data.has_pictures:
        return {}
    truth = values_of(captioned_pictures(data, min(SHOWN, plan.judged_count)))
    given = plan.restoration.given(truth, plan.seed)
    return {"seen": plan.restoration.shown(given), "true": truth}
