"""Every member of a mathematical family says its mathematics in one line."""

import pytest

from diffusion_jax.fewstep import fewstep
from diffusion_jax.metrics import metrics
from diffusion_jax.metrics.features import feature_maps
from diffusion_jax.networks.adapters import adapters
from diffusion_jax.process.losses import losses
from diffusion_jax.process.preconditionings import preconditionings
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import time_samplers
from diffusion_jax.process.weightings import weightings
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.inverse import operators, posteriors
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.thresholds import thresholds
from diffusion_jax.training.ema import averages
from diffusion_jax.training.optimizers import optimizers

FAMILIES = (
    *(schedules, predictions, time_samplers, weightings, losses, preconditionings, fewstep),
    *(grids, solvers, guidance, thresholds, posteriors, operators, averages, optimizers),
    *(metrics, feature_maps, adapters),
)


@pytest.mark.parametrize("registry", FAMILIES, ids=lambda registry: registry.family)
def test_every_member_has_a_formula(registry: Registry) -> None:
    for name in registry:
        # Other tests may have registered members of their own by now.
        if registry[name].__module__.startswith("diffusion_jax."):
            formula = registry.formula(name)
            assert formula and formula == formula.strip().rstrip("."), f"{registry.family} {name}"
            assert "\n" not in formula and len(formula) <= 300
