"""What samples of an arm are like: by metrics, by the data's checker, and as restored pictures."""

import math
from collections.abc import Mapping

import numpy as np

from diffusion_jax.inference.measure import Drawn
from diffusion_jax.inference.restoration import Fidelity
from diffusion_jax.metrics import Measured, Metric, NotMeasured, Real, measure
from diffusion_jax.metrics.measurement import mean, share

PSNR, RMSE = "psnr", "rmse"  # where samples restore pictures
RIGHT = "right: "  # before an attribute that the data set's checker looks at


def numbers_of(
    metrics: Mapping[str, Metric], drawn: Drawn, real: Real
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Samples by each metric that they allow, and what else is known of them.

    Args:
        metrics: name -> metric.
        drawn: the samples.
        real: what they are held against.

    Returns:
        Name -> number, NaN where some samples are not finite: a mean of the others would be one of
        survivors. And metric -> why there is none.
    """
    found, missing = {}, {}
    for name, metric in metrics.items():
        try:
            found[name] = _by(metric, drawn, real)
        except NotMeasured as error:
            missing[name] = str(error)
    found |= {f"{RIGHT}{n}": share(right) for n, right in drawn.right.items() if n != "all"}
    return found | _fidelity(drawn), missing


def _by(metric: Metric, drawn: Drawn, real: Real) -> Measured:
    if not drawn.lost:
        return measure(metric, drawn.pictures, drawn.captions, real)
    if missing := metric.needs(len(drawn.pictures), real):
        raise NotMeasured(missing)
    return Measured(math.nan, count=len(drawn.pictures))


def _fidelity(drawn: Drawn) -> dict[str, Measured]:
    """To the examples that samples restore, if they do."""
    count = len(drawn.pictures)
    if drawn.truth is None:
        return {}
    # The peak of a peak signal-to-noise ratio is that of bytes.
    names = (PSNR, RMSE) if drawn.truth.dtype == np.uint8 else (RMSE,)
    if drawn.lost:
        return {name: Measured(math.nan, count=count) for name in names}
    fidelity = Fidelity.of(drawn.pictures, drawn.truth)
    values = {PSNR: fidelity.psnr, RMSE: fidelity.rmse}
    alone = {name: Measured(float(values[name][0]), count=1) for name in names}
    return {name: mean(values[name]) for name in names} if count > 1 else alone
