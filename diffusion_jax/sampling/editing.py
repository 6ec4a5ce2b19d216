"""Editing: samples that start from a picture with some noise instead of from noise alone."""

import math
from collections.abc import Callable
from typing import Unpack, overload

from jaxtyping import Array, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import DenoiserLike
from diffusion_jax.sampling.checks import check_parts, check_samples, one_key
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.guidance import Guidance
from diffusion_jax.sampling.loop import prior, sample_keys
from diffusion_jax.sampling.sample import EditingOptions, Samples, Steering, steered_from
from diffusion_jax.sampling.solvers import Solver, State
from diffusion_jax.sampling.thresholds import Threshold


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
    within = isinstance(strength, int | float) and 0 < strength <= 1
    kept = math.floor(strength * steps + 1e-9) if within else 0
    if kept < 1:
        raise UserError(
            f"strength={strength!r} leaves none of the {steps} steps: it must be from "
            f"{1 / steps:.3g} to 1."
        )
    return nodes[steps - kept :]


@overload
def edit(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    key: Array,
    x0: Samples,
    condition: PyTree = None,
    *,
    strength: float = 1.0,
    save: None = None,
    **options: Unpack[EditingOptions],
) -> Samples: ...
@overload
def edit(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    key: Array,
    x0: Samples,
    condition: PyTree = None,
    *,
    strength: float = 1.0,
    save: Callable[[State], PyTree],
    **options: Unpack[EditingOptions],
) -> tuple[Samples, PyTree]: ...
def edit(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    key: Array,
    x0: Samples,
    condition: PyTree = None,
    *,
    strength: float = 1.0,
    guidance: Guidance | None = None,
    null: PyTree = None,
    guide: DenoiserLike | None = None,
    threshold: Threshold | None = None,
    save: Callable[[State], PyTree] | None = None,
) -> Samples | tuple[Samples, PyTree]:
    """SDEdit: noise up to a level of a grid, then the reverse process from there.

    x = alpha x_0 + sigma z at the first level. The more noise, the less is left of x0: the result
    is exactly distributed as data where x0 was, and drawn towards data where it was not. In
    pipelines it is known as img2img. Sample i of a key is the same whatever the batch size.

    Args:
        denoiser: (x, level, condition) → E[x_0 | x].
        solver: any.
        nodes: the grid, not padded.
        key: of the noise, one `jax.random.key`.
        x0: the pictures to start from, (batch, ...).
        condition: a dict of arrays with a row per sample; None for none.
        strength: share of the grid's steps that are taken, the last ones; see `last_part`.
        guidance: as in `sample`, and so are the rest.
        null: the condition that says nothing.
        guide: a second, weaker denoiser.
        threshold: keeps the estimates of x_0 within the range of data.
        save: what to keep of the solver's state after each step.

    Returns:
        The edited samples, (batch, ...); with `save`, they and what was saved.

    Raises:
        UserError: a strength that leaves no step, or see `sample`.

    Source: Meng et al. 2022 (SDEdit), algorithm 1.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from diffusion_jax.process.schedules.exploding import EDM
    >>> from diffusion_jax.sampling.grids import Karras
    >>> from diffusion_jax.sampling.solvers.heun import Heun
    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> data, nodes = Gaussian(mean=jnp.array([1.0]), std=jnp.array([0.0])), Karras()(EDM(), 20)
    >>> key, x0 = jax.random.key(0), jnp.zeros((3, 1))
    >>> edit(data.denoise, Heun(), nodes, key, x0, strength=0.5).tolist()
    [[1.0], [1.0], [1.0]]
    """
    check_samples(x0)
    check_parts(solver, nodes)
    nodes = nodes if strength == 1 else last_part(nodes, strength)
    keys = sample_keys(one_key(key), x0.shape[0])
    start = nodes.level.alpha[0] * x0 + prior(nodes, keys, x0.shape[1:])
    steer = Steering(guidance, null, guide, threshold=threshold)
    return steered_from(denoiser, solver, nodes, start, keys, condition, steer, save)
