"""Inversion: the noise from which a deterministic solver would make a given sample."""

from collections.abc import Callable
from typing import overload

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import DenoiserLike, as_denoiser
from diffusion_jax.sampling.checks import check_parts, check_rows, check_run, check_samples
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.loop import sample_from
from diffusion_jax.sampling.sample import Samples
from diffusion_jax.sampling.solvers import Solver, State


def upwards(nodes: Nodes) -> Nodes:
    """The nodes of a grid from data to noise.

    Nodes of clean data come first then, which `sample` takes for padding: it leaves them alone.

    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import grids
    >>> upwards(grids.make("uniform")(schedules.make("rectified_flow"), 2)).level.sigma.tolist()
    [0.0, 0.5, 1.0]
    """
    return jax.tree.map(lambda values: values[::-1], nodes)


@overload
def invert(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    x0: Samples,
    condition: PyTree = None,
    save: None = None,
) -> Samples: ...
@overload
def invert(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    x0: Samples,
    condition: PyTree = None,
    *,
    save: Callable[[State], PyTree],
) -> tuple[Samples, PyTree]: ...
def invert(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    x0: Samples,
    condition: PyTree = None,
    save: Callable[[State], PyTree] | None = None,
) -> Samples | tuple[Samples, PyTree]:
    """The state at the first node of a grid from which its solver would return x0.

    The probability flow has no direction, so that the same solver takes the same steps back, and
    its error is of the same order. With `ddim` that is DDIM inversion. The very first step, off
    clean data, is x = alpha x_0: it needs no evaluation, and is off by O(sigma²/alpha²), since the
    flow of x/alpha starts with sigma/alpha times the score. A grid that does not end on clean data
    is followed back from where it ends.

    Args:
        denoiser: (x, level, condition) → E[x_0 | x].
        solver: deterministic.
        nodes: the grid, from noise to data, as for sampling; padded or not.
        x0: the samples, (batch, ...).
        condition: a dict of arrays with a row per sample; None for none.
        save: what to keep of the solver's state after each step; what is saved for the step off
            clean data is the state of the start.

    Returns:
        The inverted state, (batch, ...); with `save`, it and what was saved.

    Raises:
        UserError: the solver draws noise, or does not go with the grid and the denoiser: see
            `sample`.

    Source: Song et al. 2021 (DDIM), section 4.3 and eq. 14; Dhariwal & Nichol 2021, appendix F.

    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import grids
    >>> from diffusion_jax.sampling.solvers import solvers
    >>> data = Gaussian(mean=jnp.array([1.0]), std=jnp.array([0.5]))
    >>> nodes = grids.make("karras")(schedules.make("edm"), 20)
    >>> x = invert(data.denoise, solvers.make("heun"), nodes, jnp.array([[1.0], [1.5]]))
    >>> (x / 80).round(1).tolist()  # no noise leads to the mean, and a unit of it to 1 + 0.5
    [[0.0], [1.0]]
    """
    check_samples(x0)
    check_parts(solver, nodes)
    check_rows(condition, x0.shape[0])
    own = as_denoiser(denoiser)
    check_run(own, solver, nodes)
    solver = solver.for_denoiser(own)
    # Of traced settings it is not known.
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(solver))
    if solver.stochastic and not traced:
        raise UserError(f"solver {type(solver).__name__} draws noise: it cannot be inverted.")
    back = upwards(nodes)
    noisy = back.level.sigma > 0
    first = back.level.alpha[jnp.argmax(noisy)]
    # Where the grid ends on noise, the given samples lie at that level already.
    start = jnp.where(noisy[0], 1, first) * x0
    unused: Key[Array, "batch"] = jax.random.split(jax.random.key(0), x0.shape[0])
    x, saved = sample_from(own, solver, back, start, unused, condition, save)
    return x if save is None else (x, saved)
