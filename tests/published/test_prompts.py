"""Models that are asked in words draw what diffusers drew from the same folders and noise."""

import json
import shutil
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.model import ReleasedModel, released
from tests.published.recorded import DATA, check_drawn

FOLDERS = [DATA / "stable_diffusion", DATA / "stable_diffusion_xl"]
CLIP = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
PIXART = DATA / "pixart"
EVERY = pytest.mark.parametrize("folder", [*FOLDERS, PIXART], ids=lambda folder: folder.name)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def models() -> dict[Path, ReleasedModel]:
    exact = {"use_resolution_binning": False}
    return {
        folder: released(folder, settings=exact if folder == PIXART else {})
        for folder in [*FOLDERS, PIXART]
    }


@EVERY
@pytest.mark.filterwarnings("ignore:The prompt")
def test_what_is_drawn_is_the_originals(models, folder: Path) -> None:
    for i, (guidance, negative, steps) in enumerate(
        json.loads((folder / "cases.json").read_text())["cases"]
    ):
        key = "" if negative is None else "negative"
        told = {"negative": negative, "guidance": guidance, "steps": steps}
        check_drawn(models[folder], folder, str(i), key, **told)


@CLIP
def test_prompts_and_the_layer_they_are_read_from_matter(models, folder: Path) -> None:
    model = models[folder]
    dog, cat = (model.ask([words])["tokens"] for words in ("a dog", "a cat"))
    assert np.abs(dog - cat).max() > 1e-3
    skipped = released(folder, settings={"clip_skip": 1})
    assert np.abs(skipped.ask(["a dog"])["tokens"] - dog).max() > 1e-3
    away = skipped.ask(["a dog"], negative=True)["tokens"]
    np.testing.assert_array_equal(away, dog)
    with pytest.raises(UserError, match=r"clip_skip=9 must be 0 to \d"):
        released(folder, settings={"clip_skip": 9}).ask([""])


def test_settings_that_a_pipeline_does_not_have_are_refused() -> None:
    with pytest.raises(UserError, match="no setting 'clip_skips'. Did you mean 'clip_skip'"):
        released(FOLDERS[0], settings={"clip_skips": 1})
    with pytest.raises(UserError, match="clip_skip must be"):
        released(FOLDERS[0], settings={"clip_skip": 0.5})


def test_what_an_index_names_and_nobody_reads_is_refused(tmp_path) -> None:
    for name, value in (("image_encoder", ["transformers", "CLIPTextModel"]), ("is_odd", True)):
        folder = edited(FOLDERS[0], tmp_path / name, "model_index.json", **{name: value})
        with pytest.raises(UserError, match=f"StableDiffusionPipeline .* honour '{name}'"):
            released(folder)


def test_nothing_and_an_empty_prompt_differ_where_the_original_says_so(models) -> None:
    plain, large = (models[folder] for folder in FOLDERS)
    for name in ("tokens", "pooled"):
        nothing, empty = (large.ask([given], negative=True)[name] for given in (None, ""))
        assert not nothing.any() and empty.any()
    nothing, empty = (plain.ask([given], negative=True)["tokens"] for given in (None, ""))
    np.testing.assert_array_equal(nothing, empty)


@CLIP
def test_a_long_prompt_is_cut_with_a_warning_or_refused(models, folder: Path) -> None:
    long = "the fox jumps " * 20
    with pytest.warns(UserWarning, match="this was cut: 'x jumps the fox"):
        models[folder].ask([long])
    with pytest.raises(UserError, match="shorten it by 'x jumps the fox"):
        released(folder, strict=True).ask([long])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models[folder].ask(["the fox"])


def test_pixart_reads_lower_case_and_masks_padding(models) -> None:
    found, again = (models[PIXART].ask([words], (8, 16)) for words in ("The Fox ", "the fox"))
    for name, value in found.items():
        np.testing.assert_array_equal(value, again[name])
    assert found["tokens"].shape == (1, 120, 8) and 0 < found["mask"].sum() < 20
    assert found["numbers"].tolist() == [[8, 16, 0.5]]


def test_pixart_cleans_captions_unless_told_not_to(models) -> None:
    odd, plain = "THE fox <b>(jumps)</b> photo.jpg", "the fox jumps"
    clean, same = (models[PIXART].ask([words], (8, 16)) for words in (odd, plain))
    np.testing.assert_array_equal(clean["tokens"], same["tokens"])
    raw = released(PIXART, settings={"clean_caption": False, "use_resolution_binning": False})
    assert raw.ask([odd], (8, 16))["mask"].sum() > 2 * clean["mask"].sum()


def edited(folder: Path, tmp_path: Path, name: str, **settings: object) -> Path:
    new = tmp_path / "model"
    shutil.copytree(folder, new)
    told = json.loads((new / name).read_text()) | settings
    (new / name).write_text(json.dumps({k: v for k, v in told.items() if v != "gone"}))
    return new


def test_settings_that_the_original_pipeline_does_not_read_change_nothing(models, tmp_path) -> None:
    odd = {"latents_mean": [0.1] * 4, "latents_std": [2.0] * 4}
    folder = edited(FOLDERS[0], tmp_path, "vae/config.json", **odd)
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"steps_offset": 0}))
    found, told = released(folder), models[FOLDERS[0]]
    np.testing.assert_array_equal(found.nodes(7).level.sigma, told.nodes(7).level.sigma)
    z = jax.random.normal(KEY, (1, 2, 2, 4))
    np.testing.assert_array_equal(found.decode(z), told.decode(z))


def test_schedulers_of_many_steps_at_once_are_settled_as_the_others(tmp_path) -> None:
    parallel, told = (
        released(
            edited(
                FOLDERS[0],
                tmp_path / name,
                "scheduler/scheduler_config.json",
                _class_name=name,
                steps_offset=0,
                clip_sample=True,
            )
        )
        for name in ("DDIMParallelScheduler", "DDIMScheduler")
    )
    np.testing.assert_array_equal(parallel.nodes(7).level.sigma, told.nodes(7).level.sigma)
    assert parallel.scheduler.solver(7) == told.scheduler.solver(7)


def test_a_folder_that_reads_no_prompts_says_so(tmp_path) -> None:
    folder = edited(FOLDERS[0], tmp_path, "model_index.json", tokenizer=[None, None])
    with pytest.raises(UserError, match="has no 'tokenizer'"):
        released(folder).ask(["a dog"])


def test_pictures_without_room_are_refused_before_they_are_drawn(models) -> None:
    with pytest.raises(UserError, match="of 20000000x10000000 cannot be drawn at once: one layer"):
        models[FOLDERS[0]].sample(["a dog"], KEY, size=(10**7, 2 * 10**7))


def test_a_tokenizer_of_another_model_is_refused(tmp_path) -> None:
    more = {"added_tokens_decoder": {}, "pad_token": "<pad>", "unk_token": "<new>"}
    folder = edited(FOLDERS[0], tmp_path, "tokenizer/tokenizer_config.json", **more)
    with pytest.raises(UserError, match="they are of two models"):
        released(folder).ask(["a dog <new>"])


def test_noise_of_another_size_is_refused(models) -> None:
    with pytest.raises(UserError, match=r"The noise must have the shape \(1, 4, 8, 4\), not"):
        models[PIXART].sample([""], KEY, size=(8, 16), noise=jnp.zeros((1, 4, 4, 4)), steps=2)


def test_pixart_draws_the_nearest_of_its_sizes() -> None:
    binned = released(PIXART)
    assert binned.pipeline.shape(binned, (8, 16)) == (704 // 2, 1408 // 2, 4)
    assert binned.ask([""], (8, 16))["numbers"].tolist() == [[704, 1408, 0.5]]


def test_a_mask_keeps_part_of_a_picture_that_has_latents(models) -> None:
    model = models[FOLDERS[0]]
    image = jnp.linspace(-1, 1, 8 * 16 * 3).reshape(8, 16, 3)
    keep = jnp.zeros((8, 16, 1)).at[:, :8].set(1.0)
    given = {"image": image, "keep": keep, "steps": 4, "strength": 1.0, "latents": True}
    found = model.sample(["the fox"], KEY, **given)
    known = model.encode(image[None])
    off = jnp.abs(found - known).max(axis=(0, 1, 3))
    assert off[:4].max() < 0.1 < off[4:].min()
