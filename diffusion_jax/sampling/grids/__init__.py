"""Grids: the noise levels that a solver steps through, from noise to data.

A grid says where the steps are, a solver how to take them. Each grid of N steps has N noisy
nodes and ends on clean data (alpha = 1, sigma = 0), unless it says otherwise. Each file here holds
a few members that place nodes along the same axis.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.registry import import_members
from diffusion_jax.sampling.grids.base import (
    Grid,
    Nodes,
    append_clean,
    at_log_snr,
    at_times,
    grids,
    make,
    rises,
)
from diffusion_jax.sampling.grids.labels import Trailing
from diffusion_jax.sampling.grids.noise import Karras, LogSnr
from diffusion_jax.sampling.grids.time import UniformGrid

__all__ = [
    "Grid",
    "Karras",
    "LogSnr",
    "Nodes",
    "Trailing",
    "UniformGrid",
    "append_clean",
    "at_log_snr",
    "at_times",
    "grids",
    "make",
    "rises",
]

import_members(__name__, __path__, grids)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
