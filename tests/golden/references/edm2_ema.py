"""EDM2's averages of parameters, their reconstruction, and its learning rate."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.training import posthoc
from diffusion_jax.training.ema import Average, averages, update
from diffusion_jax.training.optimizers import Adam
from tests.golden.check import Comparisons, checks, same
from tests.golden.load import Case


@checks("edm2", "phema")
def phema(case: Case) -> Comparisons:
    subjects = {
        "beta": _profile,
        "resp": _response,
        "corr": _correlation,
        "X": _coefficients,
        "ema": _tracking,
        "lr": _learning_rate,
    }
    (subject,) = (check for array, check in subjects.items() if array in case)
    yield from subject(case)


def _profile(case: Case) -> Comparisons:
    gamma = posthoc.exponent(case["std"])
    yield same("gamma", gamma, case["exp"], rtol=1e-12)
    yield same("std", posthoc.relative_width(gamma), case["std_roundtrip"], rtol=1e-12)
    step = jnp.asarray(case["t_next"] / case["t_delta"])
    weights = [averages.make(f"power_function(std={std})").weight(step) for std in case["std"]]
    yield same("share of the past", 1 - np.stack(weights), case["beta"], rtol=1e-10, atol=1e-13)


def _response(case: Case) -> Comparisons:
    time = np.arange(len(case["resp"]), dtype=np.float64)[:, None]
    profiles = posthoc.response(time, case["resp_ofs"], case["resp_std"])
    yield same("profile", profiles / profiles.sum(axis=0), case["resp"], atol=1e-14)


def _correlation(case: Case) -> Comparisons:
    names = ("corr_a_ofs", "corr_a_std", "corr_b_ofs", "corr_b_std")
    yield same(
        "correlation", posthoc.correlation(*(case[n] for n in names)), case["corr"], rtol=1e-11
    )


def _coefficients(case: Case) -> Comparisons:
    found = posthoc.coefficients(case["in_ofs"], case["in_std"], case["out_ofs"], case["out_std"])
    yield same("shares", found, case["X"], atol=1e-11)


@partial(jax.jit, static_argnums=0)
def _followed(average: Average, params: jax.Array, steps: jax.Array) -> jax.Array:
    def step(ema: jax.Array, drawn: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        ema = update(average, ema, *drawn)
        return ema, ema

    return jax.lax.scan(step, jnp.zeros_like(params[0]), (params, steps))[1]


def _tracking(case: Case) -> Comparisons:
    batch, params = int(case["batch_size"]), jnp.asarray(case["params"])
    updates = np.arange(1, len(params))
    yield same("pictures", updates * batch, case["cur_nimg"])
    for i, std in enumerate(case["std"]):
        found = _followed(averages.make(f"power_function(std={std})"), params[1:], updates)
        yield same(f"average of std {std:g}", found, case["ema"][1:, i], atol=1e-11)
    half_life = averages.make(
        f"half_life(samples={float(case['halflife_Mimg']) * 1e6}, "
        f"ramp_up={float(case['rampup_ratio'])})",
        batch_size=batch,
    )
    # Their half-life counts the batch of the update itself, which makes the first parameters
    # one more of those averaged.
    found = _followed(half_life, params, np.arange(1, len(params) + 1))
    yield same("average of a half-life", found, case["half_ema"], atol=1e-11)


def _learning_rate(case: Case) -> Comparisons:
    peak, hold = float(case["ref_lr"]), float(case["ref_batches"])
    batch = int(case["batch_size"])
    warmup = float(case["rampup_Mimg"]) * 1e6 / batch
    decay = "inverse_sqrt" if hold else "constant"
    decayed = Adam(steps=2**30, learning_rate=peak, decay=decay, hold=hold).rate
    grown = Adam(steps=2**30, learning_rate=1.0, warmup=warmup).rate
    count = case["lr_nimg"] / batch
    # Their first update has a rate of 0; ours is a step ahead while the rate grows.
    growth = grown(count - 1) if warmup else 1.0
    yield same("learning rate", decayed(count) * growth, case["lr"], rtol=1e-12)
