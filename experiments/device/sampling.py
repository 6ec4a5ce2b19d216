"""Sampling: samples a second of solvers at about the same number of network evaluations."""

from typing import cast

import jax
from jaxtyping import PyTree

from diffusion_jax.process.denoiser import from_network
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids, make
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.solvers import solvers
from experiments.device import flops, library, memory
from experiments.device.inputs import SIGMA_DATA
from experiments.device.problems import Problem, problem
from experiments.device.section import Figures
from experiments.device.timing import Timing, timed
from experiments.device.train import utilisation
from experiments.weights import nested

EVALUATIONS = 20
# One of each family: first order, two stages, multistep, predictor-corrector, with noise.
SOLVERS = ("ddim", "heun", "dpmpp_2m", "unipc", "euler_ancestral")


def measure(name: str, dtype: str, small: bool) -> Figures:
    """Times every solver, which asks the network for about as many evaluations."""
    chosen = problem(name, small)
    names = SOLVERS[:2] if small else SOLVERS
    return memory.fitting(
        chosen.batch, lambda batch: _with_batch(chosen, dtype, names, batch, small)
    )


def _with_batch(
    chosen: Problem, dtype: str, names: tuple[str, ...], batch: int, small: bool
) -> Figures:
    training = library.training(chosen, dtype, (), batch)
    params = jax.device_put(nested(library.first_weights(training.network, chosen.shape)))
    needed = flops.forward(training.network.backbone, chosen.shape)
    found: Figures = {"means": chosen.means, "dtype": dtype, "batch": batch, "solvers": {}}
    for name in names:
        timing, steps, asked = _solver(training, params, name, chosen, batch, small)
        rate = batch / timing.median
        found["solvers"][name] = timing.figures() | {
            "steps": steps,
            "evaluations": asked,
            "samples_per_second": rate,
            "evaluations_per_second": rate * asked,
            "mfu": utilisation(needed * rate * asked, dtype),
        }
    return found


def _solver(
    training: library.Training, params: PyTree, name: str, chosen: Problem, batch: int, small: bool
) -> tuple[Timing, int, int]:
    """Seconds of a batch of samples, steps, and evaluations of each."""
    schedule, solver = schedules.make("edm"), solvers.make(name)
    steps = max(EVALUATIONS // -(-solver.evaluations(EVALUATIONS) // EVALUATIONS), 2)
    nodes = make(grids.make("karras"), schedule, steps)
    keys = sample_keys(jax.random.key(0), batch)
    prediction = predictions.make("edm", schedule=schedule, sigma_data=SIGMA_DATA)
    condition, network = training.batch["condition"], training.network.for_sampling()

    @jax.jit
    def draw(params: PyTree, keys: jax.Array) -> jax.Array:
        def predict(x: jax.Array, c_noise: jax.Array, _: PyTree) -> jax.Array:
            return cast(jax.Array, network.apply({"params": params}, x, c_noise, condition))

        denoise = from_network(predict, prediction, SIGMA_DATA)
        return sample_from(denoise, solver, nodes, prior(nodes, keys, chosen.shape), keys)[0]

    def run(count: int) -> None:
        for _ in range(count):
            result = draw(params, keys)
        jax.block_until_ready(result)

    return timed(run, small), steps, solver.evaluations(steps)
