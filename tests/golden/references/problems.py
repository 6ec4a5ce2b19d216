"""The exact distributions: no reference's code, so these are the oracles' own numbers."""

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.level import Level
from tests.golden.check import Comparisons, checks, same
from tests.golden.load import Case
from tests.golden.problems import problem


@checks("problems", "gmm2", "gauss16")
def exact(case: Case) -> Comparisons:
    x, level = case["x"], Level(jnp.asarray(case["alpha"]), jnp.asarray(case["sigma"]))
    denoised = np.asarray(problem(case.family).denoise(jnp.asarray(x), level))
    yield same("E[x0|x]", denoised, case["denoised"], rtol=1e-9, atol=1e-10)
