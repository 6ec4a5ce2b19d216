"""Diffusion models in JAX, from noise schedules to fair comparisons of trained models.

    import diffusion_jax as dj

    schedule = dj.schedules.Cosine()
    objective = dj.Objective(schedule, dj.predictions.V())
    loss = objective.loss(network, x0, key)

Every family of interchangeable parts is a package with its members (`dj.solvers.DPMpp2M`), the
protocol that they follow (`dj.solvers.Solver`) and the registry by which configs name them
(`dj.solvers.solvers.make("dpmpp_2m")`). Nothing is imported before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusion_jax import data, fewstep, metrics, networks, statistics, verification
    from diffusion_jax.errors import UserError
    from diffusion_jax.networks import adapters, autoencoders, conditioners, encoders, tokenizers
    from diffusion_jax.process import (
        losses,
        preconditionings,
        predictions,
        schedules,
        time_samplers,
        weightings,
    )
    from diffusion_jax.process.denoiser import Denoiser
    from diffusion_jax.process.level import Level
    from diffusion_jax.process.objective import Objective
    from diffusion_jax.published.classifier import released_classifier
    from diffusion_jax.published.encoder import read_encoder
    from diffusion_jax.published.model import released
    from diffusion_jax.published.pretrained import pretrained
    from diffusion_jax.reports.compare import compare
    from diffusion_jax.sampling import grids, guidance, inverse, solvers, thresholds
    from diffusion_jax.sampling.editing import edit
    from diffusion_jax.sampling.inverse import operators
    from diffusion_jax.sampling.inversion import invert
    from diffusion_jax.sampling.likelihood import likelihood
    from diffusion_jax.sampling.sample import sample
    from diffusion_jax.training import ema, optimizers
    from diffusion_jax.training.arm import Arm
    from diffusion_jax.training.load import load_run
    from diffusion_jax.training.train import train

__version__ = "0.1.0"

# A name here is a module, or something in one ("module:name").
_LAZY = {
    "Arm": "diffusion_jax.training.arm:Arm",
    "Denoiser": "diffusion_jax.process.denoiser:Denoiser",
    "Level": "diffusion_jax.process.level:Level",
    "Objective": "diffusion_jax.process.objective:Objective",
    "UserError": "diffusion_jax.errors:UserError",
    "adapters": "diffusion_jax.networks.adapters",
    "autoencoders": "diffusion_jax.networks.autoencoders",
    "compare": "diffusion_jax.reports.compare:compare",
    "conditioners": "diffusion_jax.networks.conditioners",
    "data": "diffusion_jax.data",
    "edit": "diffusion_jax.sampling.editing:edit",
    "ema": "diffusion_jax.training.ema",
    "encoders": "diffusion_jax.networks.encoders",
    "fewstep": "diffusion_jax.fewstep",
    "grids": "diffusion_jax.sampling.grids",
    "guidance": "diffusion_jax.sampling.guidance",
    "inverse": "diffusion_jax.sampling.inverse",
    "invert": "diffusion_jax.sampling.inversion:invert",
    "likelihood": "diffusion_jax.sampling.likelihood:likelihood",
    "load_run": "diffusion_jax.training.load:load_run",
    "losses": "diffusion_jax.process.losses",
    "metrics": "diffusion_jax.metrics",
    "networks": "diffusion_jax.networks",
    "operators": "diffusion_jax.sampling.inverse.operators",
    "optimizers": "diffusion_jax.training.optimizers",
    "preconditionings": "diffusion_jax.process.preconditionings",
    "predictions": "diffusion_jax.process.predictions",
    "pretrained": "diffusion_jax.published.pretrained:pretrained",
    "read_encoder": "diffusion_jax.published.encoder:read_encoder",
    "released": "diffusion_jax.published.model:released",
    "released_classifier": "diffusion_jax.published.classifier:released_classifier",
    "sample": "diffusion_jax.sampling.sample:sample",
    "schedules": "diffusion_jax.process.schedules",
    "solvers": "diffusion_jax.sampling.solvers",
    "statistics": "diffusion_jax.statistics",
    "thresholds": "diffusion_jax.sampling.thresholds",
    "time_samplers": "diffusion_jax.process.time_samplers",
    "tokenizers": "diffusion_jax.networks.tokenizers",
    "train": "diffusion_jax.training.train:train",
    "verification": "diffusion_jax.verification",
    "weightings": "diffusion_jax.process.weightings",
}

__all__ = [
    "Arm",
    "Denoiser",
    "Level",
    "Objective",
    "UserError",
    "__version__",
    "adapters",
    "autoencoders",
    "compare",
    "conditioners",
    "data",
    "edit",
    "ema",
    "encoders",
    "fewstep",
    "grids",
    "guidance",
    "inverse",
    "invert",
    "likelihood",
    "load_run",
    "losses",
    "metrics",
    "networks",
    "operators",
    "optimizers",
    "preconditionings",
    "predictions",
    "pretrained",
    "read_encoder",
    "released",
    "released_classifier",
    "sample",
    "schedules",
    "solvers",
    "statistics",
    "thresholds",
    "time_samplers",
    "tokenizers",
    "train",
    "verification",
    "weightings",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        # The hint needs what this module would otherwise not load.
        from diffusion_jax.errors import nearest

        hint = nearest(name, __all__)
        raise AttributeError(f"module 'diffusion_jax' has no attribute {name!r}.{hint}")
    module, _, inner = _LAZY[name].partition(":")
    found = importlib.import_module(module)
    value = getattr(found, inner) if inner else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
