"""diffusers' LCMScheduler: steps of networks that were distilled to go to the data at once."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int64

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import as_denoiser
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.published.schedulers.settings import Settings
from diffusion_jax.published.schedulers.table import schedule
from diffusion_jax.sampling.consistency_function import (
    latent_consistency_scalings,
    with_boundary,
)
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, State
from diffusion_jax.sampling.solvers.consistency import Consistency
from diffusion_jax.sampling.thresholds import NoThreshold, Threshold, thresholded
from diffusion_jax.struct import Scalar, pytree, static


@pytree
class LatentConsistency(Consistency):
    """x_s = alpha_s f(x_t) + sigma_s z, with f = c_skip x + c_out D(x) of the denoiser D.

    Attributes:
        clock: the schedule by whose labels c_skip and c_out go.
        threshold: keeps D within range.
        train_steps: number of labels.
        scaling: of c_skip and c_out, see `latent_consistency_scalings`.

    Source: Luo et al. 2023 (LCM), section 4.1 and algorithm 3.
    """

    clock: Schedule | None = None
    threshold: Threshold = NoThreshold()
    train_steps: int = static(default=1000)
    scaling: Scalar = 10.0

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        assert self.clock is not None, "of a scheduler"
        kept = thresholded(as_denoiser(denoise), self.threshold)
        scalings = latent_consistency_scalings(self.clock, self.train_steps, self.scaling)
        return super().step(state, here, there, with_boundary(kept, scalings), noise)


def latent_consistency(settings: Settings, threshold: Threshold) -> LatentConsistency:
    """The solver of a scheduler whose estimates are kept within range."""
    scaling = jnp.asarray(settings["timestep_scaling"], float)
    return LatentConsistency(
        clock=schedule(settings), threshold=threshold, train_steps=settings.count, scaling=scaling
    )


def labels(settings: Settings, steps: int) -> Int64[np.ndarray, "steps"]:
    """The labels of a run, noisiest first: some of those that the network was distilled on.

    Raises:
        UserError: there are fewer of those than steps.
    """
    original = int(settings["original_inference_steps"])
    if steps > original:
        raise UserError(
            f"{settings.name}: its network was distilled on {original} levels, and cannot take "
            f"{steps} steps: take {original} or fewer."
        )
    trained = np.arange(original, 0, -1) * (settings.count // original) - 1
    return trained[np.floor(np.linspace(0, original, steps, endpoint=False)).astype(np.int64)]
