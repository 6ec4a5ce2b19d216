"""What samples and denoisers are worth: metrics of samples, and errors on held-out pictures.

A metric is a class registered in a file here; see `base.Metric` for what it must say.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.metrics.base import DEFAULT, Metric, floor, measure, metrics, quality
from diffusion_jax.metrics.copies import Copies
from diffusion_jax.metrics.exact_match import ExactMatch
from diffusion_jax.metrics.frechet import Frechet
from diffusion_jax.metrics.kernel import Kernel
from diffusion_jax.metrics.measurement import Measured, NotMeasured, mean, share
from diffusion_jax.metrics.neighbour_ratio import NeighbourRatio
from diffusion_jax.metrics.real import Real
from diffusion_jax.registry import import_members

__all__ = [
    "DEFAULT",
    "Copies",
    "ExactMatch",
    "Frechet",
    "Kernel",
    "Measured",
    "Metric",
    "NeighbourRatio",
    "NotMeasured",
    "Real",
    "floor",
    "mean",
    "measure",
    "metrics",
    "quality",
    "share",
]

import_members(__name__, __path__, metrics)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
