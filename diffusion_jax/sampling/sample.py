"""Samples from a denoiser: the whole of the reverse process in one call."""

import dataclasses
from collections.abc import Callable
from typing import TypedDict, Unpack, overload

import jax
from jaxtyping import Array, Float, Key, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.sampling.checks import (
    check_parts,
    check_rows,
    check_run,
    check_shape,
    check_start,
    one_key,
)
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.guidance import Guidance
from diffusion_jax.sampling.inverse import Posterior
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.sampling.solvers import Solver, State
from diffusion_jax.sampling.thresholds import Threshold, thresholded

Samples = Float[Array, "batch ..."]


class EditingOptions(TypedDict, total=False):
    """What may be put around a denoiser for one run: `sample` says what each is."""

    guidance: Guidance | None
    null: PyTree
    guide: DenoiserLike | None
    threshold: Threshold | None


class SamplingOptions(EditingOptions, total=False):
    """These and what the samples are to agree with."""

    posterior: Posterior | None


@overload
def sample(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    key: Array,
    shape: tuple[int, ...],
    condition: PyTree = None,
    *,
    save: None = None,
    **options: Unpack[SamplingOptions],
) -> Samples: ...
@overload
def sample(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    key: Array,
    shape: tuple[int, ...],
    condition: PyTree = None,
    *,
    save: Callable[[State], PyTree],
    **options: Unpack[SamplingOptions],
) -> tuple[Samples, PyTree]: ...
def sample(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    key: Array,
    shape: tuple[int, ...],
    condition: PyTree = None,
    *,
    guidance: Guidance | None = None,
    null: PyTree = None,
    guide: DenoiserLike | None = None,
    posterior: Posterior | None = None,
    threshold: Threshold | None = None,
    save: Callable[[State], PyTree] | None = None,
) -> Samples | tuple[Samples, PyTree]:
    """Draws samples: the prior at the first node of a grid, then a solver's steps to its last.

    Sample i of a key is the same whatever the batch size. It is a pure function: under `jax.jit`
    one program is compiled for all keys, and what is traced is not checked.

    Args:
        denoiser: (x, level, condition) → E[x_0 | x]: `Objective.denoiser(network)`, or any
            function.
        solver: takes the steps.
        nodes: the levels, such as `Karras()(schedule, 20)`.
        key: of the noise, one `jax.random.key`.
        shape: of all samples, the batch axis first: (batch, ...).
        condition: a dict of arrays with a row per sample; None for none.
        guidance: steers harder towards the condition.
        null: the condition that says nothing, arrays like those of `condition`; for guidance.
        guide: a second, weaker denoiser, for guidance that needs one.
        posterior: of an observation that the samples are to agree with, a row per sample.
        threshold: keeps the estimates of x_0 within the range of data.
        save: what to keep of the solver's state after each step (`lambda state: state.x`).

    Returns:
        The samples, (batch, ...); with `save`, they and what was saved, (steps, ...).

    Raises:
        UserError: parts that do not go together, such as a solver that cannot follow the grid, a
            prediction that says nothing where the grid starts, a consistency function with a
            solver that wants a denoiser, or a variance that nothing tells; or a shape, key or
            condition of the wrong form.

    >>> import jax.numpy as jnp
    >>> from diffusion_jax.process.schedules.exploding import EDM
    >>> from diffusion_jax.sampling.grids import Karras
    >>> from diffusion_jax.sampling.solvers.heun import Heun
    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> data = Gaussian(mean=jnp.array([1.0]), std=jnp.array([0.5]))
    >>> x = sample(data.denoise, Heun(), Karras()(EDM(), 20), jax.random.key(0), (1000, 1))
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """
    check_shape(shape)
    check_parts(solver, nodes)
    keys = sample_keys(one_key(key), shape[0])
    start = prior(nodes, keys, shape[1:])
    steer = Steering(guidance, null, guide, posterior, threshold)
    return steered_from(denoiser, solver, nodes, start, keys, condition, steer, save)


HOMES = {"guidance": "guidance", "posterior": "inverse", "threshold": "thresholds"}


@dataclasses.dataclass(frozen=True)
class Steering:
    """What is put around a denoiser for one run; the arguments of `sample` under these names."""

    guidance: Guidance | None = None
    null: PyTree = None
    guide: DenoiserLike | None = None
    posterior: Posterior | None = None
    threshold: Threshold | None = None

    def __post_init__(self) -> None:
        kinds = {"guidance": Guidance, "posterior": Posterior, "threshold": Threshold}
        for name, kind in kinds.items():
            part = getattr(self, name)
            if part is not None and (isinstance(part, type) or not isinstance(part, kind)):
                raise UserError(
                    f"{name} must be an object, such as one of dj.{HOMES[name]}, not {part!r}."
                )


def steered_from(
    denoiser: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    start: Float[Array, "batch ..."],
    keys: Key[Array, "batch"],
    condition: PyTree,
    steering: Steering,
    save: Callable[[State], PyTree] | None = None,
) -> Samples | tuple[Samples, PyTree]:
    """`sample` from a given start, at the first node of the grid, with a key per sample.

    Raises:
        UserError: see `sample`.
    """
    check_parts(solver, nodes)
    check_rows(condition, start.shape[0])
    own, guide = as_denoiser(denoiser), steering.guide
    check_run(own, solver, nodes)
    if guide is not None:
        guide = as_denoiser(guide)
        check_start(nodes, solver, guide.prediction)
    posterior = steering.posterior
    if posterior is not None:
        check_rows(posterior.observation, start.shape[0], "the posterior's observation")
        nodes, solver = posterior.grid(nodes), posterior.solver(solver)
    run = SamplingRun(start, nodes)
    steered = _guided(own, steering.guidance, condition, steering.null, run, guide)
    if posterior is not None:
        steered = posterior.denoiser(steered, run)
    if steering.threshold is not None:
        steered = thresholded(steered, steering.threshold)
    samples, saved = sample_from(steered, solver, nodes, start, keys, condition, save)
    return samples if save is None else (samples, saved)


def _guided(
    denoiser: Denoiser,
    guidance: Guidance | None,
    condition: PyTree,
    null: PyTree,
    run: SamplingRun,
    guide: Denoiser | None,
) -> Denoiser:
    if guidance is None:
        if guide is not None or null is not None:
            raise UserError("a guide, or a null condition, is for guidance, and none was given.")
        return denoiser
    by_condition = guidance.guided_by is None and guidance.perturbs is None
    if by_condition and guidance.passes > 1:
        same = str(jax.tree.structure(null)) == str(jax.tree.structure(condition))
        if condition is None or not same:
            raise UserError(
                f"guidance {type(guidance).__name__} needs a condition, and null, the condition "
                "that says nothing, with the same keys."
            )
        check_rows(null, run.x.shape[0])
    return guidance(denoiser, null, run, guide)
