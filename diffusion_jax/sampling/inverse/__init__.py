"""Inverse problems: samples of data given a linear observation of it.

Each file here is a member of the family `posteriors`, or what members share.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.registry import import_members
from diffusion_jax.sampling.inverse.base import Posterior, posteriors
from diffusion_jax.sampling.inverse.operators import (
    Downsample,
    Mask,
    Matrix,
    Operator,
    operators,
)

__all__ = [
    "Downsample",
    "Mask",
    "Matrix",
    "Operator",
    "Posterior",
    "operators",
    "posteriors",
]

import_members(__name__, __path__, posteriors, operators)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
