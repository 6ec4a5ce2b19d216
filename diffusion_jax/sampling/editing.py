"""Editing: samples that start from a picture with some noise instead of from noise alone."""

import math
from typing import Any

from jaxtyping import Array, Float, Key

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import DenoiserLike
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.loop import prior, sample_from
from diffusion_jax.sampling.solvers import Solver


def last_part(nodes: Nodes, strength: float) -> Nodes:
    """The last steps of a grid, as many as `strength` times all of them, rounded down.

    Args:
        nodes: the grid, not padded, (steps + 1,).
        strength: in (0, 1]; 1 is the whole grid.

    Raises:
        UserError: the strength is out of range, or so low that no step is left.

    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import grids
    >>> nodes = grids.make("uniform")(schedules.make("rectified_flow"), 4)
    >>> last_part(nodes, 0.5).level.sigma.tolist()
    [0.5, 0.25, 0.0]
    """
    steps = nodes.time.shape[0] - 1
    # 0.29 × 100 is 28.999…: a strength that was written as a whole number of steps means it.
    kept = math.floor(strength * steps + 1e-9) if 0 < strength <= 1 else 0
    if kept < 1:
        raise UserError(
            f"a strength of {strength} of {steps} steps is none of them: it must be at least "
            f"{1 / steps:.3g}, and at most 1."
        )
    return nodes[steps - kept :]


def edit(
    denoise: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    x0: Float[Array, "batch ..."],
    keys: Key[Array, "batch"],
    condition: Any = None,
) -> Float[Array, "batch ..."]:
    """SDEdit: noise up to the first node of a grid, then the reverse process from there.

    x = alpha x_0 + sigma z at the first level. The more noise, the less is left of x0: the result
    is exactly distributed as data where x0 was, and drawn towards data where it was not. In
    pipelines it is known as img2img; `last_part` makes the grid from a strength.

    Args:
        denoise: (x, level, condition) → E[x_0 | x].
        solver: any.
        nodes: the grid, or the last part of one.
        x0: the pictures to start from, (batch, ...).
        keys: one per sample, see `sample_keys`.
        condition: handed to `denoise`.

    Source: Meng et al. 2022 (SDEdit), algorithm 1.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import grids
    >>> from diffusion_jax.sampling.loop import sample_keys
    >>> from diffusion_jax.sampling.solvers import solvers
    >>> data = Gaussian(mean=jnp.array([1.0]), std=jnp.array([0.0]))
    >>> nodes = last_part(grids.make("karras")(schedules.make("edm"), 20), 0.5)
    >>> keys = sample_keys(jax.random.key(0), 3)
    >>> edit(data.denoise, solvers.make("heun"), nodes, jnp.zeros((3, 1)), keys).tolist()
    [[1.0], [1.0], [1.0]]
    """
    start = nodes.level.alpha[0] * x0 + prior(nodes, keys, x0.shape[1:])
    return sample_from(denoise, solver, nodes, start, keys, condition)[0]
