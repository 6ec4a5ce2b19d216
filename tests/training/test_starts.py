"""Training that starts from another run's weights, and checkpoints that are another run's."""

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import TrainedArm, load_arms
from tests.training.conftest import on_one_device
from tests.training.points_config import get_config

STILL = "adam(learning_rate=0.0)"  # so that what was trained is what it started from

pytestmark = pytest.mark.usefixtures("one_device")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps."""
    config = get_config()
    config.conditioner = "none"
    config.training.steps = 4
    config.optimizer = "adam(learning_rate=1e-2)"
    config.run_dir = str(tmp_path_factory.mktemp("source") / "run")
    with pytest.MonkeyPatch.context() as patch:
        on_one_device(patch)
        return train(config).folder


def same(one: TrainedArm, two: TrainedArm) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, one.params, two.params))


def test_an_arm_starts_from_the_average_of_another_runs(config: ConfigDict, source: Path) -> None:
    config.optimizer, config.training.steps = STILL, 2
    config.arms.edm.start_from = f"{source}:cosine"
    there, here = load_arms(source), load_arms(train(config).folder)
    assert same(here["edm"], there["cosine"])
    assert not same(here["cosine"], there["cosine"]) and not same(there["edm"], there["cosine"])


def test_once_begun_a_run_needs_its_source_no_more(
    config: ConfigDict, source: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    config.optimizer, config.training.steps = STILL, 2
    config.start_from = f"{moved}:edm"
    train(config)
    shutil.rmtree(moved)
    config.training.steps = 3
    found = load_arms(train(config).folder)
    assert all(same(arm, load_arms(source)["edm"]) for arm in found.values())
    config.start_from = f"{source}:edm"
    with pytest.raises(UserError, match="holds a run with start_from"):
        train(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start_from": "nowhere:edm"}, "No run folder nowhere"),
        ({"start_from": "{source}"}, "the run has arms cosine, edm; name one"),
        ({"start_from": "{source}:emd"}, "Did you mean 'edm'"),
        (
            {"arms.edm.start_from": "{source}:edm", "network": "mlp(width=4, depth=1)"},
            r"Arm 'edm' cannot start .*network is another: mlp\(width=8.* there, mlp\(width=4",
        ),
        ({"start_from": "{source}:edm", "data": "points(count=90)"}, None),
    ],
)
def test_what_cannot_be_a_start_is_told_before_anything_is_written(
    config: ConfigDict, source: Path, changes: dict[str, str], message: str | None
) -> None:
    config.training.steps = 1
    with config.unlocked():
        config.update_from_flattened_dict(
            {field: value.format(source=source) for field, value in changes.items()}
        )
    if message is None:  # other pictures of the same form
        train(config)
        return
    with pytest.raises(UserError, match=message):
        train(config)
    assert not Path(config.run_dir).exists()


def test_a_checkpoint_of_another_run_is_refused(config: ConfigDict, source: Path) -> None:
    config.optimizer = "adam(learning_rate=1e-2)"
    config.seed, config.training.steps = 1, 4
    folder = train(config).folder
    shutil.rmtree(folder / "checkpoints" / "4")
    shutil.copytree(source / "checkpoints" / "4", folder / "checkpoints" / "4")
    for use in (lambda: train(config), lambda: load_arms(folder)):
        with pytest.raises(UserError, match=r"checkpoints/4 was made with other settings than"):
            use()


def test_a_run_that_goes_on_may_take_its_batch_in_other_parts(
    config: ConfigDict, source: Path, tmp_path: Path
) -> None:
    shutil.copytree(source, tmp_path / "parts")
    config.optimizer, config.run_dir = "adam(learning_rate=1e-2)", str(tmp_path / "parts")
    config.training.microbatches, config.training.steps = 2, 6
    parts = load_arms(train(config).folder)
    shutil.copytree(source, tmp_path / "whole")
    config.run_dir, config.training.microbatches = str(tmp_path / "whole"), 1
    whole = load_arms(train(config).folder)
    for name, arm in whole.items():
        pairs = zip(*(jax.tree.leaves(each.params) for each in (arm, parts[name])), strict=True)
        assert all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs)
