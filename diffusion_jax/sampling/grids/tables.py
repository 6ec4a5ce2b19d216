"""Grids given by their noise levels."""

import itertools

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids.base import Nodes, at_log_snr, grids, log_snr_ends
from diffusion_jax.struct import pytree, static

# Align Your Steps: sigma/alpha at eleven nodes, of which the last is where ten steps end.
_STABLE_DIFFUSION_ENDS = (14.6146412293, 0.0291671582)
_ALIGNED = {
    "sd15": (6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092)
    + (0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662),
    "sdxl": (6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141)
    + (0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177),
    "svd": (54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034),
}


def _resampled(
    schedule: Schedule, sigmas: Float[Array, "entries"], steps: int
) -> Float[Array, "steps"]:
    """Log-SNR at even places of a table, between whose entries it is linear.

    N steps are N + 1 places, the last of them left out. Where the schedule reaches less than the
    table, it is the part within that is divided.
    """
    log_snr, place = -2 * jnp.log(sigmas), jnp.linspace(0, 1, sigmas.shape[0])
    ends = jnp.interp(jnp.stack(log_snr_ends(schedule, sigmas[-1], sigmas[0])), log_snr, place)
    return jnp.interp(jnp.linspace(ends[0], ends[1], steps + 1)[:-1], place, log_snr)


@grids.register("align_your_steps")
@pytree
class AlignYourSteps:
    """The optimised nodes of a latent model, in log-SNR linear between them for other step counts.

    Made for ten steps of a solver like `dpmpp_2m`; then clean data.

    Attributes:
        model: "sd15" (Stable Diffusion 1.5), "sdxl" or "svd" (Stable Video Diffusion).

    Raises:
        UserError: another model.

    Source: Sabour et al. 2024 (Align Your Steps), quick-start values.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = AlignYourSteps()(schedules.make("edm"), 10)
    >>> [round(float(sigma), 2) for sigma in nodes.level.sigma[:3]]
    [14.61, 6.47, 3.86]
    """

    model: str = static("sd15")

    def __post_init__(self) -> None:
        one_of(self.model, _ALIGNED, "model")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        first, last = (700.0, 0.002) if self.model == "svd" else _STABLE_DIFFUSION_ENDS
        sigmas = jnp.array([first, *_ALIGNED[self.model], last])
        return at_log_snr(schedule, _resampled(schedule, sigmas, steps))


@grids.register("noise_table")
@pytree
class NoiseTable:
    """Given noise levels, in log-SNR linear between them for other step counts.

    A table of N + 1 entries holds the nodes of N steps and the level at which they would end, of
    which clean data take the place.

    Attributes:
        sigmas: sigma/alpha, falling.

    Raises:
        UserError: fewer than two entries, or entries that are not positive and falling.

    Source: Sabour et al. 2024 (Align Your Steps), for the interpolation.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = NoiseTable((4.0, 1.0, 0.25))(schedules.make("edm"), 2)
    >>> [round(float(sigma), 2) for sigma in nodes.level.sigma]
    [4.0, 1.0, 0.0]
    """

    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        falling = all(a > b for a, b in itertools.pairwise((*self.sigmas, 0.0)))
        if len(self.sigmas) < 2 or not falling:
            raise UserError("NoiseTable: sigmas must be two or more, positive and falling.")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        return at_log_snr(schedule, _resampled(schedule, jnp.array(self.sigmas, float), steps))
