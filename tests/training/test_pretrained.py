"""Training from released models: all of them, parts, and low-rank terms."""

import functools
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

import diffusion_jax as dj
from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import to_unit, values_of
from diffusion_jax.errors import UserError
from diffusion_jax.networks.adapters.base import flat, name_of
from diffusion_jax.process.held import same
from diffusion_jax.published.parts import read_part
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import TrainedArm, load_arms
from experiments import models
from tests.training.released_runs import CLASSES, UNCONDITIONAL, config_of, stripes, write_dit

pytestmark = pytest.mark.usefixtures("one_device")
TRAINED = {"all": "", "parts": "('^mid_block', 'time_embedding')", "lora": "lora(rank=2, alpha=4)"}
EVERY = pytest.mark.parametrize("kind", TRAINED)


@functools.cache
def before() -> dict[str, np.ndarray]:
    params = read_part(UNCONDITIONAL / "unet").params
    return {name_of(("backbone", *path)): np.asarray(leaf) for path, leaf in flat(params).items()}


def named(params: dict) -> dict[str, np.ndarray]:
    return {name_of(path): np.asarray(leaf) for path, leaf in flat(params).items()}


def arm_of(config: ConfigDict, step: int | None = None) -> TrainedArm:
    return load_arms(config.run_dir, step=step)["released"]


def is_trained(kind: str, name: str) -> bool:
    if kind == "parts":
        return name.startswith("mid_block") or "time_embedding" in name
    attention = any(f".{end}.kernel" in name for end in ("to_q", "to_k", "to_v", "to_out.0"))
    return kind == "all" or attention


@EVERY
def test_what_is_not_trained_stays_bit_for_bit_and_is_kept_nowhere(
    kind: str, tmp_path: Path
) -> None:
    config = config_of(tmp_path, UNCONDITIONAL, TRAINED[kind])
    train(config)
    arm = arm_of(config)
    found = named(arm.params)
    assert found.keys() == before().keys()
    for name, leaf in found.items():
        same = np.array_equal(leaf, before()[name])
        # No softmax sees the bias of keys.
        assert same != is_trained(kind, name) or name.endswith("to_k.bias"), name
    whole = sum(leaf.nbytes for leaf in found.values())
    held = sum(p.stat().st_size for p in Path(config.run_dir, "checkpoints", "4").rglob("*"))
    own = whole if arm.tuned is None else sum(x.nbytes for x in jax.tree.leaves(arm.tuned))
    assert kind == "all" or own < whole / 3
    # Parameters, their average, and Adam's two moments, compressed or not; and what orbax notes.
    assert held < 4 * own + 40_000


@EVERY
def test_a_run_that_goes_on_ends_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    whole = config_of(tmp_path / "a", UNCONDITIONAL, TRAINED[kind])
    train(whole)
    parts = config_of(tmp_path / "a", UNCONDITIONAL, TRAINED[kind])
    parts.run_dir, parts.training.steps = str(tmp_path / "b"), 2
    train(parts)
    parts.training.steps = 4
    train(parts)
    one, two = arm_of(whole), arm_of(parts)
    jax.tree.map(np.testing.assert_array_equal, one.params, two.params)
    jax.tree.map(np.testing.assert_array_equal, one.tuned, two.tuned)


@EVERY
def test_without_a_learning_rate_the_network_is_the_released_one(kind: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, UNCONDITIONAL, TRAINED[kind])
    config.optimizer, config.training.steps = "adam(learning_rate=0.0)", 2
    train(config)
    arm, model = arm_of(config), dj.released(UNCONDITIONAL)
    assert all(np.array_equal(leaf, before()[name]) for name, leaf in named(arm.params).items())
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    level = model.nodes(4).level
    level = dj.Level(level.alpha[1], level.sigma[1])
    found, wanted = arm.denoiser()(x, level, {}), model.denoiser()(x, level)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.optimized
@pytest.mark.parametrize("kind", ["all", "lora"])
def test_pictures_that_are_not_trained_on_are_denoised_better(kind: str) -> None:
    """From Python, in memory: the loss on held-out pictures at the same levels and noise."""
    data = dj.data.arrays(stripes(80), held_out=0.2)
    adapter = dj.adapters.LoRA(rank=4, targets=("to_q", "to_v", "conv1", "conv2", "conv_out"))
    start = dj.pretrained(UNCONDITIONAL, "" if kind == "all" else adapter)
    arm = dj.Arm("mine", start.objective, start, optimizer="adam(learning_rate=2e-3)")
    trained = dj.train(arm, data, steps=60, batch_size=16)["mine"]
    x0 = jnp.asarray(to_unit(values_of([data.test[i] for i in range(len(data.test))])))

    def loss(params: object) -> float:
        def network(x, c_noise, condition):  # type: ignore[no-untyped-def]
            return arm.network.apply({"params": params}, x, c_noise, condition)

        return float(start.objective.loss(network, x0, jax.random.key(7)))

    assert loss(trained.params) < 0.8 * loss(start.params)


def test_a_transformer_on_latents_with_classes_from_a_config(tmp_path: Path) -> None:
    """Its variance is left alone, or learnt where the loss is for that."""
    model = write_dit(tmp_path / "dit")
    latents = np.random.default_rng(0).normal(size=(30, 4, 4, 4)).astype(np.float32)
    labels = np.arange(30) % CLASSES
    config = config_of(tmp_path, model, "lora(rank=2)", x0=latents, labels=labels)
    config.conditioner = "one_hot()"
    config.training.caption_dropout = 0.2
    config.arms = ConfigDict({"plain": {}, "variance": {"loss": "hybrid()"}})
    train(config)
    arms = load_arms(config.run_dir)
    x, condition = jnp.ones((2, 4, 4, 4)), {"label": jnp.array([0, -1])}
    for name, channels in (("plain", 4), ("variance", 8)):
        network, params = arms[name].arm.network, arms[name].params
        found = network.apply({"params": params}, x, jnp.array([3.0, 9.0]), condition)
        assert found.shape == (2, 4, 4, channels)


def test_a_released_network_that_has_changed_is_noticed(tmp_path: Path) -> None:
    model = Path(shutil.copytree(UNCONDITIONAL, tmp_path / "model"))
    config = config_of(tmp_path, model, "lora(rank=2)")
    train(config)
    other = dj.released(model)
    params = jax.tree.map(lambda x: x + 0.1, other.network.params)
    shutil.rmtree(model)
    from dataclasses import replace

    from diffusion_jax.published.writing import export_model

    changed = replace(other, folder=UNCONDITIONAL)
    changed = replace(changed, parts={"unet": replace(other.network, params=params)})
    export_model(changed, model)
    with pytest.raises(UserError, match="was made with other released weights"):
        arm_of(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prediction": "v"}, r"'released'.*unconditional was trained with prediction Epsilon\(\)"),
        (
            {"preconditioning": "edm"},
            "was trained with preconditioning .* set precond.*='released'",
        ),
        ({"sigma_data": 0.5}, r"trained with sigma_data 1.0, .* has 0.5: set sigma_data=1.0"),
        ({"network": "unet()"}, "the word 'released' is for what a released|is 'unet"),
        ({"network": "released(path='nowhere')"}, "nowhere"),
        ({"loss": "hybrid()"}, "tells no variance, which the loss is to learn"),
        ({"fewstep": "shortcut()"}, "a few-step objective brings a prediction of its own"),
        ({"loss": "uncertainty"}, "Nothing is trained beside"),
        ({"conditioner": "label()"}, "Nothing is trained beside|has no classes"),
    ],
)
def test_what_cannot_be_trained_further_is_refused_before_anything_is_written(
    changes: dict, message: str, tmp_path: Path
) -> None:
    config = config_of(tmp_path, UNCONDITIONAL)
    config.update(changes)
    with pytest.raises(UserError, match=message):
        train(config)
    assert not Path(config.run_dir).exists()


def test_other_channels_and_names_are_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, UNCONDITIONAL, x0=stripes(20)[..., :1])
    with pytest.raises(UserError, match=r"conv_in.kernel of .* is \(3, 3, 3, 8\), and \(3, 3, 1"):
        train(config)
    config = config_of(tmp_path, UNCONDITIONAL, "'midblock'")
    with pytest.raises(UserError, match="No parameter of the network has a name that fits"):
        train(config)
    assert not Path(config.run_dir).exists()


def test_another_schedule_and_weighting_are_free(tmp_path: Path) -> None:
    config = config_of(tmp_path, UNCONDITIONAL, "lora(rank=1)")
    config.schedule, config.weighting = "cosine", "min_snr(gamma=5.0)"
    config.training.steps = 1
    found = load_arms(train(config).folder)["cosine"]
    own = dj.released(UNCONDITIONAL).scheduler
    assert same(found.objective.preconditioning, own.preconditioning)
    assert len(datasets.make(config.data).test) > 0


def test_a_lora_that_was_trained_is_written_and_read(tmp_path: Path) -> None:
    config = config_of(tmp_path, UNCONDITIONAL, "lora(rank=2, alpha=6.0)")
    train(config)
    out = tmp_path / "mine.safetensors"
    models.main(["export", config.run_dir, str(out)])
    read = dj.released(UNCONDITIONAL, lora=out).network.params
    trained = named(arm_of(config).params)
    for path, leaf in flat(read).items():
        np.testing.assert_allclose(leaf, trained[name_of(path)], atol=1e-6)


def test_a_network_that_was_trained_further_is_written_for_diffusers(tmp_path: Path) -> None:
    config = config_of(tmp_path, UNCONDITIONAL)
    train(config)
    models.main(["export", config.run_dir, str(tmp_path / "unet")])
    part = read_part(tmp_path / "unet")
    assert part.configuration["_class_name"] == "UNet2DModel"
    trained = named(arm_of(config).params)
    for path, leaf in flat(part.params).items():
        np.testing.assert_array_equal(leaf, trained[name_of(path)])
