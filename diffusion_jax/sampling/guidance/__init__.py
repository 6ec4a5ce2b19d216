"""Guidance: functions from denoisers to denoisers that steer harder towards the condition.

Each file here is a member of the family, or a few that share their formulas. All scales follow one
convention: 1 is no guidance, 0 is no condition (`scales` converts the others of the field). CFG++
alone has a scale of another kind.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.registry import import_members
from diffusion_jax.sampling.guidance.base import Contrast, Guidance, guidance
from diffusion_jax.sampling.guidance.classifier import classifier_guided, gradient_of
from diffusion_jax.sampling.guidance.classifier_free import ClassifierFree
from diffusion_jax.sampling.guidance.none import NoGuidance
from diffusion_jax.sampling.sampling_run import SamplingRun

__all__ = [
    "ClassifierFree",
    "Contrast",
    "Guidance",
    "NoGuidance",
    "SamplingRun",
    "classifier_guided",
    "gradient_of",
    "guidance",
]

import_members(__name__, __path__, guidance)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
