"""guided-diffusion's losses, bounds, and the normal distributions and history they are made of."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.bound_terms import BITS
from diffusion_jax.process.gaussians import normal_kl, pixel_log_likelihood, tanh_cdf
from diffusion_jax.process.importance import LossHistory
from diffusion_jax.process.losses import losses
from diffusion_jax.process.losses.base import Loss
from diffusion_jax.process.losses.distances import Squared
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.uniform import Discrete
from diffusion_jax.process.weightings.plain import Simple
from diffusion_jax.sampling.chain_bound import Bound, variational_bound
from tests.golden.check import Comparisons, checks, known, same
from tests.golden.load import Case
from tests.golden.losses import levels, loss_of, mixed
from tests.golden.openai import ROUNDING, VARIANCES, Chain, asked, kept, sampled, told
from tests.golden.problems import Problem, predicted, problem

LOSSES = ("MSE", "RESCALED_MSE", "KL", "RESCALED_KL")


def chain_of(case: Case) -> Chain:
    """The chain that a case's settings mean."""
    trained = asked(case, "T")
    return Chain.of(asked(case, "schedule"), trained, kept(asked(case, "respacing"), trained))


@checks("guided_diffusion", "losses")
def training_losses(case: Case) -> Comparisons:
    _ = case.kwargs.get("rescale_timesteps")  # labels alone
    chain = chain_of(case)
    kind = VARIANCES[asked(case, "model_var_type")]
    name = known("loss_type", asked(case, "loss_type"), *LOSSES)
    learns, rescaled = kind.startswith("learned"), name.startswith("RESCALED")
    variational = losses.make(f"variational(kind={kind}, steps={chain.steps})")
    if name.endswith("KL"):
        loss: Loss = variational
    elif learns:
        part = 0.001 if rescaled else 1 / chain.steps
        loss = losses.make(f"hybrid(kind={kind}, part={part}, steps={chain.steps})")
    else:
        loss = Squared()
    prediction = chain.prediction(asked(case, "model_mean_type"))
    times, u = Discrete(chain.steps), (case["t"] + 0.5) / chain.steps

    def found(loss: Loss, output: Array) -> np.ndarray:
        objective = Objective(chain.table, prediction, times, Simple(), 0.5, loss)
        return loss_of(objective, u, case["x_start"], case["noise"], output)

    objective = Objective(chain.table, prediction, times, Simple())
    level = levels(objective, u)
    x = mixed(level, case["x_start"], case["noise"])
    yield same("x", x, case["x_t"], rtol=1e-10)
    value = predicted(problem(case.problem), prediction, x, level.alpha, level.sigma)
    yield same("output", value, case["model_out"], rtol=1e-7, atol=1e-9)

    output = case["model_out"]
    if "mse" in case:
        yield same("mse", found(Squared(), output), case["mse"], rtol=1e-9)
    if learns:
        output = np.concatenate([output, case["var_pred"]], axis=1)
    if "vb" in case:
        terms = found(variational, output) * (0.001 if rescaled else 1 / chain.steps)
        yield same("vb", terms, case["vb"], rtol=1e-8)
    scale = 1 / chain.steps if name == "KL" else 1
    yield same("loss", scale * found(loss, output), case["loss"], rtol=1e-8)


@functools.partial(jax.jit, static_argnames=("steps", "variance"))
def _bound(
    data: Problem, schedule: Schedule, steps: int, x0: Array, noise: Array, variance: str
) -> Bound:
    return variational_bound(
        getattr(data, "telling", data.denoise),
        schedule,
        steps,
        x0,
        lambda k: noise[k],
        variance=variance,
        approximate=True,
    )


@checks("guided_diffusion", "vlb")
def calc_bpd_loop(case: Case) -> Comparisons:
    _ = case.kwargs.get("rescale_timesteps")  # labels alone
    chain = chain_of(case)
    yield same("labels", chain.labels, case["timestep_map"])
    signal = chain.levels.alpha**2
    yield same("alphas_cumprod", signal, case["alphas_cumprod"], rtol=1e-8, atol=ROUNDING)
    kind = VARIANCES[asked(case, "model_var_type")]
    sigma = chain.down[1][:-1]
    exact = sampled(problem(case.problem), asked(case, "clip_denoised"))
    data = told(exact, kind, sigma, case.get("var_pred"))
    x0, noise = jnp.asarray(case["x_start"]), jnp.asarray(case["noise"])
    variance = "learned" if kind.startswith("learned") else kind
    bound = _bound(data, chain.table, chain.steps, x0, noise, variance)
    bound = jax.tree.map(np.asarray, bound)
    yield same("vb", BITS * bound.terms.T, case["vb"], rtol=1e-8, atol=1e-12)
    yield same("prior", BITS * bound.prior, case["prior_bpd"], rtol=1e-8, atol=1e-13)
    yield same("total", BITS * np.asarray(bound.total), case["total_bpd"], rtol=1e-9)
    yield same("mse of x_0", bound.error.T, case["xstart_mse"], rtol=1e-9)
    snr = (chain.down[0][:-1] / sigma) ** 2
    yield same("mse", snr * bound.error.T, case["mse"], rtol=1e-8)

    # The network's own prediction, before anything is clipped.
    alpha = chain.down[0][:-1]
    x = alpha[:, None, None] * case["x_start"] + sigma[:, None, None] * case["noise"]
    prediction = chain.prediction(asked(case, "model_mean_type"))
    at = alpha[:, None], sigma[:, None]
    found = predicted(problem(case.problem), prediction, x, *at)
    yield same("output", found, case["eval_out"], rtol=1e-7, atol=1e-9)


@checks("guided_diffusion", "likelihood_helpers")
def likelihood_helpers(case: Case) -> Comparisons:
    arrays = ("mean1", "logvar1", "mean2", "logvar2")
    kl = jax.jit(normal_kl)(*(case[name] for name in arrays))
    yield same("KL", kl, case["kl"], rtol=1e-9, atol=1e-14)
    yield same("cdf", jax.jit(tanh_cdf)(case["z"]), case["cdf"], rtol=1e-10, atol=1e-15)
    likelihood = jax.jit(functools.partial(pixel_log_likelihood, approximate=True))
    found = np.asarray(likelihood(case["x"], case["means"], 2 * case["log_scales"]))
    # Theirs takes nearly equal numbers from each other in the upper tail: 1e-16 of probability.
    yield same("probability", np.exp(found), np.exp(case["log_probs"]), rtol=1e-9, atol=1e-15)
    lasting = case["log_probs"] > np.log(1e-7)
    yield same("log p", found[lasting], case["log_probs"][lasting], rtol=1e-8, atol=1e-8)


@checks("guided_diffusion", "importance_sampler")
def second_moments(case: Case) -> Comparisons:
    kwargs = case.kwargs
    steps, share = kwargs["T"], kwargs.get("uniform_prob", 0.001)
    history = LossHistory.empty(steps, kwargs.get("history_per_term", 10))
    probabilities = jax.jit(LossHistory.probabilities)
    before, after = case["weights_before"], case["weights_after"]
    yield same("before", probabilities(history, share), before / before.sum(), rtol=1e-12)
    history = jax.jit(LossHistory.update)(history, case["ts"].astype(int), case["losses"])
    yield same("after", probabilities(history, share), after / after.sum(), rtol=1e-10)
