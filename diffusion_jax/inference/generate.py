"""Pictures from a trained score network: many samples, in batches, from one compiled program."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.denoiser import NetworkDenoiser
from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.networks.score_network import Condition
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditionings import EDMPreconditioning, Preconditioning
from diffusion_jax.process.predictions import Prediction
from diffusion_jax.sampling.checks import check_start, check_variance
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.guidance import Guidance, SamplingRun
from diffusion_jax.sampling.inverse import Posterior
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.solvers import Solver, State
from diffusion_jax.sampling.solvers.base import AdaptiveState
from diffusion_jax.sampling.thresholds import NoThreshold, Threshold, thresholded
from diffusion_jax.struct import Scalar, pytree, static


def check_attention(guidance: Guidance, network: AnyNetwork) -> None:
    """Raises UserError if guidance is to leave out self-attentions that a network does not have.

    Args:
        guidance: of the sampler.
        network: that is sampled.
    """
    layers = guidance.perturbs
    if layers is None:
        return
    if network.self_attentions <= max(layers, default=0):
        name = type(getattr(network, "backbone", network)).__name__
        raise UserError(
            f"guidance {type(guidance).__name__} leaves out self-attentions"
            f"{f' {layers}' if layers else ''}, and network {name} has "
            f"{network.self_attentions or 'none'}."
        )


@pytree
class Sampler:
    """How samples are drawn: what does not change between arms, and between step counts.

    Attributes:
        network: whose parameters are given to each call.
        solver: takes the steps.
        guidance: steers towards the condition.
        shape: of one sample, e.g. (height, width, channels).
        sigma_data: standard deviation of the data, as in training.
        threshold: keeps the guided estimates within the range of data.
        guide: the weaker network, for guidance that needs one.
        posterior: of an observation, a row per sample, that they are to agree with.
        preconditioning: what the network sees of x and of the noise level.
    """

    network: AnyNetwork = static()
    solver: Solver
    guidance: Guidance
    shape: tuple[int, ...] = static()
    sigma_data: Scalar = 0.5
    threshold: Threshold = NoThreshold()
    guide: NetworkDenoiser | None = None
    posterior: Posterior | None = None
    preconditioning: Preconditioning = EDMPreconditioning()

    def denoiser(
        self, params: PyTree, prediction: Prediction, condition: Condition, run: SamplingRun
    ) -> Denoiser:
        """The guided denoiser that parameters trained with `prediction` are, for one run."""
        network = NetworkDenoiser(
            self.network,
            params,
            prediction,
            self.sigma_data,
            preconditioning=self.preconditioning,
        )
        denoise = network.denoiser()
        guide = self.guide.denoiser() if self.guide else None
        without = self.guidance.perturbs
        if without is not None:
            guide = dataclasses.replace(network, without=without).denoiser()
        if condition or guide:  # without a condition only another network can guide
            denoise = self.guidance(denoise, self.network.null(condition), run, guide)
        if self.posterior:
            denoise = self.posterior.denoiser(denoise, run)
        return thresholded(denoise, self.threshold)

    def of(self, rows: Int[np.ndarray, "rows"]) -> "Sampler":
        """What draws some of the samples: with their rows of the observation."""
        if self.posterior is None:
            return self
        return dataclasses.replace(self, posterior=self.posterior.of(jnp.asarray(rows)))


@dataclasses.dataclass(frozen=True)
class Path:
    """The reverse process, frame by frame, from the noise it starts from to the end.

    Attributes:
        level: (frames,) noise level of each frame.
        x: (frames, traced, ...) the samples after each step.
        denoised: (frames, traced, ...) the estimate of the data made there.
        evaluations: of the denoiser for each sample that was drawn, traced or not, (count,), as an
            adaptive solver has counted them; None for others, whose number is known.
    """

    level: Level
    x: Float[np.ndarray, "frames traced ..."]
    denoised: Float[np.ndarray, "frames traced ..."]
    evaluations: Int[np.ndarray, "count"] | None = None


@functools.partial(jax.jit, static_argnames="traced")
def _run(
    sampler: Sampler,
    params: PyTree,
    prediction: Prediction,
    nodes: Nodes,
    keys: Array,
    condition: Condition,
    traced: int,
) -> tuple[Array, tuple[Array, Array], Array | None]:
    """The samples; (x, denoised) of the first `traced` of them, frame by frame; evaluations."""

    def save(state: State) -> tuple[Array, Array, Array | None]:
        counted = state.evaluations if isinstance(state, AdaptiveState) else None
        return state.x[:traced], state.denoised[:traced], counted

    start = prior(nodes, keys, sampler.shape)
    denoise = sampler.denoiser(params, prediction, condition, SamplingRun(start, nodes))
    solver = sampler.solver
    solver = sampler.posterior.solver(solver) if sampler.posterior else solver
    end, (x, denoised, counted) = sample_from(
        denoise, solver, nodes, start, keys, condition, save=save
    )
    # The estimate of step i was made from frame i; the last frame is its own.
    frames = jnp.concatenate([start[None, :traced], x])
    path = frames, jnp.concatenate([denoised, x[-1:]])
    return end, path, None if counted is None else counted[-1]


def finite_rows(samples: Float[np.ndarray, "count ..."]) -> Bool[np.ndarray, "count"]:
    """Which samples have finite values alone."""
    return np.asarray(np.isfinite(samples).reshape(len(samples), -1).all(axis=1))


def check_finite(samples: Float[np.ndarray, "count ..."], whose: str = "") -> None:
    """Refuses samples that are not finite.

    Args:
        samples: as `generate` drew them.
        whose: in words, such as " of arm 'cosine'".

    Raises:
        UserError: some are not.
    """
    lost = int((~finite_rows(samples)).sum())
    if lost:
        raise UserError(
            f"{lost} of {len(samples)} samples{whose} are not finite: use a smaller scale in "
            "sampling.guidance, more steps, or another of sampling.solvers."
        )


def _visited(posterior: Posterior, nodes: Nodes) -> Nodes:
    """The levels to visit. A posterior that goes back and forth counts steps without padding."""
    plain = nodes[: int(nodes.steps) + 1]
    visited = posterior.grid(plain)
    return nodes if visited is plain else visited


def generate(
    sampler: Sampler,
    params: PyTree,
    prediction: Prediction,
    nodes: Nodes,
    condition: Condition,
    count: int,
    seed: int,
    batch_size: int,
    traced: int = 0,
) -> tuple[Float[np.ndarray, "count ..."], Path]:
    """Draws samples 0 … count - 1 of a seed.

    Sample i depends on the seed, i, its condition and the grid, not on the batch size. One
    program is compiled per solver, whatever the arm and the step count, if the grids of all are
    padded to one length (`Nodes.pad`).

    Args:
        sampler: network, solver and guidance.
        params: of the network.
        prediction: what it was trained to predict.
        nodes: the grid.
        condition: rows for all samples, or {} for none.
        count: number of samples.
        seed: of the noise.
        batch_size: samples drawn at once.
        traced: how many of the first samples to keep after each step.

    Returns:
        Samples in the units of the data, float32, and the path of the first `traced`.

    Raises:
        UserError: the solver or the prediction cannot start from the grid's first level, or
            guidance needs self-attention that the network lacks.
    """
    check_start(nodes, sampler.solver, prediction)
    check_variance(sampler.solver, sampler.network.variance)
    check_attention(sampler.guidance, sampler.network)
    if sampler.guide:
        check_start(nodes, sampler.solver, sampler.guide.prediction)
    nodes = _visited(sampler.posterior, nodes) if sampler.posterior else nodes
    keys = sample_keys(jax.random.key(seed), count)
    given = {name: np.asarray(values) for name, values in condition.items()}
    batches, paths, counts = [], [], []
    for first in range(0, count, batch_size):
        # The last batch is filled up by repeating samples, so that all have one shape.
        rows = np.arange(first, first + batch_size) % count
        part = {name: values[rows] for name, values in given.items()}
        here = sampler.of(rows)
        samples, path, counted = _run(here, params, prediction, nodes, keys[rows], part, traced)
        batches.append(np.asarray(samples))
        paths.append(path)
        counts.append(counted)
    # Padding repeats the last frame.
    frames = slice(int(nodes.steps) + 1)
    x, denoised = (np.asarray(each)[frames] for each in paths[0])
    evaluations = np.concatenate(counts)[:count] if sampler.solver.adaptive else None
    return np.concatenate(batches)[:count], Path(nodes[frames].level, x, denoised, evaluations)
