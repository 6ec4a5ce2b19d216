"""Predictions: what a network predicts, and how to turn one prediction into any other.

Each file here is a member of the family, or a few that share their formulas.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.process.predictions.base import (
    Coefficients,
    Prediction,
    convert,
    determinant,
    predictions,
    split,
    to_x0,
)
from diffusion_jax.process.predictions.data_and_noise import X0, Epsilon, V
from diffusion_jax.process.predictions.edm import EDMPrediction
from diffusion_jax.process.predictions.velocity import Velocity
from diffusion_jax.registry import import_members

__all__ = [
    "X0",
    "Coefficients",
    "EDMPrediction",
    "Epsilon",
    "Prediction",
    "V",
    "Velocity",
    "convert",
    "determinant",
    "predictions",
    "split",
    "to_x0",
]

import_members(__name__, __path__, predictions)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
