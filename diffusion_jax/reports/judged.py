"""What a comparison says of the samples that arms are judged by, besides rates and distances."""

import inspect
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.evaluation.heldout import HeldOut
from diffusion_jax.evaluation.measure import Cell, Plan
from diffusion_jax.evaluation.paired import Z95
from diffusion_jax.evaluation.quality import Measurement, floor, quality
from diffusion_jax.evaluation.real import Real
from diffusion_jax.reports import content

SHOWN = 24  # samples of each arm on the page


def quality_rows(plan: Plan, data: Dataset, cells: Sequence[Cell]) -> tuple[content.Quality, ...]:
    """The arms by every metric that the config names, and what real pictures get."""
    real, asked = Real(data, plan.headline_count), plan.metrics
    found = {
        cell.arm: quality(cell.pictures, cell.captions, real, asked)
        for cell in cells
        if cell.way == plan.headline
    }
    return tuple(
        content.Quality(
            spec,
            (inspect.getdoc(type(asked[spec])) or "").split("\n")[0],
            asked[spec].unit,
            asked[spec].better,
            plan.headline_count,
            {arm: _estimate(measured[spec]) for arm, measured in found.items()},
            _estimate(least),
        )
        for spec, least in floor(real, asked).items()
    )


def _estimate(found: Measurement) -> content.Estimate:
    return content.Estimate(found.value, found.low, found.high)


def bits_row(held_out: Mapping[str, HeldOut]) -> tuple[content.Quality, ...]:
    """Bits per dimension of held-out pictures; no row where none were looked at."""
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


def _normal(value: float, error: float) -> content.Estimate:
    return content.Estimate(value, value - Z95 * error, value + Z95 * error)


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
