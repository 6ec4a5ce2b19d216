"""Every config that we ship can be built, and its head says what a user must know."""

import ast
import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.sets.latents import pictures_of
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.networks.autoencoders import AutoencoderKL
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.tokenizers import Words
from diffusion_jax.registry import parse
from diffusion_jax.runs.fields import check_fields
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.sweeps.plan import at_equal_nfe
from diffusion_jax.sweeps.trials import make_trials
from diffusion_jax.training.arms import make_arms, objectives
from diffusion_jax.training.autoencoding import module_of
from diffusion_jax.training.conditioning import data_facts
from diffusion_jax.training.options import Options
from experiments.config_files import load_config, load_sweep

FOLDER = Path(__file__).parents[1] / "configs"
SWEEPS = sorted(path for path in (FOLDER / "sweeps").glob("*.py") if path.stem != "__init__")
AUTOENCODER = FOLDER / "autoencoder.py"  # from which nothing is drawn
ASIDE = {FOLDER / "base.py", AUTOENCODER, *FOLDER.rglob("__init__.py"), *SWEEPS}
FILES = sorted(set(FOLDER.rglob("*.py")) - ASIDE)
# Of the sets that are not here before they are downloaded.
DOWNLOADED = {"fashion_mnist": (32, 32, 1), "mnist": (32, 32, 1), "cifar10": (32, 32, 3)}


def facts_of(config: ConfigDict) -> DataFacts:
    """Of the config's data set; made up of one that is downloaded, or whose files are elsewhere."""
    spec = parse(config.data)
    if spec.name == "latents":  # of another config's run
        data = datasets.make(pictures_of(config.data))
        facts = data_facts(config, data)
        module = autoencoder_of(load_config(str(AUTOENCODER)), facts)
        edge = data.shape[0] // module.factor
        return dataclasses.replace(facts, shape=(edge, edge, module.channels))
    if spec.name not in (*DOWNLOADED, "folder", "tfds"):
        return data_facts(config, datasets.make(config.data))
    size = spec.settings.get("size", 32)
    edges = (size, size) if isinstance(size, int) else size
    shape = DOWNLOADED.get(spec.name) or (*edges, spec.settings.get("channels", 3))
    return DataFacts(shape, {"tokens": Words().fit(["a word"]).state(), "label": ["one", "two"]})


def autoencoder_of(config: ConfigDict, facts: DataFacts) -> AutoencoderKL:
    (arm,) = make_arms(config, facts).values()
    module = module_of(arm.network)
    assert isinstance(module, AutoencoderKL)
    return module


def test_the_autoencoder_takes_its_pictures() -> None:
    config = load_config(str(AUTOENCODER))
    Options.of(config)
    facts = facts_of(config)
    x = jnp.zeros((1, *facts.shape))
    module = autoencoder_of(config, facts)
    made, params = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
    assert made.shape == x.shape
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) > 1e5
    text = ast.get_docstring(ast.parse(AUTOENCODER.read_text(encoding="utf-8"))) or ""
    for word in ("Source:", "Cost:", "Command: python -m experiments.train --config=configs/auto"):
        assert word in text
    assert config.run_dir == "runs/autoencoder"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_config_can_be_built(path: Path) -> None:
    config = load_config(str(path))
    facts = facts_of(config)
    Options.of(config)
    arms = make_arms(config, facts)
    plan = SamplingPlan.make(config)
    plan.check({name: arm.objective for name, arm in arms.items()})
    first = next(iter(arms.values()))
    params = initialise(first.network, jax.random.key(0), facts.shape, first.network.nothing())
    # The smaller ones learn vectors, or are tiny random models of the tests.
    least = 1e5 if len(facts.shape) == 3 and path.stem != "fine_tune" else 1e3
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) > least
    assert config.run_dir == f"runs/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_config_says_source_cost_and_command(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    for word in (
        "Source:",
        "Cost:",
        f"Command: python -m experiments.compare --config={path.relative_to(FOLDER.parent)}",
    ):
        assert word in text


def config_of(path: Path) -> Path:
    """The config that a sweep's head runs it over."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    found = re.search(
        r"Command: python -m experiments.compare --config=configs/(\w+)\.py \\\n"
        rf"    --sweep=configs/sweeps/{path.stem}\.py",
        text,
    )
    assert found and "Source:" in text and "Cost:" in text, path
    return FOLDER / f"{found[1]}.py"


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep_can_be_planned_over_its_config(path: Path) -> None:
    config = load_config(str(config_of(path)))
    sweep, trials = make_trials(config, load_sweep(str(path)))
    for trial in trials:
        check_fields(trial.config, str(path))
        trial = at_equal_nfe(trial, sweep.nfe) if sweep.nfe else trial
        SamplingPlan.make(trial.config).check(objectives(trial.config))
    assert len({trial.seed for trial in trials}) > 2
    assert len({(trial.arm, trial.seed) for trial in trials}) == len(trials)


def test_arms_of_the_same_weight_draw_the_same_levels() -> None:
    """Log-normal sigma on EDM's schedule is logit-normal time on the straight path."""
    config = load_config(str(FOLDER / "shapes.py"))
    _, trials = make_trials(config, load_sweep(str(FOLDER / "sweeps" / "same_weight.py")))
    u = jnp.linspace(0.01, 0.99, 9)
    points = {}
    for trial in trials:
        (objective,) = objectives(trial.config).values()
        points[trial.arm] = objective.targets(u)
    edm, flow = points["edm"], points["flow"]
    np.testing.assert_allclose(edm.level.log_snr, flow.level.log_snr, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(edm.weight, flow.weight, rtol=1e-4)
    assert not np.allclose(edm.level.log_snr, points["dense"].level.log_snr, atol=0.1)
