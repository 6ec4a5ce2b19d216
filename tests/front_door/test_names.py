"""`import diffusion_jax as dj`: every name is there, and nothing is imported before it is used."""

import inspect
import subprocess
import sys

import pytest

import diffusion_jax as dj
from diffusion_jax.data import datasets
from diffusion_jax.fewstep import fewstep
from diffusion_jax.metrics import metrics
from diffusion_jax.networks import networks
from diffusion_jax.networks.adapters import adapters
from diffusion_jax.networks.conditioners import conditioners
from diffusion_jax.networks.tokenizers import tokenizers
from diffusion_jax.process.losses import losses
from diffusion_jax.process.preconditionings import preconditionings
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import time_samplers
from diffusion_jax.process.weightings import weightings
from diffusion_jax.registry import Registry, exported_name
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.inverse import operators, posteriors
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.thresholds import thresholds

FAMILIES: dict[str, Registry] = {
    "schedules": schedules,
    "predictions": predictions,
    "preconditionings": preconditionings,
    "time_samplers": time_samplers,
    "weightings": weightings,
    "losses": losses,
    "grids": grids,
    "solvers": solvers,
    "guidance": guidance,
    "thresholds": thresholds,
    "inverse": posteriors,
    "operators": operators,
    "fewstep": fewstep,
    "networks": networks,
    "adapters": adapters,
    "conditioners": conditioners,
    "tokenizers": tokenizers,
    "metrics": metrics,
    "data": datasets,
}
MEMBERS = [
    (family, name)
    for family, registry in FAMILIES.items()
    for name in registry
    # Tests register members of their own, and released networks are a layer above.
    if registry[name].__module__.startswith("diffusion_jax.")
    and not registry[name].__module__.startswith("diffusion_jax.published.")
]


@pytest.mark.parametrize(("family", "name"), MEMBERS, ids=map(".".join, MEMBERS))
def test_a_member_is_exported_by_its_package(family: str, name: str) -> None:
    factory = FAMILIES[family][name]
    assert getattr(getattr(dj, family), exported_name(name, factory)) is factory


@pytest.mark.parametrize("family", FAMILIES)
def test_a_package_holds_its_registry(family: str) -> None:
    held = vars(getattr(dj, family)).values()
    assert any(value is FAMILIES[family] for value in held)


def test_every_name_is_there_and_listed() -> None:
    for name in dj.__all__:
        assert getattr(dj, name) is not None
    assert set(dj.__all__) <= set(dir(dj))


def test_a_wrong_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(AttributeError, match="no attribute 'schedule'. Did you mean 'schedules'?"):
        dj.schedule  # noqa: B018


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, diffusion_jax as dj; dj.__version__, dir(dj)\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('jax', 'numpy', 'flax')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_classes_of_one_name_are_one_class() -> None:
    # Where two families have a member of one name, as EDM, their classes are told apart.
    found: dict[str, type] = {}
    for family, name in MEMBERS:
        factory = FAMILIES[family][name]
        if inspect.isclass(factory):
            assert found.setdefault(factory.__name__, factory) is factory
