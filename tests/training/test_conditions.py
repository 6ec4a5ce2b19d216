"""Conditions that nobody here imagined, from a data set to samples, saved with the run."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import base
from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.errors import UserError
from diffusion_jax.inference.conditions import encode, nothing
from diffusion_jax.runs.run import Run
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import load_arms


def winds() -> Dataset:
    """Small pictures with features, a sketch, words and a class each."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (40, 8, 8, 1), np.uint8)
    return arrays(
        pictures,
        captions=[("a calm day", "a windy day")[k % 2] for k in range(40)],
        labels=[k % 2 for k in range(40)],
        class_names=("calm", "windy"),
        t5=random.normal(size=(40, 3, 5)).astype(np.float32),
        sketch=pictures[:, ::2, ::2],
    )


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    before = dict(datasets._members)
    datasets.register("winds")(winds)
    yield
    datasets._members = before


def config_of(folder: object, **arms: str) -> ConfigDict:
    config = base.get_config()
    config.data = "winds"
    config.network = "dit(patch=4, width=8, depth=1, heads=1)"
    config.training.update(steps=3, batch_size=8, checkpoint_every=3, log_every=1)
    config.training.caption_dropout = 0.5
    config.arms = ConfigDict({name: {"conditioner": spec} for name, spec in arms.items()})
    config.run_dir = str(folder)
    return config


def test_arms_with_conditions_of_their_own_train_beside_each_other(tmp_path) -> None:
    several = "several(parts=(label(width=4), image(key='sketch')), width=8)"
    config = config_of(
        tmp_path / "run", wind="features(key='t5', width=8)", both=several, no="none"
    )
    run = train(config)
    assert set(run.facts.states) == {"t5", "label", "sketch"}
    assert Run.load(run.folder).facts == run.facts
    arms = load_arms(run.folder)
    networks = [arm.arm.network for arm in arms.values()]
    examples = [datasets.make("winds").test[k] for k in range(2)]
    condition = encode(networks, examples)
    assert {key: len(rows) for key, rows in condition.items()} == {"t5": 2, "label": 2, "sketch": 2}
    assert set(nothing(networks)) == set(condition)
    for arm in arms.values():
        network = arm.arm.network
        apply = jax.jit(
            lambda params, given, network=network: network.apply(
                {"params": params}, jnp.ones((2, 8, 8, 1)), jnp.zeros(2), given
            )
        )
        assert np.isfinite(apply(arm.params, condition)).all()


def test_arms_that_mean_different_things_by_one_key_are_refused(tmp_path) -> None:
    parts = "transformer(width=8, layers=0, heads=1{})"
    config = config_of(
        tmp_path / "run", a=parts.format(""), b=parts.format(", tokenizer=byte_pairs(size=300)")
    )
    with pytest.raises(UserError, match="arm 'a' and arm 'b' read 'tokens' differently"):
        train(config)


def test_what_the_data_set_lacks_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match="reads 'clip'.*do not have"):
        train(config_of(tmp_path / "run", a="features(key='clip')"))


def test_pictures_are_not_mirrored_beside_a_sketch_that_is_not(tmp_path) -> None:
    config = config_of(tmp_path / "run", a="image(key='sketch')")
    config.flip = True
    with pytest.raises(UserError, match="mirrors pictures, and not 'sketch'"):
        train(config)


def test_a_run_with_another_tokenizer_is_another_run(tmp_path) -> None:
    run = train(config_of(tmp_path / "run", a="label(width=4)"))
    saved = run.facts
    changed = type(saved)(saved.shape, {"label": ["windy", "calm"]}, saved.fingerprint)
    assert not changed.agrees(saved) and not changed.fits(saved)
    with pytest.raises(UserError, match="the data set has changed"):
        Run.create(run.config, changed)
