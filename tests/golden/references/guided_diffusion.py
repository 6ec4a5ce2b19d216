"""guided-diffusion's samplers. Its loop index counts the kept steps, least noise first."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.posterior import posterior
from diffusion_jax.process.predictions import Prediction
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.ancestral import Ancestral, MeanShift
from tests.golden.check import Comparisons, checks, known, same
from tests.golden.load import Case
from tests.golden.openai import (
    ROUNDING,
    VARIANCES,
    Chain,
    ClassGradient,
    asked,
    dit_schedule,
    kept,
    sampled,
    told,
)
from tests.golden.problems import Problem, predicted, problem
from tests.golden.replay import nodes_at, replay


@checks("guided_diffusion", "p_sample")
def p_sample(case: Case) -> Comparisons:
    chain = yield from _chain(case)
    yield from _evaluations(case, chain)
    _ = asked(case, "eta")  # handed to the loop, which has no use for it here
    kind = VARIANCES[asked(case, "model_var_type")]
    # A predicted mean is taken as it is: clipping x_0 leaves it alone.
    clip = asked(case, "clip_denoised") and asked(case, "model_mean_type") != "PREVIOUS_X"
    data = told(
        sampled(problem(case.problem), clip=clip),
        kind,
        case["eval_sigma"],
        case.get("var_pred"),
    )
    solver: Solver = Ancestral("learned" if kind.startswith("learned") else kind)
    gradient = _gradient(case)
    if gradient is not None:
        solver = MeanShift(gradient, float(asked(case, "cond_scale")), solver, _last(case, chain))
    yield from _states(case, chain, solver, data)


@checks("guided_diffusion", "ddim_sample")
def ddim_sample(case: Case) -> Comparisons:
    chain = yield from _chain(case)
    yield from _evaluations(case, chain)
    gradient, scale = _gradient(case), float(asked(case, "cond_scale"))
    clip = asked(case, "clip_denoised")
    data = sampled(problem(case.problem), clip, gradient, scale)
    _ = VARIANCES[asked(case, "model_var_type")]  # DDIM has no use for a variance
    eta = asked(case, "eta")
    yield from _states(case, chain, solvers.make(f"ddim(eta={eta})"), data)


@checks("guided_diffusion", "ddim_reverse")
def ddim_reverse(case: Case) -> Comparisons:
    """The same step upwards, from the least noisy entry to a last one without signal."""
    chain = yield from _chain(case)
    yield from _evaluations(case, chain, upwards=True)
    _ = VARIANCES[asked(case, "model_var_type")], known("eta", asked(case, "eta"), 0)
    clip, gradient = asked(case, "clip_denoised"), _gradient(case)
    data = sampled(problem(case.problem), clip, gradient, float(asked(case, "cond_scale")))
    nodes = nodes_at(np.append(chain.levels.alpha, 0.0), np.append(chain.levels.sigma, 1.0))
    states = replay(solvers.make("ddim"), nodes, data, case["x_init"])
    yield same("trajectory", states.x, case["traj"][1:], atol=1e-9)
    yield same("final", states.x[-1], case["final"], atol=1e-9)


def _chain(case: Case) -> Any:
    """The chain that a case's settings mean, held against the recorded one."""
    trained = asked(case, "T")
    labels = kept(asked(case, "respacing"), trained)
    yield same("labels", labels, case["timestep_map"])
    chain = Chain.of(asked(case, "schedule"), trained, labels)
    yield same(
        "alphas_cumprod", chain.levels.alpha**2, case["alphas_cumprod"], rtol=1e-8, atol=ROUNDING
    )
    return chain


@checks("dit", "p_sample")
def dit_p_sample(case: Case) -> Comparisons:
    """The same code by DiT's words: usually a linear table, noise predicted, variance in range.

    Its index does not hold the table, which the levels of the evaluations show.
    """
    kwargs, trained = case.kwargs, case.kwargs.get("diffusion_steps", 1000)
    labels = kept(kwargs["timestep_respacing"], trained)
    yield same("labels", labels, case["timestep_map"])
    chain = Chain.of(dit_schedule(case), trained, labels)
    alpha, sigma = (v[:-1] for v in chain.down)
    yield same("alpha", alpha, case["eval_alpha"], rtol=1e-10, atol=ROUNDING)
    yield same("sigma", sigma, case["eval_sigma"], rtol=1e-10)
    yield same("label", labels[::-1], case["eval_t"])
    prediction = chain.prediction("START_X" if kwargs.get("predict_xstart") else "EPSILON")
    found = _output(case, prediction, alpha, sigma)
    yield same("output", found, case["eval_out"], rtol=1e-8, atol=1e-9)
    _ = kwargs.get("use_kl"), kwargs.get("rescale_learned_sigmas")  # of the loss
    fixed = "small" if kwargs.get("sigma_small", False) else "large"
    kind = "learned_range" if kwargs.get("learn_sigma", True) else fixed
    exact = sampled(problem(case.problem), clip=kwargs.get("clip_denoised", False))
    data = told(exact, kind, sigma, case.get("var_pred"))
    nodes = nodes_at(*chain.down)
    solver = Ancestral("learned" if kind.startswith("learned") else kind)
    states = replay(solver, nodes, data, case["x_init"], case["noise"])
    yield same("trajectory", states.x, case["traj"][1:], atol=1e-9)
    yield same("final", states.x[-1], case["final"], atol=1e-9)


def _output(case: Case, prediction: Prediction, alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """What the exact network predicts at each recorded evaluation."""
    levels = alpha[:, None], sigma[:, None]
    return predicted(problem(case.problem), prediction, case["eval_x"], *levels)


def _evaluations(case: Case, chain: Chain, upwards: bool = False) -> Comparisons:
    """Levels, labels and outputs of all evaluations of the network."""
    order = slice(None) if upwards else slice(None, None, -1)
    alpha, sigma = chain.levels.alpha[order], chain.levels.sigma[order]
    yield same("NFE", chain.steps, case.nfe)
    yield same("alpha", alpha, case["eval_alpha"], rtol=1e-10, atol=ROUNDING)
    yield same("sigma", sigma, case["eval_sigma"], rtol=1e-10)
    scale = 1000 / chain.trained if asked(case, "rescale_timesteps") else 1
    yield same("label", chain.labels[order] * scale, case["eval_t"], rtol=1e-12)
    prediction = chain.prediction(asked(case, "model_mean_type"))
    found = _output(case, prediction, alpha, sigma)
    yield same("output", found, case["eval_out"], rtol=1e-8, atol=1e-9)


def _gradient(case: Case) -> ClassGradient | None:
    component = asked(case, "cond_class")
    if component is None:
        _ = asked(case, "cond_scale")  # without effect
        return None
    return ClassGradient(problem(case.problem), jnp.asarray(component))


def _last(case: Case, chain: Chain) -> Any:
    """The variance by which the last step's mean is shifted."""
    kind = VARIANCES[asked(case, "model_var_type")]
    if kind == "small":
        return 0.0
    if kind == "learned":
        return jnp.exp(jnp.asarray(case["var_pred"][-1]))
    # In the place of nothing theirs have the variance of the step before.
    alpha, sigma = (jnp.asarray(v[-3:-1]) for v in chain.down)
    small = posterior(Level(alpha[0], sigma[0]), Level(alpha[1], sigma[1])).log_small
    if kind == "large":
        return jnp.exp(small)
    part = (jnp.asarray(case["var_pred"][-1]) + 1) / 2
    return jnp.exp(small + part * (2 * jnp.log(sigma[1]) - small))


@jax.jit
def _each(gradient: ClassGradient, x: Array, level: Level) -> Array:
    return jax.vmap(gradient)(x, level)


def _states(case: Case, chain: Chain, solver: Solver, data: Problem) -> Comparisons:
    yield same("evaluations", solver.evaluations(chain.steps), case.nfe)
    states = replay(solver, nodes_at(*chain.down), data, case["x_init"], case.get("noise"))
    yield same("trajectory", states.x, case["traj"][1:], atol=1e-9)
    # Theirs is from before a classifier shifts the mean, and clipped also where that is unused.
    if asked(case, "cond_class") is None and not asked(case, "clip_denoised"):
        yield same("x_0", states.denoised, case["pred_xstart"], atol=1e-8)
    if "cond_grad" in case:
        level = Level(*(jnp.asarray(case[f"eval_{n}"][:, None]) for n in ("alpha", "sigma")))
        gradient = np.asarray(_each(_gradient(case), jnp.asarray(case["eval_x"]), level))
        scale = asked(case, "cond_scale")
        yield same("gradient", scale * gradient, case["cond_grad"], rtol=1e-7, atol=1e-8)
    yield same("final", states.x[-1], case["final"], atol=1e-9)
