"""Every config that we ship can be built, and its head says what a user must know."""

import ast
from pathlib import Path

import jax
import numpy as np
import pytest

from diffusion_jax.data.tokenizer import Tokenizer
from diffusion_jax.evaluation.measure import Plan
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.registry import parse
from diffusion_jax.training.arms import make_arms
from diffusion_jax.training.program import check_settings
from diffusion_jax.training.runs import DataFacts
from experiments.config_files import load_config

FOLDER = Path(__file__).parents[1] / "configs"
FILES = sorted(path for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "base"))
SHAPES = {"fashion_mnist": (32, 32, 1), "cifar10": (32, 32, 3), "shapes": None}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_config_can_be_built(path: Path) -> None:
    config = load_config(str(path))
    spec = parse(config.data)
    size = spec.settings.get("size", 32)
    facts = DataFacts(
        Tokenizer.of(["a word"]), SHAPES[spec.name] or (size, size, 3), ("one", "two")
    )
    check_settings(config)
    arms = make_arms(config, facts)
    plan = Plan.make(config)
    plan.check({name: arm.objective for name, arm in arms.items()})
    first = next(iter(arms.values()))
    condition = {"tokens": np.zeros((1, 2), np.int32), "label": np.zeros(1, np.int32)}
    params = initialise(first.network, jax.random.key(0), facts.shape, condition)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) > 1e5
    assert config.run_dir == f"runs/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_config_says_source_cost_and_command(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    for word in (
        "Source:",
        "Cost:",
        f"Command: python -m experiments.compare --config={path.parent.name}/{path.name}",
    ):
        assert word in text
