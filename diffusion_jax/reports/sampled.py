"""What a report says of samples: numbers of the long table, tests, pictures and films."""

from collections.abc import Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import caption_of, take, to_bytes, values_of
from diffusion_jax.inference.generate import Path as ReversePath
from diffusion_jax.inference.measure import Drawn, Sampling, SamplingPlan
from diffusion_jax.inference.numbers import numbers_of
from diffusion_jax.metrics import Measured, Real
from diffusion_jax.metrics.real import reference_count
from diffusion_jax.reports import content
from diffusion_jax.reports.content import Measurement, ReportedSampling, SampleTest
from diffusion_jax.reports.curves import Trajectory
from diffusion_jax.reports.pictures import from_noisy
from diffusion_jax.reports.scatter import as_film, as_pictures
from diffusion_jax.statistics.estimate import Z95, Estimate

SHOWN = 24  # samples of each arm on the page

Found = dict[tuple[str, Sampling, str], Measured]  # of an arm and sampling, by a metric


def setting(cells: Sequence[Drawn], sampling: Sampling) -> ReportedSampling:
    """With the evaluations that it took; where solvers are adaptive, their mean over all arms."""
    spent = [cell.evaluations for cell in cells if cell.sampling == sampling]
    return ReportedSampling(sampling.solver, sampling.steps, round(float(np.mean(spent))))


def measure_all(
    plan: SamplingPlan, cells: Sequence[Drawn], real: Real
) -> tuple[Found, dict[str, str]]:
    """Every arm and sampling by every metric that the config names.

    Returns:
        The numbers, of which those of samples that are not all finite are NaN, and for metrics
        that say nothing of some or all arms, where arms are judged, the reasons.
    """
    found: Found = {}
    reasons: dict[str, dict[str, str]] = {}
    for cell in cells:
        own, missing = numbers_of(plan.metrics_of(cell.sampling), cell, real)
        found |= {(cell.arm, cell.sampling, name): one for name, one in own.items()}
        if cell.sampling == plan.judged_by:
            for spec, reason in missing.items():
                reasons.setdefault(spec, {})[cell.arm] = reason
    arms = len({cell.arm for cell in cells})
    return found, {spec: _in_words(each, arms) for spec, each in reasons.items()}


def _in_words(reasons: Mapping[str, str], arms: int) -> str:
    """Why there is no number: once, if it is the same of all arms."""
    if len(set(reasons.values())) == 1 and len(reasons) == arms:
        return next(iter(reasons.values()))
    return "; ".join(f"of arm {arm}: {reason}" for arm, reason in reasons.items())


def rows(
    found: Found, settings: Mapping[Sampling, ReportedSampling], baseline: str, seed: int
) -> Iterator[Measurement]:
    """The long table of samples."""
    for (arm, sampling, metric), one in found.items():
        base = found.get((baseline, sampling, metric))
        error = None
        if base and one.pairing and base.pairing:
            gap = one.pairing.minus(base.pairing)
            error = (gap.high - gap.low) / (2 * Z95)
        yield Measurement.of(arm, seed, settings[sampling], metric, one, error)


def tests(
    found: Found, settings: Mapping[Sampling, ReportedSampling], baseline: str
) -> Iterator[SampleTest]:
    """Every other arm against the baseline by each sampling and metric that can be paired.

    Where some samples of either are not finite there is no difference.
    """
    for (arm, sampling, metric), one in found.items():
        base = found.get((baseline, sampling, metric))
        if arm == baseline or not base or not one.pairing or not base.pairing:
            continue
        gap = one.pairing.minus(base.pairing)
        difference = Estimate.of(gap.value, gap.low, gap.high, one.count)
        setting = settings[sampling]
        yield SampleTest(arm, baseline, setting, metric, one.count or 0, difference, gap.p_value)


def samples(plan: SamplingPlan, data: Dataset, cells: Sequence[Drawn]) -> content.Samples:
    """The first samples of every arm, where arms are judged; of vectors, a plot of all."""
    judged = [cell for cell in cells if cell.sampling == plan.judged_by]
    how = setting(cells, plan.judged_by)
    if not data.has_pictures:
        return content.Samples(
            how,
            (f"all {plan.judged_count:,} samples",),
            {cell.arm: as_pictures(cell.pictures) for cell in judged},
        )
    return content.Samples(
        how,
        judged[0].captions[:SHOWN],
        {cell.arm: cell.pictures[:SHOWN] for cell in judged},
        {
            cell.arm: {name: ok[:SHOWN] for name, ok in cell.right.items() if name != "all"}
            for cell in judged
        },
        _restored(plan, judged[0]),
        {cell.arm: frozenset(np.flatnonzero(~cell.finite).tolist()) for cell in judged},
    )


def _restored(plan: SamplingPlan, cell: Drawn) -> dict[str, content.Pictures]:
    """What was seen of the pictures that samples restore, and the pictures themselves."""
    if plan.restoration is None or cell.truth is None:
        return {}
    given = plan.restoration.given(cell.truth, plan.seed)
    return {"seen": plan.restoration.shown(given)[:SHOWN], "true": cell.truth[:SHOWN]}


def real_pictures(data: Dataset) -> content.RealPictures:
    """Of the test pictures that distances are measured to; of vectors, a plot of all."""
    # A single test picture gives its caption, and is shown for want of others.
    count = max(reference_count(data), 1)
    if not data.has_pictures:
        plot = as_pictures(values_of(take(data.test, range(count))))
        return content.RealPictures(plot, (f"{count:,} of testing",))
    shown = take(data.test, range(min(SHOWN, count)))
    return content.RealPictures(values_of(shown), tuple(map(caption_of, shown)))


def trajectory(path: ReversePath) -> Trajectory | None:
    """The film of some samples; None where some of it is not finite."""
    if not (np.isfinite(path.x).all() and np.isfinite(path.denoised).all()):
        return None
    level = path.level.like(jnp.asarray(path.x))
    alpha, sigma = np.asarray(level.alpha), np.asarray(level.sigma)
    log_snr = np.asarray(path.level.log_snr, np.float64)
    if path.x.ndim == 3:
        noisy = as_film(path.x / np.sqrt(alpha**2 + 2 * sigma**2))
        return Trajectory(log_snr, noisy, as_film(path.denoised))
    return Trajectory(log_snr, from_noisy(path.x, alpha, sigma), to_bytes(path.denoised))
