"""Which labels, and which sigma/alpha, a diffusers scheduler steps through.

Three kinds of schedulers differ. Those that step through integer labels of a table have n rounded
labels; those of the DPM-Solver family have n + 1, of which the last is dropped; those that came
from k-diffusion have fractional labels, between which sigma/alpha is linear. The last two then
work on a list of sigma/alpha whose last entry is where the run ends.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int64

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules.exploding import EDM
from diffusion_jax.published.schedulers.settings import Settings
from diffusion_jax.published.schedulers.table import levels, ratios
from diffusion_jax.sampling.grids import Grid, grids
from diffusion_jax.sampling.grids.labels import AtLabels

SPACINGS = ("linspace", "leading", "trailing")
RESPACED = {
    "use_karras_sigmas": "karras(sigma_min={low!r}, sigma_max={high!r})",
    "use_lu_lambdas": "log_snr(sigma_min={low!r}, sigma_max={high!r})",
    "use_exponential_sigmas": "log_snr(sigma_min={low!r}, sigma_max={high!r})",
    "use_beta_sigmas": "beta(along=noise, sigma_min={low!r}, sigma_max={high!r})",
}
DPM_FAMILY = ("DPMSolverM", "DPMSolverSin", "UniPC", "DEIS", "SASolver")


def is_dpm(settings: Settings) -> bool:
    """Whether a scheduler is of the DPM-Solver family."""
    return settings.name.startswith(DPM_FAMILY)


def labels(settings: Settings, steps: int, extra: int = 0) -> Int64[np.ndarray, "steps"]:
    """The integer labels at which a scheduler asks its network, noisiest first.

    Args:
        settings: of the scheduler.
        steps: how many.
        extra: how many labels more than steps are laid out, and dropped at the end.
    """
    spacing, count = settings.one_of("timestep_spacing", SPACINGS), settings.count
    last = count - clipped(settings)
    if spacing == "trailing" and last < count:
        # Steps are as long as without the labels that are left out, and so are fewer.
        return (np.arange(last, 0, -count / steps).round() - 1).astype(np.int64)
    offset = f", offset={settings['steps_offset']}" if spacing == "leading" else ""
    laid_out = steps if spacing == "trailing" else steps + extra
    found = _at_labels(f"{spacing}(train_steps={last}{offset})").labels(laid_out)
    return np.array(found)[:steps].astype(np.int64)


def clipped(settings: Settings) -> int:
    """How many of the noisiest labels lie below the least log(alpha/sigma) allowed."""
    lowest = settings["lambda_min_clipped"]
    if lowest in (-np.inf, "-inf"):
        return 0
    alpha, sigma = levels(settings)
    return int(np.sum(np.log(alpha / sigma) < lowest))


def fractional(settings: Settings, steps: int) -> Float64[np.ndarray, "steps"]:
    """The labels of schedulers that came from k-diffusion, of which linspace rounds none."""
    if settings["timestep_spacing"] != "linspace":
        return labels(settings, steps).astype(np.float64)
    grid = _at_labels(f"linspace(rounded=False, train_steps={settings.count})")
    return np.array(grid.labels(steps), np.float64)


def noise_grid(settings: Settings, steps: int) -> Float64[np.ndarray, "nodes"]:
    """sigma/alpha at every node, (steps + 1,), whose last is where the run ends."""
    whole, dpm = ratios(settings), is_dpm(settings)
    at = labels(settings, steps, extra=1) if dpm else fractional(settings, steps)
    found = np.interp(at, np.arange(len(whole)), whole)
    # DPM-Solvers respace the whole table, the others what they would have stepped through.
    low, high = (whole[0], whole[-1]) if dpm else (found[-1], found[0])
    low = low if settings["sigma_min"] is None else settings["sigma_min"]
    high = high if settings["sigma_max"] is None else settings["sigma_max"]
    if settings.one_of("interpolation_type", ("linear", "log_linear")) == "log_linear":
        found = spaced(RESPACED["use_exponential_sigmas"], whole[0], whole[-1], steps + 1)
    spacing = respacing(settings)
    moved = found if spacing is None else spaced(spacing, low, high, steps)
    ends = settings.one_of("final_sigmas_type", ("zero", "sigma_min"))
    if ends == "sigma_min" and spacing is not None and settings.name.startswith("UniPC"):
        raise UserError(
            f"{settings.name}: final_sigmas_type='sigma_min' beside another spacing cannot be "
            "honoured: its last step has no length, and is corrected all the same."
        )
    stays = spacing is not None and settings.name.startswith(("DEIS", "SASolver"))
    end = 0.0 if ends == "zero" else moved[-1] if stays else whole[0]
    return np.append(moved, end)[: steps + 1] if len(moved) > steps else np.append(moved, end)


def respacing(settings: Settings) -> str | None:
    """The spec of the spacing that is switched on, if any."""
    return next((RESPACED[name] for name in RESPACED if settings[name]), None)


def spaced(spacing: str, low: float, high: float, steps: int) -> Float64[np.ndarray, "steps"]:
    """`steps` noises from `high` down to `low`."""
    if steps == 1:
        return np.array([high], np.float64)
    with jax.enable_x64(True):
        grid: Grid = grids.make(spacing.format(low=float(low), high=float(high)))
        level = grid(EDM(float(low), float(high)), steps).level
        return np.asarray(level.sigma, np.float64)[:-1]


def label_of(
    settings: Settings, ratio: Float64[np.ndarray, "nodes"]
) -> Float64[np.ndarray, "nodes"]:
    """The label of sigma/alpha, linear in its logarithm between the entries of the table."""
    whole = np.log(ratios(settings))
    return np.interp(np.log(ratio), whole, np.arange(len(whole)))


def _at_labels(spec: str) -> AtLabels:
    grid = grids.make(spec)
    assert isinstance(grid, AtLabels), "a grid of labels"
    return grid


def on_device(values: Float64[np.ndarray, "nodes"]) -> jax.Array:
    """As an array of the precision that is switched on."""
    return jnp.asarray(values, float)
