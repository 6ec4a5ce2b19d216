"""Whole training runs in this process: pairing of arms, stopping, refusing."""

import os
import re
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.runs.metrics_log import FILE
from diffusion_jax.runs.stopped import Stopped
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import TrainedArm, load_arms
from tests.training.at_step import AtStep

pytestmark = pytest.mark.usefixtures("one_device")


def numbers(arm: TrainedArm) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(arm.params)]


def identical(one: TrainedArm, two: TrainedArm) -> bool:
    return all(map(np.array_equal, numbers(one), numbers(two)))


def close(one: TrainedArm, two: TrainedArm) -> bool:
    pairs = zip(numbers(one), numbers(two), strict=True)
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs)


def trained(config: ConfigDict, **changes: object) -> Path:
    config.update_from_flattened_dict(changes)
    return train(config).folder


def test_arms_are_paired_resumed_and_stopped_exactly(config: ConfigDict, tmp_path: Path) -> None:
    whole = trained(config)
    arms = load_arms(whole)
    assert {arm.step for arm in arms.values()} == {12}
    assert not identical(arms["cosine"], arms["edm"])

    # Alone, an arm goes exactly the way it goes beside others.
    alone = ConfigDict(config.to_dict())
    alone.arms = ConfigDict({"edm": config.arms.edm.to_dict()})
    assert identical(load_arms(trained(alone, run_dir=str(tmp_path / "alone")))["edm"], arms["edm"])

    # Stopped in the middle of everything by SIGTERM, and started again.
    config.run_dir = str(tmp_path / "stopped")
    with pytest.raises(Stopped, match=r"after step 7 of 12 .*checkpoints/7") as caught:
        train(config, AtStep(6, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert caught.value.exit_code == 143
    stopped = trained(config)
    for name in arms:
        assert identical(load_arms(stopped)[name], arms[name])
    assert (stopped / FILE).read_bytes() == (whole / FILE).read_bytes()

    # Gone back to an earlier checkpoint, by deleting the newer one.
    shutil.rmtree(whole / "checkpoints" / "12")
    rows = (whole / FILE).read_bytes()
    assert identical(load_arms(trained(config, run_dir=str(whole)))["edm"], arms["edm"])
    assert (whole / FILE).read_bytes() == rows


def test_a_finished_run_is_not_touched(config: ConfigDict) -> None:
    folder = trained(config, **{"training.steps": 2})
    before = {path: path.read_bytes() for path in (folder / "checkpoints").rglob("*.ocdbt")}
    train(config)
    assert {p: p.read_bytes() for p in (folder / "checkpoints").rglob("*.ocdbt")} == before


def test_devices_and_microbatches_do_not_matter(
    config: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.arms = ConfigDict()
    config.conditioner = "label(width=8)"
    config.training.steps = 2
    one = load_arms(trained(config))["cosine"]
    parts = {"run_dir": str(tmp_path / "parts"), "training.microbatches": 2}
    assert close(load_arms(trained(config, **parts))["cosine"], one)
    monkeypatch.undo()  # all eight devices again
    eight = {"run_dir": str(tmp_path / "eight"), "training.microbatches": 1}
    assert close(load_arms(trained(config, **eight))["cosine"], one)


def test_bfloat16_is_for_the_computation_only(config: ConfigDict, tmp_path: Path) -> None:
    config.arms = ConfigDict()
    config.training.steps = 2
    full = numbers(load_arms(trained(config))["cosine"])
    half = {"training.dtype": "bfloat16", "run_dir": str(tmp_path / "half")}
    rough = numbers(load_arms(trained(config, **half))["cosine"])
    assert {leaf.dtype for leaf in rough} == {np.dtype(np.float32)}
    differences = [np.abs(a - b).max() for a, b in zip(full, rough, strict=True)]
    assert 0 < max(differences) < 0.05


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(
    config: ConfigDict,
) -> None:
    # The rate of arm b explodes at step 6: its numbers overflow at once or a step later.
    growing = "sgd(learning_rate=1e6, warmup=0, momentum=0.0)"
    config.arms = ConfigDict({"a": {}, "b": {"optimizer": growing}})
    config.training.checkpoint_every = 1
    with pytest.raises(UserError) as caught:
        train(config)
    line = str(caught.value)
    found = re.match(r"Arm 'b'.* step (\d+).*The last good checkpoint is (\S+)/(\d+)\. ", line)
    assert found, line
    assert int(found[3]) == int(found[1]) - 1
    saved = load_arms(config.run_dir)
    assert all(np.isfinite(leaf).all() for arm in saved.values() for leaf in numbers(arm))


def test_a_batch_that_cannot_be_split_is_refused_before_anything_is_written(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"batch_size=12 .* 8 device\(s\) .* multiple of 8"):
        trained(config, **{"training.batch_size": 12})
    assert not Path(config.run_dir).exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("training.steps", 0, "training.steps must be at least 1"),
        ("training.keep", 0, "training.keep must be at least 1"),
        ("training.steps", 10**20, "training.steps must be .* < 2"),
        ("training.caption_dropout", 1.5, "share from 0 to 1"),
        ("seed", -1, "seed must be from 0"),
        ("seed", 2**40, "seed must be from 0"),
        ("run_dir", "", "run_dir is empty"),
        ("training.ema", "dcay(decay=0.9)", "Did you mean 'decay'"),
        ("arms", {"a": {"schedul": "edm"}}, "Did you mean 'schedule'"),
        ("arms", {"a/b": {}}, "its name is also a folder's"),
        ("arms", {"a\n": {}}, "its name is also a folder's"),
        ("arms", {3: {}}, "An arm cannot be called 3"),
        ("schedule", "cosin", "Did you mean 'cosine'"),
        ("schedule", "", "Cannot read schedule ''"),
        ("arms.edm.time_sampler", "log_normal(mean=50.0)", "'edm'.*one noise level"),
        ("arms.cosine.schedule", "log_snr_shift(schedule=cosine, shift=1e9)", "one noise level"),
        ("network", "unte()", "Did you mean 'unet'"),
        ("data", "shape()", "Did you mean 'shapes'"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    config: ConfigDict, field: str, value: object, message: str
) -> None:
    if field == "arms":
        config.arms = ConfigDict(value)
    else:
        config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=message):
        train(config)
    assert not config.run_dir or not Path(config.run_dir).exists()


def test_an_arm_that_is_not_there_is_named(config: ConfigDict) -> None:
    folder = trained(config, **{"training.steps": 1})
    with pytest.raises(UserError, match="Unknown arm 'emd'"):
        load_arms(folder, ("emd",))
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(UserError, match="no checkpoint yet"):
        load_arms(folder)
