"""The exact distributions: no reference's code, so these are the oracles' own numbers."""

from diffusion_jax.process.predictions import X0
from tests.golden.check import Comparisons, checks, same
from tests.golden.load import Case
from tests.golden.problems import predicted, problem


@checks("problems", "gmm2", "gauss16")
def exact(case: Case) -> Comparisons:
    denoised = predicted(problem(case.family), X0(), case["x"], case["alpha"], case["sigma"])
    yield same("E[x0|x]", denoised, case["denoised"], rtol=1e-9, atol=1e-10)
