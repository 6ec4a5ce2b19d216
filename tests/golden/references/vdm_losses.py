"""VDM's losses, sampler, and the ends of its latent variable model.

Its gamma is minus the log-SNR; its losses are nats, summed over the dimensions of a picture. Its
settings of the score network say nothing where an exact one stands for it.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.bound_terms import BITS, prior_term
from diffusion_jax.process.level import Level
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.pixels import decode, encode, reconstruction
from diffusion_jax.process.predictions import X0, predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.time_samplers import time_samplers
from diffusion_jax.process.weightings import weightings
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.verification.oracles import Gaussian
from tests.golden.check import Comparisons, checks, known, same
from tests.golden.load import Case
from tests.golden.losses import levels, loss_of, mixed, restated
from tests.golden.problems import predicted
from tests.golden.references.schedules import GAMMAS, monotone
from tests.golden.replay import at_times, replay

MEAN, STD = 0.1, 0.5  # of the normal data whose denoiser stands for the network
NETWORK = ("with_fourier_features", "with_attention", "sm_n_embd", "sm_n_layer", "sm_pdrop")


def _schedule(case: Case) -> Schedule:
    """The schedule that a case's parameters of gamma are."""
    kind = known("gamma_type", case.kwargs["gamma_type"], *GAMMAS)
    low, high = case.kwargs["gamma_min"], case.kwargs["gamma_max"]
    if kind == "learnable_nnet":
        names = ("l1/bias", "l1/kernel", "l2/kernel", "l2/bias", "l3/kernel")
        return monotone(*(np.ravel(case[f"sd/gamma/{name}"]).astype(float) for name in names))
    if kind == "learnable_scalar" and "sd/gamma/w" in case:
        low, slope = case["sd/gamma/b"].item(), abs(case["sd/gamma/w"].item())
        high = low + slope
    return schedules.make(f"linear_log_snr(log_snr_min={-high!r}, log_snr_max={-low!r})")


def _flat(values: Any) -> np.ndarray:
    return np.asarray(values).reshape(len(values), -1)


@functools.partial(jax.jit, static_argnames="values")
def _ends(
    schedule: Schedule, values: int, pixels: Array, eps: Array
) -> tuple[Level, Array, Array, Array]:
    """The first and last level, the data, and the terms of the bound at either end."""
    ends, x0 = schedule.level(jnp.array([0.0, 1.0])), encode(pixels, values)
    first, last = (Level(ends.alpha[i], ends.sigma[i]) for i in (0, 1))
    recon = reconstruction(pixels, first.mix(x0, eps), first, values)
    return ends, x0, recon, prior_term(x0, last)


def _start(case: Case) -> Any:
    """Compares all that the network has no part in; returns what the diffusion loss needs."""
    for name in (*NETWORK, "sample_softmax"):
        _ = case.kwargs[name]  # of the network and of the sampler, not of these
    schedule, values = _schedule(case), case.kwargs["vocab_size"]
    pixels, eps = _flat(case["images"]).astype(int), _flat(case["eps_0"])
    ends, x0, *terms = _ends(schedule, values, pixels, eps)
    x0, dims, sigma = np.asarray(x0), pixels.shape[1], np.asarray(ends.sigma)
    yield same("var_0", sigma[0] ** 2, np.mean(case["var_0"]), rtol=1e-10)
    yield same("var_1", sigma[1] ** 2, np.mean(case["var_1"]), rtol=1e-10)
    recon, latent = (dims * np.asarray(term) for term in terms)
    yield same("reconstruction", recon, case["loss_recon"], rtol=1e-7)
    yield same("prior", latent, case["loss_klz"], rtol=1e-8)
    yield same("bits of it", BITS / dims * recon.mean(), case["bpd_recon"], rtol=1e-7)
    yield same("bits of the prior", BITS / dims * latent.mean(), case["bpd_latent"], rtol=1e-8)

    steps = case.kwargs["sm_n_timesteps"]
    drawn = f"discrete(steps={steps})" if steps else "uniform"
    u = np.broadcast_to(case["t_draw"], len(pixels))
    if case.kwargs["antithetic_time_sampling"]:
        u = jax.jit(time_samplers.make("low_discrepancy").stratify)(u)
    weighting = f"elbo_steps(steps={steps})" if steps else "elbo"
    objective = Objective(
        schedule, X0(), time_samplers.make(drawn), weightings.make(weighting, schedule=schedule)
    )
    time = jax.jit(objective.time_sampler.time)(u, schedule)
    yield same("t", time, case["t"], rtol=1e-12, atol=1e-15)
    return objective, u, x0


@checks("vdm", "loss")
def loss(case: Case) -> Comparisons:
    objective, u, x0 = yield from _start(case)
    known("score", case.extra["score"], "gauss")
    dims, eps = x0.shape[1], _flat(case["eps"])
    level = levels(objective, u)
    x = mixed(level, x0, eps)
    denoised = predicted(_exact(dims), X0(), x, level.alpha, level.sigma)
    for name in ("x0", "epsilon", "v"):
        kind = predictions.make(name)
        other = Objective(objective.schedule, kind, objective.time_sampler, objective.weighting)
        output = restated(denoised, x, level, X0(), kind)
        found = dims * loss_of(other, u, x0, eps, output)
        yield same(f"diffusion, {name}", found, case["loss_diff"], rtol=1e-7)
    yield same("bits", BITS / dims * found.mean(), case["bpd_diff"], rtol=1e-7)
    total = found + case["loss_recon"] + case["loss_klz"]
    yield same("all bits", BITS / dims * total.mean(), case["bpd"], rtol=1e-7)


@checks("vdm", "loss_unet")
def loss_unet(case: Case) -> Comparisons:
    """All but the diffusion loss, which is that of a network; networks are checked elsewhere."""
    yield from _start(case)


@functools.partial(jax.jit, static_argnums=0)
def _coded(
    values: int, pixels: Array, rescaled: Array, log_snr: Array
) -> tuple[Array, Array, Array]:
    """Data of pixels, the log-probabilities of values at noisy data, and the pixels' own term."""
    level = Level.from_log_snr(log_snr)
    z = level.alpha * rescaled
    return (
        encode(pixels, values),
        decode(z, level, values),
        reconstruction(pixels, z, level, values),
    )


@checks("vdm", "encdec")
def encdec(case: Case) -> Comparisons:
    for name in (*NETWORK, "sample_softmax", "antithetic_time_sampling", "sm_n_timesteps"):
        _ = case.kwargs[name]
    for name in ("gamma_type", "gamma_min", "gamma_max"):
        _ = case.kwargs[name]  # g_0 is recorded
    values = case.kwargs["vocab_size"]
    pixels, log_snr = case["x"].astype(int), -np.asarray(case["g_0"], float)
    encoded, log_p, recon = map(np.asarray, _coded(values, pixels, case["z"], log_snr))
    yield same("encoded", encoded, case["encoded"], rtol=1e-12, atol=1e-15)
    yield same("pixel 0", log_p[0, 0, 0], case["decode_logprobs_pixel0"], rtol=1e-8, atol=1e-10)
    found = -pixels[0].size * recon
    yield same("log p", found, case["logprob"], rtol=1e-8)


@checks("vdm", "sample")
def ancestral(case: Case) -> Comparisons:
    for name in (*NETWORK, "antithetic_time_sampling", "sm_n_timesteps"):
        _ = case.kwargs[name]
    schedule, steps = _schedule(case), case.kwargs["T"]
    nodes = at_times(schedule, np.arange(steps, -1, -1) / steps)
    start = _flat(case["z_init"])
    noise = case["noise"].reshape(steps, *start.shape)
    states = replay(solvers.make("ancestral"), nodes, _exact(start.shape[1]), start, noise)
    trajectory = case["traj"].reshape(steps + 1, *start.shape)
    yield same("start", start, trajectory[0], rtol=1e-12)
    yield same("trajectory", states.x, trajectory[1:], atol=1e-9)
    values = case.kwargs["vocab_size"]
    if not case.kwargs["sample_softmax"]:  # else the pixels are drawn, by a draw not recorded
        log_p = decode(jnp.asarray(states.x[-1]), nodes[-1].level, values)
        yield same("pixels", jnp.argmax(log_p, axis=-1), _flat(case["x"]))


def _exact(dims: int) -> Gaussian:
    return Gaussian(*(jnp.asarray(np.full(dims, value)) for value in (MEAN, STD)))
