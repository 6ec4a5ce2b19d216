"""Authors' checkpoints in one file: read by a card, and denoised as their papers' formulas say."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.process.level import Level
from diffusion_jax.published import room
from diffusion_jax.published.card import CardData, CardPart, ModelCard, card
from diffusion_jax.published.checkpoint import card_module, card_shapes
from diffusion_jax.published.model import ReleasedModel, released
from diffusion_jax.published.names import names_of, to_tensors
from diffusion_jax.published.parts import read_part
from diffusion_jax.sampling.guidance.classifier_free import ClassifierFree

KEY = jax.random.key(0)
TRANSFORMER = {"patch_size": 2, "hidden_size": 16, "depth": 1, "num_heads": 2}
SONG = {"img_resolution": 8, "model_channels": 16, "channel_mult": (1, 2), "num_blocks": 1}
SONG |= {"attn_resolutions": (4,)}
ADM = SONG | {"channels_per_head": 16}
GUIDED = {"model_channels": 32, "channel_mult": (1,), "num_res_blocks": 1, "outputs": 2}
TINY = {
    "dit-xl-2-256": (TRANSFORMER | {"outputs": 2}, (4, 4, 4)),
    "sit-xl-2-256": (TRANSFORMER, (4, 4, 4)),
    "edm-cifar10-32x32-cond-vp": (SONG | {"augment_dim": 9}, (8, 8, 3)),
    "edm-cifar10-32x32-uncond-ve": (SONG | {"augment_dim": 9}, (8, 8, 3)),
    "edm-imagenet-64x64-cond-adm": (ADM, (8, 8, 3)),
    "edm2-img512-xs": (ADM, (8, 8, 4)),
    "adm-64": (GUIDED, (8, 8, 3)),
    "adm-256-uncond": (GUIDED, (8, 8, 3)),
    "jit-b-16": (TRANSFORMER | {"in_context_len": 2, "in_context_start": 0}, (4, 4, 3)),
}
CLASSES = 3


def tiny(name: str) -> ModelCard:
    """The card of a name with a network of a few numbers."""
    known = card(name)
    assert known.data
    configuration, shape = TINY[name]
    classes = CLASSES if known.data.classes else 0
    own = known.network.configuration
    if "label_dim" in own:
        kinds = {key: own[key] for key in own if key.endswith("_type") or "noise" in key}
        configuration = configuration | kinds | {"label_dim": classes}
    part = dataclasses.replace(known.network, configuration=configuration)
    data = dataclasses.replace(known.data, shape=shape, classes=classes)
    return dataclasses.replace(known, parts={"network": part}, data=data)


def write(known: ModelCard, path: Path, prefix: str = "") -> Path:
    """A checkpoint with random numbers in the place of the card's."""
    rng = np.random.default_rng(0)
    forms = card_shapes(known)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), forms)
    tensors = to_tensors(params, names_of(card_module(known)))
    start = f"{prefix}." if prefix else ""
    np.savez(path, **{start + name: value for name, value in tensors.items()})
    return path


def read(name: str, tmp_path: Path) -> ReleasedModel:
    known = tiny(name)
    path = write(known, tmp_path / "checkpoint.npz", known.network.under[0])
    return released(path, card=known)


@pytest.mark.parametrize("name", TINY)
def test_pictures_are_drawn_as_the_figure_says(name: str, tmp_path: Path) -> None:
    model = read(name, tmp_path)
    figure = card(name).figure
    assert figure is None or model.pipeline.steps == figure.steps
    prompt = "1" if tiny(name).data.classes else ""  # type: ignore[union-attr]
    drawn = model.sample([prompt], KEY, steps=3)
    assert drawn.shape == (1, *TINY[name][1]) and bool(jnp.isfinite(drawn).all())
    if figure and figure.nfe:
        assert model.scheduler.solver(figure.steps).evaluations(figure.steps) == figure.nfe


def test_guidance_of_a_figure_is_of_its_channels(tmp_path: Path) -> None:
    guide = read("dit-xl-2-256", tmp_path).pipeline.guidance
    assert guide == ClassifierFree(scale=1.5, channels=3)


def noisy(model: ReleasedModel) -> tuple[np.ndarray, dict]:
    x = np.random.default_rng(1).normal(size=(2, *model.pipeline.data.shape))  # type: ignore[attr-defined]
    asked = model.ask(["1", ""], model.default_size) if model.pipeline.data.classes else {}  # type: ignore[attr-defined]
    return x.astype(np.float32), asked


def raw(model: ReleasedModel, x: np.ndarray, c_noise: float, asked: dict) -> np.ndarray:
    """What the network itself says."""
    context = Context(**{k: jnp.asarray(v) for k, v in asked.items()}) if asked else None
    part = model.network
    told = jnp.full((len(x),), c_noise, jnp.float32)
    return np.asarray(part.module.apply({"params": part.params}, jnp.asarray(x), told, context))


def level(alpha: float, sigma: float) -> Level:
    return Level(jnp.float32(alpha), jnp.float32(sigma))


def test_sit_is_asked_at_the_time_of_its_paper(tmp_path: Path) -> None:
    """x = t x_0 + (1 - t) eps with the velocity x_0 - eps, so that x_0 = x + (1 - t) v(x, t)."""
    model, t = read("sit-xl-2-256", tmp_path), 0.3
    x, asked = noisy(model)
    found = model.denoiser()(jnp.asarray(x), level(t, 1 - t), asked)
    np.testing.assert_allclose(found, x + (1 - t) * raw(model, x, t, asked), atol=1e-5)


@pytest.mark.parametrize("name", [name for name in TINY if name.startswith("edm")])
def test_edm_is_preconditioned_as_its_paper_says(name: str, tmp_path: Path) -> None:
    """D = c_skip x + c_out F(c_in x, log(sigma)/4) (Karras et al. 2022, table 1)."""
    model, sigma, data = read(name, tmp_path), 2.0, 0.5
    x, asked = noisy(model)
    total = sigma**2 + data**2
    seen = raw(model, x / np.sqrt(total), np.log(sigma) / 4, asked)
    wanted = data**2 / total * x + sigma * data / np.sqrt(total) * seen
    np.testing.assert_allclose(
        model.denoiser()(jnp.asarray(x), level(1.0, sigma), asked), wanted, atol=1e-5
    )


def test_dit_is_asked_at_the_label_of_its_betas(tmp_path: Path) -> None:
    model, label = read("dit-xl-2-256", tmp_path), 400
    alpha = np.sqrt(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))[label]
    sigma = np.sqrt(1 - alpha**2)
    x, asked = noisy(model)
    eps = raw(model, x, label, asked)[..., :4]
    wanted = (x - sigma * eps) / alpha
    found = model.denoiser()(jnp.asarray(x), level(alpha, sigma), asked)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


CODER = Path(__file__).parent / "data" / "stable_diffusion" / "vae"


def with_autoencoder(name: str, tmp_path: Path, **data) -> ReleasedModel:
    """A tiny model of a card with the tests' autoencoder."""
    known = tiny(name)
    assert known.data
    known = dataclasses.replace(known, data=dataclasses.replace(known.data, **data))
    path = write(known, tmp_path / "checkpoint.npz", known.network.under[0])
    return released(path, card=known, autoencoder=CODER)


def test_latents_of_edm2_are_those_of_its_repository(tmp_path: Path) -> None:
    """training/encoders.py: final = raw scale + bias, of pictures from 0 to 1."""
    model = with_autoencoder("edm2-img512-xs", tmp_path)
    raw_mean, raw_std = np.array([5.81, 3.25, 0.12, -2.15]), np.array([4.17, 4.62, 3.71, 3.28])
    scale = 0.5 / raw_std
    bias = 0 - raw_mean * scale
    plain = read_part(CODER)
    pictures = np.random.default_rng(2).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    weights = {"params": plain.params}
    raw, _ = plain.module.apply(weights, jnp.asarray(pictures + 1) / 2, method="encode")
    latents = model.encode(jnp.asarray(pictures))
    np.testing.assert_allclose(latents, raw * scale + bias, rtol=1e-5, atol=1e-5)
    zero_to_one = plain.module.apply(weights, raw, method="decode")
    np.testing.assert_allclose(model.decode(latents), 2 * zero_to_one - 1, rtol=1e-4, atol=1e-4)


def test_an_autoencoder_with_other_latents_is_refused(tmp_path: Path) -> None:
    coder = with_autoencoder("dit-xl-2-256", tmp_path).parts["vae"]
    assert coder.module.scaling_factor == 0.18215
    with pytest.raises(UserError, match=r"multiplied by 0.5; this is AutoencoderKL of 4"):
        with_autoencoder("dit-xl-2-256", tmp_path, latents_scale=0.5)
    with pytest.raises(UserError, match="draws no latents"):
        with_autoencoder("jit-b-16", tmp_path)


@pytest.mark.parametrize("t", [0.3, 0.75])
def test_jit_of_large_pictures_sees_twice_the_noise(t: float, tmp_path: Path) -> None:
    """z = t x + 2 (1 - t) eps, of which the network predicts x, told t."""
    known = dataclasses.replace(card("jit-b-16"), process=card("jit-b-32").process)
    part = dataclasses.replace(known.network, configuration=TINY["jit-b-16"][0])
    data = CardData(TINY["jit-b-16"][1], CLASSES, "last")
    known = dataclasses.replace(known, parts={"network": part}, data=data)
    path = write(known, tmp_path / "checkpoint.npz", part.under[0])
    model = released(path, card=known)
    x, asked = noisy(model)
    found = model.denoiser()(jnp.asarray(x), level(t, 2 * (1 - t)), asked)
    np.testing.assert_allclose(found, raw(model, x, t, asked), atol=1e-5)
    assert float(model.nodes(10).level.sigma[0]) == 2


def test_no_class_is_what_the_card_says(tmp_path: Path) -> None:
    assert noisy(read("dit-xl-2-256", tmp_path))[1]["pooled"].tolist() == [
        [0, 1, 0, 0],
        [0, 0, 0, 1],
    ]
    edm = read("edm-cifar10-32x32-cond-vp", tmp_path)
    assert noisy(edm)[1]["pooled"].tolist() == [[0, 1, 0], [0, 0, 0]]


def test_a_variant_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    known = tiny("sit-xl-2-256")
    path = write(known, tmp_path / "checkpoint.npz")
    with pytest.raises(UserError, match="has no variant 'fp16'"):
        released(path, card=known, variant="fp16")


def test_a_checkpoint_finds_its_card_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no card fits it"):
        released(write(tiny("sit-xl-2-256"), tmp_path / "mine.npz"))
    path = write(tiny("dit-xl-2-256"), tmp_path / "x.npz").rename(tmp_path / "DiT-XL-2-256x256.pt")
    with pytest.raises(UserError, match=r"as DiT-XL/2, ImageNet 256×256: .* are not in the file"):
        released(path)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"parts": {"network": CardPart("DiT")}}, "there is no network 'DiT' here yet"),
        ({"process": {}}, "does not say how"),
        ({"process": {"schedule": "edm"}}, "A process needs a prediction"),
        ({"process": {"schedules": "edm"}}, "Did you mean 'schedule'"),
        ({"data": CardData((4, 4, 4), 2, "last")}, "has shape"),
        ({"data": None}, "is of no authors' checkpoint"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_in_a_line(tmp_path, change, line) -> None:
    known = tiny("dit-xl-2-256")
    path = write(known, tmp_path / "checkpoint.npz")
    with pytest.raises(UserError, match=line) as refused:
        released(path, card=dataclasses.replace(known, **change))
    assert "\n" not in str(refused.value)


def test_a_model_that_does_not_fit_into_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tiny("dit-xl-2-256")
    path = write(known, tmp_path / "checkpoint.npz")
    monkeypatch.setattr(room, "free_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"parameters, which take .* as float32, and .* are free"):
        released(path, card=known)
    folder = Path(__file__).parent / "data" / "unconditional"
    with pytest.raises(UserError, match=r"parameters, which take"):
        released(folder)


def test_a_class_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no class of this model"):
        read("sit-xl-2-256", tmp_path).sample(["dog"], KEY)
    with pytest.raises(UserError, match="is asked for nothing"):
        read("edm-cifar10-32x32-uncond-ve", tmp_path).sample(["1"], KEY)
