"""Grids given by their noise levels."""

import itertools
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.process.schedules import Schedule, log_snr_range
from diffusion_jax.sampling.grids.base import Nodes, at_log_snr, check_call, grids, log_snr_ends
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

NEAR = 1.001  # levels so near to a schedule's end are that end


def _resampled(
    schedule: Schedule, sigmas: Float[Array, "entries"], steps: int, count: int = 0
) -> Float[Array, "_"]:
    """Log-SNR at even places of a table, between whose entries it is linear.

    N steps are N + 1 places, of which the first `count` are taken, or all but the last. Where the
    schedule reaches less than the table, it is the part within that is divided.
    """
    log_snr, place = -2 * jnp.log(sigmas), jnp.linspace(0, 1, sigmas.shape[0])
    ends = jnp.interp(jnp.stack(log_snr_ends(schedule, sigmas[-1], sigmas[0])), log_snr, place)
    taken = jnp.linspace(ends[0], ends[1], steps + 1)[: count or steps]
    return jnp.interp(taken, place, log_snr)


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

    formula: ClassVar[str] = (
        "λ_i = λ of the table's 11 levels at place 10 i/N, linear between them, i = 0 … N − 1"
    )

    model: str = static("sd15")

    def __post_init__(self) -> None:
        one_of(self.model, _ALIGNED, "model")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        first, last = (700.0, 0.002) if self.model == "svd" else _STABLE_DIFFUSION_ENDS
        sigmas = jnp.array([first, *_ALIGNED[self.model], last])
        return at_log_snr(schedule, _resampled(schedule, sigmas, steps))


@grids.register("noise_table")
@pytree
class NoiseTable:
    """Given noise levels, visited as given; in log-SNR linear between them for other step counts.

    N levels are the nodes of N steps, then clean data, whether a trailing 0 says so or not. In one
    step less than a table without that 0 has levels, clean data take the place of its last, as in
    Align Your Steps. For any other count the places of the nodes in the table are even: from the
    first level to the last where a 0 ends it, else as if the last were the next node's.

    Attributes:
        sigmas: sigma/alpha, falling; the last may be 0.

    Raises:
        UserError: fewer than two levels, or levels that are not positive and falling; when called,
            a level that is to be visited as given and lies beyond the schedule's ends.

    Source: Sabour et al. 2024 (Align Your Steps), for the interpolation.

    >>> from diffusion_jax.process.schedules import schedules
    >>> grid = NoiseTable((4.0, 1.0, 0.25))
    >>> for steps in (3, 2):
    ...     print([round(float(s), 4) for s in grid(schedules.make("edm"), steps).level.sigma])
    [4.0, 1.0, 0.25, 0.0]
    [4.0, 1.0, 0.0]
    """

    formula: ClassVar[str] = (
        "s_i = sigmas_i for N levels, else λ linear between them at even places, s = σ/α, i = 0 … "
        "N − 1"
    )

    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        levels = self._noisy
        falling = all(a > b for a, b in itertools.pairwise((*levels, 0.0)))
        if len(levels) < 2 or not falling or not math.isfinite(levels[0]):
            raise UserError(
                "NoiseTable: sigmas must be two or more, positive and falling; a 0 may follow."
            )

    @property
    def _noisy(self) -> tuple[float, ...]:
        return self.sigmas[:-1] if self._ends else self.sigmas

    @property
    def _ends(self) -> bool:
        """Whether a trailing 0 stands for the clean data."""
        return self.sigmas[-1:] == (0,)

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        levels = jnp.array(self._noisy, float)
        given = steps == len(levels) or (steps == len(levels) - 1 and not self._ends)
        if given:
            _check_reached(schedule, levels[:steps])
            return at_log_snr(schedule, -2 * jnp.log(levels[:steps]))
        if not self._ends:
            return at_log_snr(schedule, _resampled(schedule, levels, steps))
        return at_log_snr(schedule, _resampled(schedule, levels, max(steps - 1, 1), steps))


def _check_reached(schedule: Schedule, sigmas: Float[Array, "levels"]) -> None:
    """Refuses levels that a schedule does not have, if they are known by now.

    Raises:
        UserError: one is noisier than its start, or cleaner than its end.
    """
    lowest, highest = log_snr_range(schedule)
    if any(isinstance(value, jax.core.Tracer) for value in (lowest, highest)):
        return
    least, most = math.exp(-float(highest) / 2), math.exp(-float(lowest) / 2)
    if float(sigmas[0]) > most * NEAR or float(sigmas[-1]) < least / NEAR:
        raise UserError(
            f"NoiseTable: sigmas {float(sigmas[0]):g} to {float(sigmas[-1]):g} are to be visited "
            f"as given, and the schedule reaches from {most:g} to {least:g}."
        )
