"""diffusers' schedulers for distilled networks: LCM, TCD, sCM and consistency models."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditionings import input_scale
from diffusion_jax.process.predictions import X0, predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.sampling.consistency_function import (
    consistency_scalings,
    latent_consistency_scalings,
    with_boundary,
)
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.solvers.gamma_sampling import GammaSampling
from diffusion_jax.sampling.thresholds import thresholds
from diffusion_jax.struct import pytree, static
from tests.golden.check import Comparisons, Deliberate, Fault, checks, nothing_more, same
from tests.golden.diffusers import (
    Config,
    Thresholded,
    data,
    exploding,
    given,
    outputs,
    recorded_prediction,
    schedule,
    steps_of,
    table,
    threshold,
)
from tests.golden.load import Case
from tests.golden.problems import Problem, predicted, problem
from tests.golden.references.diffusers_labels import at_labels, draws
from tests.golden.replay import at_times, nodes_at, replay, with_clean
from tests.sampling.exact import compiled

TOLERANCE = 1e-9


def distilled_labels(case: Case) -> np.ndarray:
    """The labels of a distilled network: some of those that it was distilled on."""
    listed = given(case, "set_timesteps", "timesteps")
    if listed is not None:
        return np.asarray(listed)
    config = Config(case)
    original = given(case, "set_timesteps", "original_inference_steps")
    original = int(original or config["original_inference_steps"])
    kept = int(original * given(case, "set_timesteps", "strength", 1.0))
    trained = np.arange(1, kept + 1) * (config["num_train_timesteps"] // original) - 1
    some = np.linspace(0, kept, steps_of(case), endpoint=False)
    return trained[::-1][np.floor(some).astype(int)]


@pytree
class Latent:
    """LCM's consistency function, whose network's estimate is exact."""

    inner: Problem
    schedule: Schedule
    scaling: float
    train_steps: int = static()

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        scalings = latent_consistency_scalings(self.schedule, self.train_steps, self.scaling)
        return with_boundary(self.inner.denoise, scalings)(x, level, condition)


def distilled_start(case: Case) -> Comparisons:
    """All that comes before the first step."""
    yield from table(case)
    yield same("labels", distilled_labels(case), case["timesteps"])
    yield from recorded_prediction(case)
    yield same("scale of the start", 1.0, case["init_noise_sigma"])


NO_SIGNAL = "x_0 is found from eps where there is no signal, as 0/0: NaN"


def _shown_not_a_number(case: Case) -> None:
    assert case["alphas_cumprod"][case["timesteps"][0]] == 0, "there is signal"
    assert np.isnan(case["final"]).all(), "its sample is finite"


def without_signal(case: Case) -> Comparisons:
    """Ends the check of a run that starts where a network that predicts eps tells nothing."""
    config = Config(case)
    blind = config["rescale_betas_zero_snr"] and config["prediction_type"] == "epsilon"
    if blind and distilled_labels(case)[0] == config["num_train_timesteps"] - 1:
        nothing_more(case.kwargs["step"], "eta")
        yield same("labels of the run", distilled_labels(case), case["timesteps"])
        dict(case.kwargs["step"])  # which are of a sample that is no number
        raise Deliberate(Fault(NO_SIGNAL, functools.partial(_shown_not_a_number, case)))


@checks("diffusers", "LCMScheduler")
def latent_consistency(case: Case) -> Comparisons:
    yield from distilled_start(case)
    config, at = Config(case), distilled_labels(case)
    exact = Latent(
        data(case), schedule(config), config["timestep_scaling"], config["num_train_timesteps"]
    )
    solver = solvers.make("consistency")
    yield same("evaluations", solver.evaluations(len(at)), case.nfe)
    yield from without_signal(case)
    nodes = with_clean(at_labels(case, at))  # wherever it was told to end
    found = replay(solver, nodes, exact, case["x_init"], draws(case, len(at)))
    yield same("estimates", found.denoised, case["pred_x0"], atol=TOLERANCE)
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("end", found.x[-1], case["final"], atol=TOLERANCE)
    nothing_more(case.kwargs["step"])


@pytree
class WholeLabels:
    """A table in which time is the label, and only whole labels exist."""

    alpha: Array
    sigma: Array
    slack: float  # below a whole label that still counts as it

    t_min = 0.0

    @property
    def t_max(self) -> float:
        return self.alpha.shape[0] - 1.0

    def level(self, time: Array) -> Level:
        label = jnp.floor(time + self.slack).astype(int)
        return Level(self.alpha[label], self.sigma[label])

    def time(self, log_snr: Array) -> Array:
        return jnp.interp(
            -log_snr, -Level(self.alpha, self.sigma).log_snr, jnp.arange(self.t_max + 1)
        )


@checks("diffusers", "TCDScheduler")
def trajectory_consistency(case: Case) -> Comparisons:
    yield from distilled_start(case)
    config, at = Config(case), distilled_labels(case)
    threshold(case)  # of x_0, which is not looked at
    yield from without_signal(case)
    whole = at_labels(case, np.arange(config["num_train_timesteps"]))
    eta = given(case, "step", "eta", 0.3)
    # The run ends at the first label, not on clean data.
    steps, at = len(at), np.append(at, 0)
    level = at_labels(case, at).level
    nodes = nodes_at(level.alpha, level.sigma, at)

    def states(slack: float) -> Array:
        clock = WholeLabels(whole.level.alpha, whole.level.sigma, slack)
        exact, noise = problem(case.problem), draws(case, steps)
        return replay(GammaSampling(eta, clock), nodes, exact, case["x_init"], noise).x

    yield same("evaluations", GammaSampling(eta).evaluations(steps), case.nfe)
    # (1 - eta) times a label may be rounded to just below a whole one, according to precision.
    found = min(map(states, (1e-9, 0.0)), key=lambda x: np.abs(x - case["traj"][1:]).max())
    yield same("states", found, case["traj"][1:], atol=TOLERANCE)
    yield same("end", found[-1], case["final"], atol=TOLERANCE)


@checks("diffusers", "SCMScheduler")
def trig_flow(case: Case) -> Comparisons:
    sigma_data, steps = Config(case).get("sigma_data", 0.5), steps_of(case)
    longest = given(case, "set_timesteps", "max_timesteps", 1.57080)
    between = given(case, "set_timesteps", "intermediate_timesteps", 1.3)
    angle = given(case, "set_timesteps", "timesteps")
    if angle is None:
        angle = np.linspace(longest, 0, steps + 1)
        angle[1] = between if between is not None and steps == 2 else angle[1]
    yield same("angles", angle, case["timesteps"], rtol=1e-12)
    # Their data are x_0/sigma_data; x and the noise are on the scale of x_0 here.
    ours = at_times(schedules.make("cosine"), 2 / np.pi * np.asarray(angle)).level
    alpha, sigma = np.asarray(ours.alpha), sigma_data * np.asarray(ours.sigma)
    yield same("alpha", alpha[:-1], case["eval_alpha"], atol=1e-12)
    yield same("sigma", sigma[:-1], case["eval_sigma"], rtol=1e-12)
    # At alpha² + sigma²/sigma_data² = 1 EDM's F is TrigFlow's, up to sign and scale.
    kind = predictions.make(f"edm(sigma_data={sigma_data})")
    yield from outputs(case, kind, factor=-sigma_data)
    solver = solvers.make("consistency")
    yield same("evaluations", solver.evaluations(len(angle) - 1), case.nfe)
    found = replay(
        solver, nodes_at(alpha, sigma), problem(case.problem), case["x_init"], case["noise"]
    )
    yield same("estimates", found.denoised, case["pred_x0"], atol=TOLERANCE)
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("end", found.x[-1], case["final"], atol=TOLERANCE)
    nothing_more(case.kwargs["step"])


@jax.jit
def _bounded(
    x: Array, outputs: Array, level: Level, sigma_data: float, sigma_min: float
) -> tuple[Array, Array]:
    """What a consistency model's network is given at x, and what its outputs there stand for."""
    scalings = consistency_scalings(sigma_data, sigma_min)
    seen = input_scale(level.like(x), sigma_data) * x
    return seen, with_boundary(lambda *_: outputs, scalings)(x, level, None)


@checks("diffusers", "CMStochasticIterativeScheduler")
def consistency_model(case: Case) -> Comparisons:
    config = {
        "num_train_timesteps": 40,
        "sigma_min": 0.002,
        "sigma_max": 80.0,
        "sigma_data": 0.5,
        "s_noise": 1.0,
        "rho": 7.0,
        "clip_denoised": True,
    }
    nothing_more(case.kwargs["config"], *config)
    config |= dict(case.kwargs["config"])
    count, low, high = (config[k] for k in ("num_train_timesteps", "sigma_min", "sigma_max"))
    ends = f"sigma_min={low}, sigma_max={high}"
    grid = grids.make(f"karras(rho={config['rho']}, {ends})")
    whole = np.asarray(compiled(grid, schedules.make(f"edm({ends})"), count).level.sigma)[:-1]
    at = given(case, "set_timesteps", "timesteps")
    if at is None:
        at = np.arange(steps_of(case))[::-1] * (count // steps_of(case))
    # Their labels count from the least noise, and index the grid from the most.
    sigma = np.append(whole[np.sort(at)], low)
    yield same("sigma", sigma, case["sigmas"], rtol=1e-10)
    yield same("scale of the start", high, case["init_noise_sigma"], rtol=1e-12)
    yield same("labels", 250 * np.log(sigma[:-1] + 1e-44), case["timesteps"], rtol=1e-10)

    exact, x, said = problem(case.problem), case["traj"][:-1], case["eval_out"]
    alpha, sigma_at = case["eval_alpha"], case["eval_sigma"]
    level = Level(jnp.asarray(alpha), jnp.asarray(sigma_at))
    seen, bounded = _bounded(x, said, level, config["sigma_data"], low)
    yield same("network's input", seen, case["eval_x"], rtol=1e-10)
    ours = predicted(exact, X0(), x, alpha[:, None], sigma_at[:, None])
    yield same("c_skip x + c_out F", bounded, ours, rtol=1e-9, atol=1e-10)
    if config["clip_denoised"]:
        exact = Thresholded(exact, thresholds.make("clip"))
    solver = solvers.make(f"consistency(sigma_min={low})")
    yield same("evaluations", solver.evaluations(len(at)), case.nfe)
    noise = config["s_noise"] * draws(case, len(at))
    found = replay(solver, exploding(sigma), exact, case["x_init"], noise)
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("end", found.x[-1], case["final"], atol=TOLERANCE)
    nothing_more(case.kwargs["step"])
