"""The two phases of diffusion as frames to look at: a picture into static, static into pictures."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from diffusion_jax.data.example import to_bytes
from diffusion_jax.inference.generate import Path, check_finite
from diffusion_jax.inference.trajectory import Trajectory, trajectory, visible
from diffusion_jax.process.denoiser import DenoiserLike
from diffusion_jax.process.schedules import Schedule, log_snr_range
from diffusion_jax.sampling.checks import check_start
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.guidance import SamplingRun
from diffusion_jax.sampling.loop import prior, sample_from
from diffusion_jax.sampling.solvers import Solver

# Beyond these a picture looks clean, and static looks like static.
CLEANEST, NOISIEST = 8.0, -6.0


@dataclasses.dataclass(frozen=True)
class Forward:
    """The forward process of one picture, from data to static, frame by frame.

    Attributes:
        time: (F,) the schedule's own time scaled to [0, 1], 0 = data, 1 = noise.
        log_snr: (F,) of each frame, falling.
        noisy: (F, H, W, C) x_t scaled for display, see `inference.trajectory.visible`.
    """

    time: Float[np.ndarray, " frames"]
    log_snr: Float[np.ndarray, " frames"]
    noisy: UInt8[np.ndarray, "frames height width channels"]


def forward(
    schedule: Schedule,
    picture: Float[Array, "height width channels"],
    eps: Float[Array, "height width channels"],
    frames: int,
) -> Forward:
    """One picture dissolving: x_t = alpha x_0 + sigma eps with one and the same eps throughout.

    Frames are equally far apart in log-SNR, as far as the schedule goes and eyes can tell.

    Args:
        schedule: says when the picture is how noisy.
        picture: x_0, in [-1, 1].
        eps: standard normal noise.
        frames: how many, the cleanest first.
    """
    lowest, highest = log_snr_range(schedule)
    log_snr = jnp.linspace(jnp.minimum(highest, CLEANEST), jnp.maximum(lowest, NOISIEST), frames)
    time = jnp.clip(schedule.time(log_snr), schedule.t_min, schedule.t_max)
    level = schedule.level(time)
    shape = (frames, *picture.shape)
    x = level.mix(jnp.broadcast_to(picture, shape), jnp.broadcast_to(eps, shape))
    wide = (-1, *(1,) * picture.ndim)
    scales = (np.asarray(part).reshape(wide) for part in (level.alpha, level.sigma))
    return Forward(
        np.asarray((time - schedule.t_min) / (schedule.t_max - schedule.t_min)),
        np.asarray(level.log_snr),
        to_bytes(visible(np.asarray(x), *scales)),
    )


def reverse(
    denoise: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    keys: Key[Array, "count"],
    shape: tuple[int, ...],
    condition: Any = None,
    steer: Callable[[DenoiserLike, SamplingRun], DenoiserLike] = lambda denoise, run: denoise,
) -> Trajectory:
    """Static becoming pictures, with the estimate of the clean picture at each step.

    Args:
        denoise: (x, level, condition) → E[x_0 | x].
        solver: takes the steps.
        nodes: the grid.
        keys: one per picture, see `sampling.loop.sample_keys`.
        shape: of one picture, (height, width, channels).
        condition: handed to `denoise`.
        steer: what guides the denoiser on this run.

    Returns:
        steps + 1 frames. The estimate beside frame i was made on the step from it; beside the
        last frame stands that frame.

    Raises:
        UserError: the solver cannot start from the grid's first level, or some pictures are not
            finite, there or on their way.
    """
    check_start(nodes, solver)
    start = prior(nodes, keys, shape)
    end, (x, denoised) = sample_from(
        steer(denoise, SamplingRun(start, nodes)),
        solver,
        nodes,
        start,
        keys,
        condition,
        save=lambda state: (state.x, state.denoised),
    )
    check_finite(np.asarray(jnp.concatenate([x, denoised])).swapaxes(0, 1))
    frames = np.asarray(jnp.concatenate([start[None], x]))
    path = Path(nodes.level, frames, np.concatenate([denoised, end[None]]))
    found = trajectory(path, pictures=True)
    assert found is not None, "it is finite"
    return found
