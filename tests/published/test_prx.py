"""PRX draws what diffusers drew from the same folder and noise."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.model import released
from diffusion_jax.published.schedulers import translate
from tests.published.recorded import DATA, check_drawn

FOLDER = DATA / "prx"
CASES = json.loads((FOLDER / "cases.json").read_text())["cases"]
SETTINGS = "skip_text_cleaning", "tokenizer_max_length"
EXACT = {"use_resolution_binning": False}


@pytest.mark.filterwarnings("ignore:The prompt")
@pytest.mark.parametrize("i", range(len(CASES)))
def test_what_is_drawn_is_the_originals(i: int) -> None:
    case = CASES[i]
    model = released(FOLDER, settings=EXACT | {k: case[k] for k in SETTINGS if k in case})
    if "scheduler" in case:
        drawn_by = translate(case["scheduler"], unit_times=True)
        model = dataclasses.replace(model, scheduler=drawn_by)
    negative, guidance = case.get("negative_prompt"), case.get("guidance_scale")
    steps = case["num_inference_steps"]
    check_drawn(model, FOLDER, str(i), steps=steps, guidance=guidance, negative=negative)


def test_sizes_are_the_nearest_of_those_it_was_trained_on() -> None:
    model = released(FOLDER)
    assert model.default_size == (256, 256)
    assert model.pipeline.shape(model, (300, 700)) == (160 // 2, 352 // 2, 4)
    assert model.pipeline.shape(model, (40, 31)) == (288 // 2, 224 // 2, 4)


def edited(tmp_path: Path, **settings: object) -> Path:
    new = tmp_path / "model"
    shutil.copytree(FOLDER, new)
    told = json.loads((new / "model_index.json").read_text())
    (new / "model_index.json").write_text(json.dumps(told | settings))
    return new


def test_a_folder_that_names_no_side_is_of_512_pixels(tmp_path: Path) -> None:
    model = released(edited(tmp_path, default_sample_size=None))
    assert model.default_size == (512, 512)
    # 300/700 is nearest to a half among the sizes of that side.
    assert model.pipeline.shape(model, (300, 700)) == (352 // 2, 704 // 2, 4)


def test_a_side_without_known_sizes_is_refused_unless_they_are_switched_off(tmp_path: Path) -> None:
    folder = edited(tmp_path, default_sample_size=768)
    model = released(folder)
    with pytest.raises(UserError, match="default_sample_size of 256, 512, 1024, and it is 768"):
        model.pipeline.shape(model, (64, 64))
    exact = released(folder, settings=EXACT)
    assert exact.pipeline.shape(exact, (64, 64)) == (32, 32, 4)


def test_a_folder_without_an_autoencoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no part 'vae', which a PRXPipeline needs"):
        released(edited(tmp_path, vae=[None, None]))


def test_a_length_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="tokenizer_max_length must be at least 0, not -1"):
        released(FOLDER, settings={"tokenizer_max_length": -1})
