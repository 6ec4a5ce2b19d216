"""What samples and denoisers are worth: metrics of samples, and errors on held-out pictures.

A metric is a class registered in a file here; see `base.Metric` for what it must say.
"""

from diffusion_jax.metrics.base import DEFAULT, Metric, floor, measure, metrics, quality
from diffusion_jax.metrics.copies import Copies
from diffusion_jax.metrics.exact_match import ExactMatch
from diffusion_jax.metrics.frechet import Frechet
from diffusion_jax.metrics.kernel import Kernel
from diffusion_jax.metrics.measurement import Measured, NotMeasured
from diffusion_jax.metrics.neighbour_ratio import NeighbourRatio
from diffusion_jax.metrics.real import Real
from diffusion_jax.registry import import_members

import_members(__name__, __path__)

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
    "measure",
    "metrics",
    "quality",
]
