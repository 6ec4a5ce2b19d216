"""Solvers: how to step from one noise level to the next, less noisy one."""

from diffusion_jax.sampling.solvers import ancestral, ddim, dpmpp_2m, edm, euler, heun
from diffusion_jax.sampling.solvers.base import Denoise, Noise, Solver, State, solvers

__all__ = [
    "Denoise",
    "Noise",
    "Solver",
    "State",
    "ancestral",
    "ddim",
    "dpmpp_2m",
    "edm",
    "euler",
    "heun",
    "solvers",
]
