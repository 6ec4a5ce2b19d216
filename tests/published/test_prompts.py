"""Models that are asked in words draw what diffusers drew from the same folders and noise."""

import dataclasses
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
from diffusion_jax.published.pipelines import pipelines
from tests.published.recorded import DATA

FOLDERS = [DATA / "stable_diffusion", DATA / "stable_diffusion_xl"]
CLIP = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
PIXART = DATA / "pixart"
EVERY = pytest.mark.parametrize("folder", [*FOLDERS, PIXART], ids=lambda folder: folder.name)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def models() -> dict[Path, ReleasedModel]:
    return {folder: released(folder) for folder in [*FOLDERS, PIXART]}


@EVERY
@pytest.mark.filterwarnings("ignore:The prompt")
def test_what_is_drawn_is_the_originals(models, folder: Path) -> None:
    model, told = models[folder], json.loads((folder / "cases.json").read_text())
    with np.load(folder / "drawn.npz") as stored:
        drawn = dict(stored)
    noise = jnp.moveaxis(drawn["noise"], 1, -1)
    for i, (guidance, negative, steps) in enumerate(told["cases"]):
        for row, prompt in enumerate(told["prompts"]):
            found = model.sample(
                [prompt],
                KEY,
                negative=None if negative is None else negative[row],
                guidance=guidance,
                steps=steps,
                size=tuple(told["size"]),
                noise=noise[row : row + 1],
                latents=True,
            )
            latents = np.moveaxis(drawn[f"latent{i}"][row], 0, -1)
            assert np.abs(found[0] - latents).max() < 1e-4 * np.sqrt(np.mean(latents**2))
            picture = np.clip(
                np.moveaxis(np.asarray(model.decode(found)[0]), -1, 0) / 2 + 0.5, 0, 1
            )
            assert np.abs(picture - drawn[f"pt{i}"][row]).max() < 1e-4


@CLIP
def test_prompts_and_the_layer_they_are_read_from_matter(models, folder: Path) -> None:
    model = models[folder]
    dog, cat = (model.ask([words])["tokens"] for words in ("a dog", "a cat"))
    assert np.abs(dog - cat).max() > 1e-3
    skipping = pipelines.make(f"{model.kind}(clip_skip=1)")
    skipped = dataclasses.replace(model, pipeline=skipping)
    assert np.abs(skipped.ask(["a dog"])["tokens"] - dog).max() > 1e-3
    away = skipped.ask(["a dog"], negative=True)["tokens"]
    np.testing.assert_array_equal(away, dog)
    with pytest.raises(UserError, match=r"clip_skip=9 must be 0 to \d"):
        dataclasses.replace(model, pipeline=dataclasses.replace(skipping, clip_skip=9)).ask([""])


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


def edited(folder: Path, tmp_path: Path, name: str, **settings: object) -> Path:
    new = tmp_path / "model"
    shutil.copytree(folder, new)
    told = json.loads((new / name).read_text()) | settings
    (new / name).write_text(json.dumps({k: v for k, v in told.items() if v != "gone"}))
    return new


def test_a_folder_that_reads_no_prompts_says_so(tmp_path) -> None:
    folder = edited(FOLDERS[0], tmp_path, "model_index.json", tokenizer="gone")
    with pytest.raises(UserError, match="has no 'tokenizer'"):
        released(folder).ask(["a dog"])


def test_a_tokenizer_of_another_model_is_refused(tmp_path) -> None:
    more = {"added_tokens_decoder": {}, "pad_token": "<pad>", "unk_token": "<new>"}
    folder = edited(FOLDERS[0], tmp_path, "tokenizer/tokenizer_config.json", **more)
    with pytest.raises(UserError, match="they are of two models"):
        released(folder).ask(["a dog <new>"])
