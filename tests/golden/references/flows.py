"""Probability flows by adaptive solvers, and likelihoods: score_sde's, SiT's, k-diffusion's.

Their solvers choose steps of their own, so that not steps but results are compared: with the exact
end of the flow at the tolerance, and with likelihoods solved tightly for the recorded probe.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.integrate import Integrator
from diffusion_jax.sampling.likelihood import (
    Likelihood,
    bits_per_dim,
    log_density,
    prior_log_density,
)
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.solvers.euler_maruyama import EulerMaruyama
from diffusion_jax.sampling.solvers.ode import ODE
from diffusion_jax.sampling.solvers.reverse_diffusion import ReverseDiffusion
from tests.golden.check import Comparisons, Uncovered, checks, known, same
from tests.golden.load import Case
from tests.golden.problems import Problem, problem
from tests.golden.references.score_sde_pc import process
from tests.golden.replay import apart, at_times, replay
from tests.golden.sit import interval, path

# Errors of steps add up along the way.
SLACK = 100
TIGHT = Integrator(rtol=1e-9, atol=1e-9)
NEAR = 1e-6  # sigma that stands for clean data, where the flow has no beginning


def flow(data: Problem, nodes: Nodes, x: Any, rtol: float, atol: float) -> np.ndarray:
    """The states at the nodes after the first, by our adaptive solver."""
    return replay(ODE(rtol=rtol, atol=atol), nodes, data, x).x


@jax.jit
def exactly(data: Problem, x: Array, level: Level) -> Array:
    """The exact log-density."""
    return data.log_density(x, level)


@jax.jit
def likelihood(
    data: Problem, x: Array, start: Level, end: Level, probe: Array, integrator: Integrator
) -> Likelihood:
    """Our likelihood for one recorded probe."""
    return log_density(data.denoise, x, start, end, probe[None], integrator=integrator)


def standard(found: Likelihood, end: Level, prior: float) -> np.ndarray:
    """The log-density if the prior is N(0, prior²), and not the noise of the last level."""
    ours = prior_log_density(found.latent, end.sigma)
    return np.asarray(found.log_density - ours + prior_log_density(found.latent, prior))


def of_level(alpha: Any, sigma: Any) -> Level:
    """A level of two numbers."""
    return Level(jnp.asarray(float(alpha)), jnp.asarray(float(sigma)))


def _last_step(
    name: str, here: Nodes, settings: dict[str, float], count: int
) -> tuple[Solver, Nodes]:
    """The step of their reverse diffusion whose mean denoises: our solver, and where it goes."""
    time, alpha, sigma = here.time, here.level.alpha, here.level.sigma
    if name == "subvp":  # of Euler's, as it has no chain
        return EulerMaruyama(), Nodes(time - 1 / count, here.level, here.rate)
    index = int(time[0] * (count - 1))
    if name == "ve":
        ends = np.log([settings["sigma_min"], settings["sigma_max"]])
        table = np.append(0.0, np.exp(np.linspace(*ends, count)))
        gained = table[index + 1] ** 2 - table[index] ** 2
        there = Level(alpha, jnp.sqrt(sigma**2 - gained))
    else:
        ends = settings["beta_min"] / count, settings["beta_max"] / count
        kept = 1 - np.linspace(*ends, count)[index]
        there = Level(alpha / np.sqrt(kept), jnp.sqrt((sigma**2 - (1 - kept)) / kept))
    return ReverseDiffusion(), Nodes(time, there, here.rate)


@checks("score_sde", "ode")
def score_sde_ode(case: Case) -> Comparisons:
    kwargs, data = case.kwargs, problem(case.problem)
    name, schedule, settings = process(case)
    denoises, _ = kwargs.get("denoise", False), kwargs.get("method")
    count = int(kwargs.get("N", 1000))  # of the step that denoises
    rtol, atol = kwargs.get("rtol", 1e-5), kwargs.get("atol", 1e-5)
    nodes = at_times(schedule, np.array([1.0, kwargs.get("eps", 1e-3)]))
    # The largest states are the first ones, of VE as large as its noise.
    loose = SLACK * max(rtol * settings.get("sigma_max", 1.0), atol)
    end = flow(data, nodes, case["x_init"], rtol, atol)[-1]
    tight = flow(data, nodes, case["x_init"], 1e-9, 1e-9)[-1]
    yield same("NFE", case["nfe_reported"], case.nfe - bool(denoises))
    if "ode_exact" in case:
        yield same("exact end", end, case["ode_exact"], atol=loose)
        yield same("exact end, tightly", tight, case["ode_exact"], atol=1e-6)
    if denoises:
        solver, there = _last_step(name, nodes[1:], settings, count)
        mean = lambda x: apart(solver, data, nodes[1:], there, x[None]).x[0]  # noqa: E731
        end, tight = mean(end), mean(tight)
    yield same("end", end, case["final"], atol=loose)


@checks("score_sde", "likelihood")
def score_sde_likelihood(case: Case) -> Comparisons:
    kwargs, data = case.kwargs, problem(case.problem)
    name, schedule, settings = process(case)
    ends = at_times(schedule, np.array([kwargs.get("eps", 1e-5), 1.0])).level
    start, end = (of_level(ends.alpha[i], ends.sigma[i]) for i in (0, 1))
    x, probe = jnp.asarray(case["x"]), jnp.asarray(case["probe"])
    prior = settings["sigma_max"] if name == "ve" else 1.0
    yield same("exact", -np.asarray(exactly(data, x, start)), case["nll_nats_exact"], rtol=1e-9)
    probed = kwargs.get("hutchinson_type", "Rademacher")
    known("hutchinson_type", probed, "Rademacher", "Gaussian")
    _ = kwargs.get("method"), kwargs.get("N")
    rtol, atol = kwargs.get("rtol", 1e-5), kwargs.get("atol", 1e-5)
    loose = Integrator(rtol=rtol, atol=atol)
    found = [likelihood(data, x, start, end, probe, how) for how in (TIGHT, loose)]
    # They also estimate the part of the trace that is the same everywhere, and known.
    guessed = (np.sum(case["probe"] ** 2, axis=1) - x.shape[1]) * np.log(end.sigma / start.sigma)
    tight, ours = (-standard(each, end, prior) - guessed for each in found)
    yield same("tightly", tight, case["nll_nats_hutch_exact"], atol=1e-6)
    slack = SLACK * max(rtol, atol)
    # Their bytes are 1/256 wide, with the scaler that changes nothing.
    yield same("offset", bits_per_dim(jnp.zeros(()), 1, 1 / 256), case["bpd_offset"], rtol=1e-6)
    yield same(
        "bits", bits_per_dim(jnp.asarray(-ours), x.shape[1], 1 / 256), case["bpd"], atol=slack
    )
    yield same("latent", found[0].latent, case["z"], atol=slack * prior)


@checks("k_diffusion", "log_likelihood")
def k_diffusion(case: Case) -> Comparisons:
    kwargs, data = case.kwargs, problem(case.problem)
    start, end = of_level(1, kwargs["sigma_min"]), of_level(1, kwargs["sigma_max"])
    x, probe = jnp.asarray(case["x"]), jnp.asarray(case["v"])
    yield same("exact", exactly(data, x, start), case["ll_exact"], rtol=1e-9)
    tight = likelihood(data, x, start, end, probe, TIGHT)
    yield same("tightly", tight.log_density, case["ll_hutch_exact"], atol=1e-6)
    rtol, atol = kwargs.get("rtol", 1e-4), kwargs.get("atol", 1e-4)
    loose = Integrator(rtol=rtol, atol=atol)
    found = likelihood(data, x, start, end, probe, loose)
    # Their tolerance is met on average over the batch, and no better for single samples.
    slack = 5 * SLACK * max(rtol, atol)
    yield same("likelihood", found.log_density, case["ll"], atol=slack)


@checks("sit", "likelihood")
def sit_likelihood(case: Case) -> Comparisons:
    kwargs, data = case.kwargs, problem(case.problem)
    schedule, usual = path(kwargs), interval(case)
    for name in ("sampling_method", "num_steps"):
        _ = kwargs.get(name)  # theirs also returns what is on the way
    # Run backwards, their interval runs from data to noise, as ours does.
    given = [kwargs.get(name, end) for name, end in zip(("t0", "t1"), usual, strict=True)]
    ends = at_times(schedule, np.array(given)).level
    start, end = (of_level(ends.alpha[i], ends.sigma[i]) for i in (0, 1))
    x = jnp.asarray(case["x"])
    clean = exactly(data, x, of_level(1, 0))
    yield same("exact", clean, case["logp_exact"], rtol=1e-9)
    if not kwargs.get("fixed_probe", False):
        raise Uncovered("a probe drawn anew at every evaluation, which is no flow's divergence")
    probe = jnp.asarray(case["v"])
    start = of_level(start.alpha, max(float(start.sigma), NEAR))
    tight = likelihood(data, x, start, end, probe, TIGHT)
    yield same("tightly", standard(tight, end, 1.0), case["logp_hutch_exact"], atol=1e-5)
    rtol, atol = kwargs.get("rtol", 1e-3), kwargs.get("atol", 1e-6)
    loose = Integrator(rtol=rtol, atol=atol)
    found = likelihood(data, x, start, end, probe, loose)
    slack = max(SLACK * max(rtol, atol), 1e-5)
    yield same("likelihood", standard(found, end, 1.0), case["logp"], atol=slack)
    yield same("latent", found.latent, case["latent"], atol=slack)
