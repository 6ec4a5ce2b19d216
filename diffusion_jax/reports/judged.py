"""What a comparison says of the samples that arms are judged by, besides rates and distances."""

import inspect
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values
from diffusion_jax.inference.measure import Cell, Plan
from diffusion_jax.metrics import Metric, measure
from diffusion_jax.metrics.heldout import HeldOut
from diffusion_jax.metrics.measurement import NotMeasured
from diffusion_jax.metrics.real import Real
from diffusion_jax.reports import content
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.statistics.paired import Z95

SHOWN = 24  # samples of each arm on the page


def quality_rows(
    plan: Plan, data: Dataset, cells: Sequence[Cell]
) -> tuple[tuple[content.Quality, ...], dict[str, str]]:
    """The arms by every metric that the config names, and what real pictures get.

    Returns:
        The rows, and for metrics that say nothing of some or all arms the reasons.
    """
    real, rows, missing = Real(data, plan.headline_count), [], {}
    judged = [cell for cell in cells if cell.way == plan.headline and not cell.lost]
    for spec, metric in plan.metrics.items():
        found, reasons = {}, []
        for cell in judged:
            one = _measured(metric, cell.pictures, cell.captions, real)
            if isinstance(one, Estimate):
                found[cell.arm] = one
            else:
                reasons.append((cell.arm, one))
        if reasons:
            missing[spec] = _told(reasons, len(judged))
        if found:
            least = _measured(metric, real.pictures, real.captions, real)
            rows.append(
                content.Quality(
                    spec,
                    (inspect.getdoc(type(metric)) or "").split("\n")[0],
                    metric.unit,
                    "lower" if metric.lower_is_better else "higher",
                    plan.headline_count,
                    found,
                    least if isinstance(least, Estimate) else None,
                )
            )
    return tuple(rows), missing


def _measured(
    metric: Metric,
    pictures: Values,
    captions: Sequence[str],
    real: Real,
) -> Estimate | str:
    """What a metric says of pictures, or why it says nothing."""
    try:
        found = measure(metric, pictures, captions, real)
    except NotMeasured as error:
        return str(error)
    return found.estimate


def _told(reasons: Sequence[tuple[str, str]], arms: int) -> str:
    """Why there is no number: once, if it is the same of all arms."""
    different = {reason for _, reason in reasons}
    if len(different) == 1 and len(reasons) == arms:
        return different.pop()
    return "; ".join(f"of arm {arm}: {reason}" for arm, reason in reasons)


def bits_row(held_out: Mapping[str, HeldOut]) -> tuple[content.Quality, ...]:
    """Bits per dimension of held-out pictures; no row where none were looked at, or vectors.

    Arms with errors that are not finite are left out.
    """
    held_out = {
        name: found for name, found in held_out.items() if found.has_bits and not found.lost
    }
    if not held_out:
        return ()
    low, *_, high = next(iter(held_out.values())).bins.edges
    return (
        content.Quality(
            "bits per dimension",
            "Upper bound on what a byte of a test picture costs, the variational bound in "
            f"continuous time over log-SNR {low:g} to {high:g}.",
            "",
            "lower",
            next(iter(held_out.values())).count,
            {arm: _normal(*found.bits_per_dim) for arm, found in held_out.items()},
            None,
        ),
    )


def noise_errors(found: HeldOut) -> content.NoiseErrors:
    """The errors of an arm with their intervals."""
    spread = Z95 * found.standard_error
    edges = np.asarray(found.bins.edges)
    return content.NoiseErrors(edges, found.mean, found.mean - spread, found.mean + spread)


def _normal(value: float, error: float) -> Estimate:
    return Estimate.of(value, value - Z95 * error, value + Z95 * error)


def beside(plan: Plan, cell: Cell) -> dict[str, UInt8[np.ndarray, "n height width channels"]]:
    """What was seen of the pictures that samples restore, and the pictures themselves."""
    if plan.restoration is None or cell.truth is None:
        return {}
    given = plan.restoration.given(cell.truth, plan.seed)
    return {"seen": plan.restoration.shown(given)[:SHOWN], "true": cell.truth[:SHOWN]}


def protocol(plan: Plan, asked: ConfigDict) -> dict[str, str]:
    """How pictures are restored, in words; nothing where samples are drawn freely.

    Args:
        plan: how samples were drawn.
        asked: `config.sampling`.
    """
    if plan.restoration is None:
        return {}
    return {
        "Restoration": "each sample restores a test picture of its own, with its caption, from "
        f"what {asked.operator} shows of it, by {asked.posterior}, which may need derivatives of "
        "the denoiser too; PSNR and RMSE are to that picture, mean over pictures"
    }
