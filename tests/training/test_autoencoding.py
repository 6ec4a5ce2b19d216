"""An autoencoder that is trained here: its loss, its run, and the latents that it is then for."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

import diffusion_jax as dj
from configs import base
from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import take, to_unit, values_of
from diffusion_jax.data.pipeline import batches
from diffusion_jax.errors import UserError
from diffusion_jax.inference.measure import measure
from diffusion_jax.inference.preflight import prepare
from diffusion_jax.networks.autoencoders import AutoencoderKL, autoencoders
from diffusion_jax.networks.functions import FunctionNetwork
from diffusion_jax.published.autoencoder import read_autoencoder
from diffusion_jax.runs.progress import Progress
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.autoencoders import reconstruction_error, write_autoencoder
from diffusion_jax.training.autoencoding import KLAutoencoding, autoencoder_functions
from diffusion_jax.training.draws import draw
from diffusion_jax.training.idle import refuse_idle
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.loop import train
from diffusion_jax.training.perception import read_perception
from diffusion_jax.training.trained import load_arms
from tests.networks.random_parameters import random_parameters
from tests.training import points

__all__ = ["points"]

pytestmark = pytest.mark.usefixtures("one_device")
DATA = Path(__file__).parents[1] / "published" / "data"
PICTURES = "shapes(size=16, count=800, test_count=64)"
NETWORK = (
    "autoencoder_kl(block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4, "
    "down_block_types=('DownEncoderBlock2D', 'DownEncoderBlock2D'), mid_block_add_attention=False, "
    "up_block_types=('UpDecoderBlock2D', 'UpDecoderBlock2D'))"
)
SMALL: dict[str, Any] = {
    "network": "autoencoder_kl(block_out_channels=(4,), norm_num_groups=2, "
    "mid_block_add_attention=False)",
    "data": "shapes(size=12, count=40, test_count=8)",
}


def config_of(folder: Path, steps: int, **changes: object) -> ConfigDict:
    config = base.get_config()
    config.run_dir, config.data = str(folder / "run"), PICTURES
    config.network, config.conditioner, config.loss = NETWORK, "none", "kl(weight=1e-3)"
    config.optimizer = "adam(learning_rate=1e-2, clip=1.0)"
    config.training.steps, config.training.batch_size = steps, 8
    config.training.checkpoint_every = 2
    config.training.ema = "decay(decay=0.9)"
    config.update(changes)
    return config


def test_the_loss_is_the_error_and_the_divergence() -> None:
    """The divergence is an integral over z of q log(q/p), which is taken here on a grid."""
    settings = {"latent_channels": 2, "norm_num_groups": 2, "layers_per_block": 1}
    module = AutoencoderKL(block_out_channels=(4,), mid_block_add_attention=False, **settings)
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (3, 4, 4, 3)), jnp.float32)
    params = random_parameters(module, x)["params"]
    draws = draw(jax.random.key(1), jnp.arange(3), (4, 4, 3), 0.0)
    network = FunctionNetwork(autoencoder_functions(module))
    inputs = Inputs({"x0": x, "condition": {}}, draws, None)
    state = TrainState.create(params, optax.sgd(0.1), None)
    plain, weighed = (
        np.asarray(KLAutoencoding(weight).losses(network, params, state, inputs))
        for weight in (0.0, 0.5)
    )
    mean, log_variance = module.apply({"params": params}, x, method="encode")
    mean, s = (np.asarray(each, np.float64)[..., None] for each in (mean, np.exp(log_variance / 2)))
    z = mean + s * np.linspace(-12, 12, 4001)
    log_q = -(((z - mean) / s) ** 2) / 2 - np.log(s)
    q = np.exp(log_q) / np.sqrt(2 * np.pi)
    divergence = np.trapezoid(q * (log_q + z**2 / 2), z, axis=-1).sum(axis=(1, 2, 3))
    assert divergence.min() > 0.1
    np.testing.assert_allclose(weighed - plain, 0.5 * divergence / 48, rtol=1e-3)
    # Without its spread, latents are their mean, and what is left is the error of a plain call.
    shift = jax.tree_util.tree_map_with_path(_certain, params)
    found = KLAutoencoding(0.0).losses(network, shift, state, inputs)
    wanted = ((module.apply({"params": shift}, x) - x) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def _certain(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
    """Parameters by which log-variances are -30: the last halves of what ends the encoder."""
    if "quant_conv" not in [each.key for each in path]:
        return leaf
    certain = -1000.0 if leaf.ndim == 1 else 0.0
    return jnp.asarray(leaf).at[..., leaf.shape[-1] // 2 :].set(certain)


def test_a_run_that_goes_on_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = train(config_of(tmp_path / "whole", 4, **SMALL)).folder
    cut = train(config_of(tmp_path / "cut", 2, **SMALL)).folder
    early = {file.name: file.read_bytes() for file in (cut / "vae").iterdir()}
    train(config_of(tmp_path / "cut", 4, **SMALL))
    for file in (whole / "vae").iterdir():
        assert file.read_bytes() == (cut / "vae" / file.name).read_bytes() != early[file.name]
    a, b = (load_arms(folder)["autoencoder_kl"] for folder in (whole, cut))
    assert all(map(np.array_equal, jax.tree.leaves(a.params), jax.tree.leaves(b.params)))


def test_it_learns_and_a_network_is_trained_on_its_latents(tmp_path: Path) -> None:
    config = config_of(tmp_path, 100)
    config.training.checkpoint_every = 100
    run, data = train(config).folder, datasets.make(PICTURES)
    # A stated simple baseline: the mean of the training pictures.
    test, mean = values_of(take(data.test, range(64))), values_of(take(data.train, range(800)))
    baseline = np.sqrt(np.mean((test - mean.mean(axis=0)) ** 2))
    assert reconstruction_error(run / "vae", data) < 0.75 * baseline
    kept = f"folder={str(tmp_path / 'latents')!r}"
    spec = f"latents(data={PICTURES}, autoencoder={str(run)!r}, {kept})"
    latents = datasets.make(spec)
    stream = batches(latents.train, lambda examples: {}, batch_size=800, seed=0)
    x0 = next(stream)["x0"]
    assert x0.shape[1:] == latents.shape == (8, 8, 4)
    np.testing.assert_allclose(x0.mean(axis=(0, 1, 2)), 0, atol=0.02)
    np.testing.assert_allclose(x0.std(axis=(0, 1, 2)), 1, atol=0.02)

    drawn = base.get_config()
    drawn.run_dir, drawn.data, drawn.sigma_data = str(tmp_path / "drawn"), spec, 1.0
    drawn.network, drawn.conditioner = "dit(patch=2, width=16, depth=1, heads=1)", "label()"
    drawn.training.steps, drawn.training.batch_size = 2, 4
    drawn.sampling.steps, drawn.sampling.count, drawn.sampling.judged_count = (2,), 4, 4
    drawn.sampling.batch_size = 4
    plan = prepare(drawn).plan
    train(drawn)
    (cell,) = measure(plan, load_arms(drawn.run_dir), latents, Progress(quiet=True))
    assert cell.pictures.dtype == np.uint8 and cell.pictures.shape == (4, 16, 16, 3)
    assert set(cell.right) > {"all"}  # the checker of the pictures has read them


def test_from_python(tmp_path: Path) -> None:
    module, data = autoencoders.make(SMALL["network"]), datasets.make(SMALL["data"])
    arm = dj.Arm("mine", KLAutoencoding(1e-3), module, optimizer=optax.adam(1e-3))
    trained = dj.train(arm, data, steps=1, batch_size=8)["mine"]
    out = write_autoencoder(trained, data, tmp_path / "vae")
    assert read_autoencoder(out).module.latents_std is not None
    with pytest.raises(UserError, match="'mine' is an autoencoder, from which nothing is drawn"):
        dj.compare({"mine": trained}, data)
    with pytest.raises(UserError, match="'mine' is an autoencoder"):
        trained.denoiser()


def test_perception_is_of_the_encoders_own_features() -> None:
    """Of pictures that already have the size that the encoder prepares them to."""
    path = str(DATA / "dinov2")
    perception, encoder = read_perception(path), dj.read_encoder(path)
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, 2, *perception.size, 3), np.uint8)
    plain = dataclasses.replace(encoder.preprocessing, size=None)
    found = dataclasses.replace(encoder, preprocessing=plain)
    hidden = [found.pictures(list(each)).hidden[1:] for each in (one, other)]
    parts = [
        (np.stack([f / np.linalg.norm(f, axis=-1, keepdims=True) for f in np.asarray(h)]))
        for h in hidden
    ]
    wanted = ((parts[0] - parts[1]) ** 2).sum(axis=-1).mean(axis=(0, 2))
    x, y = (jnp.asarray(to_unit(each)) for each in (one, other))
    np.testing.assert_allclose(perception.distance(x, y), wanted, rtol=1e-4)
    np.testing.assert_allclose(perception.distance(x, x), 0, atol=1e-6)
    assert read_perception(DATA / "clip").features(x[:, :8, :8, :1])[0].ndim == 3  # grey, scaled

    arms = [
        dj.Arm(name, loss, autoencoders.make(SMALL["network"]), optimizer=optax.adam(1e-3))
        for name, loss in (
            ("plain", KLAutoencoding(1e-3)),
            ("seen", KLAutoencoding(1e-3, 1.0, perception)),
        )
    ]
    data = datasets.make(SMALL["data"])
    trained = dj.train(arms, data, steps=2, batch_size=8, log_every=1)
    first = {name: arm.curve["loss"][0] for name, arm in trained.items()}
    assert 0.01 < first["seen"] - first["plain"] < 4  # at the same parameters
    ends = (jax.tree.leaves(arm.params) for arm in trained.values())
    assert any((a != b).any() for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"network": "autoencoder_tiny()"}, "AutoencoderTiny is not trained here"),
        ({"loss": "squared"}, "autoencoder loss 'squared'"),
        ({"loss": "kl(weight=-1.0)"}, "weight=-1.0 must be 0 or more"),
        ({"loss": "kl(perceptual=1.0)"}, "come together"),
        (
            {"loss": f"kl(perceptual=1.0, encoder={str(DATA / 'encoders')!r})"},
            "no folder of an enc",
        ),
        ({"conditioner": "label()"}, "is an autoencoder, which reads no condition"),
        ({"arms": ConfigDict({"a": {"schedule": "edm"}})}, "'a' is an autoencoder.*for a schedule"),
        ({"data": "points()"}, "An autoencoder is of pictures, not of data of shape .6,."),
        ({"data": "shapes(size=15, count=40)"}, "multiples of 2"),
        (
            {"network": NETWORK.replace("(block", "(out_channels=1, block")},
            "of out_channels=1, and",
        ),
    ],
)
def test_what_cannot_work(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=match):
        train(config_of(tmp_path, 1, **changes))
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_what_denoisers_alone_use_is_refused_where_it_is_given(tmp_path: Path) -> None:
    config = config_of(tmp_path, 1)
    refuse_idle((config,), ("loss", "network", "optimizer", "training.steps"))
    for field in ("schedule", "sigma_data", "weighting", "fewstep"):
        with pytest.raises(UserError, match=f"{field}=.* change nothing: every arm is an autoenc"):
            refuse_idle((config,), (field,))
    with pytest.raises(UserError, match="from which nothing is drawn: train it by"):
        prepare(config)
