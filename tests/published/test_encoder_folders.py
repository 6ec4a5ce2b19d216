"""Folders of encoders, read alone, give for pictures and prompts what transformers gave."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import diffusion_jax as dj
from diffusion_jax.errors import UserError
from diffusion_jax.published.inspection import inspect_model
from diffusion_jax.published.parts import read_part
from diffusion_jax.published.preprocessing import Preprocessing, read_preprocessing
from diffusion_jax.published.writing import export_part
from tests.published.recorded import DATA

CLIP, DINO = DATA / "clip", DATA / "dinov2"


def recorded(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "recorded.npz") as stored:
        return dict(stored)


def shown(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [arrays["picture0"], arrays["picture1"]]


def test_clip_gives_the_originals_features_and_how_alike_they_are() -> None:
    encoder, told = dj.read_encoder(CLIP), recorded(CLIP)
    captions = encoder.text(told["prompts"].tolist())
    pictures = encoder.pictures(shown(told))
    np.testing.assert_allclose(captions.tokens[0], told["text_tokens"][0], atol=2e-5)
    np.testing.assert_allclose(captions.pooled, told["text"], atol=2e-5)
    np.testing.assert_allclose(pictures.pooled, told["pictures"], atol=2e-5)
    np.testing.assert_allclose(encoder.alike(captions, pictures), told["alike"], atol=1e-4)


def test_dinov2_gives_the_originals_features() -> None:
    found, told = dj.read_encoder(DINO).pictures(shown(recorded(DINO))), recorded(DINO)
    np.testing.assert_allclose(found.pooled, told["pictures"], atol=2e-5)
    np.testing.assert_allclose(found.tokens, told["tokens"], atol=2e-5)


def test_pictures_are_prepared_as_processors_do_to_the_last_bit(tmp_path: Path) -> None:
    with np.load(DATA / "preprocessing.npz") as stored:
        arrays = dict(stored)
    count = sum(name.startswith("told") for name in arrays)
    assert count > 9
    for i in range(count):
        (tmp_path / "preprocessor_config.json").write_text(str(arrays[f"told{i}"]))
        found = read_preprocessing(tmp_path)([arrays[f"picture{i}"]])[0]
        np.testing.assert_array_equal(found, arrays[f"found{i}"].astype(np.float32))


def test_a_text_encoder_of_a_model_finds_its_tokenizer_beside_it() -> None:
    encoder = dj.read_encoder(DATA / "stable_diffusion_xl" / "text_encoder_2")
    found = encoder.text(["a dog", "a red circle"])
    assert found.pooled is not None and len(found.pooled) == 2
    with pytest.raises(UserError, match="reads words alone"):
        encoder.pictures(shown(recorded(CLIP)))


@pytest.mark.parametrize("folder", [CLIP, DINO], ids=lambda folder: folder.name)
def test_a_folder_is_described_and_written_back(folder: Path, tmp_path: Path) -> None:
    report = inspect_model(folder)
    assert report.is_whole and report.kind == "part"
    written = export_part(folder, "float32", "", tmp_path / "again")
    first, again = read_part(folder).params, read_part(written).params
    for left, right in zip(*map(_leaves, (first, again)), strict=True):
        np.testing.assert_array_equal(left, right)


def _leaves(tree: object) -> list[object]:
    import jax

    return jax.tree.leaves(tree)


def changed(tmp_path: Path, folder: Path, file: str, **settings: object) -> Path:
    place = tmp_path / "encoder"
    shutil.copytree(folder, place)
    told = json.loads((place / file).read_text()) | settings
    (place / file).write_text(json.dumps({k: v for k, v in told.items() if v != "gone"}))
    return place


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"image_processor_type": "ViTImageProcessor"}, "is of a ViTImageProcessor; known are"),
        ({"do_pad": True}, "do_pad=True is not known here"),
        ({"rescale": 2}, "the setting 'rescale' is not known here. Did you mean 'do_rescale'"),
        ({"size": {"longest_edge": 3}}, "a size must say shortest_edge, or height and width"),
        ({"crop_size": {"height": 3}}, "a size must say"),
        ({"resample": 9}, "resample=9 is no filter"),
        ({"size": 0}, "a side of 0 pixels"),
        ({"image_mean": [0.5]}, "a number for each of three colours"),
    ],
)
def test_settings_that_are_not_known_are_refused(tmp_path: Path, settings, line: str) -> None:
    with pytest.raises(UserError) as refused:
        dj.read_encoder(changed(tmp_path, DINO, "preprocessor_config.json", **settings))
    assert line in str(refused.value) and "\n" not in str(refused.value)


def test_settings_of_older_files_are_read(tmp_path: Path) -> None:
    older = {"feature_extractor_type": "CLIPFeatureExtractor", "image_processor_type": "gone"}
    older |= {"size": 14, "crop_size": 12, "do_rescale": "gone", "rescale_factor": "gone"}
    place = changed(tmp_path, DINO, "preprocessor_config.json", **older)
    assert read_preprocessing(place) == read_preprocessing(DINO)


def test_what_an_encoder_cannot_do_is_said_in_a_line(tmp_path: Path) -> None:
    encoder = dj.read_encoder(DINO)
    with pytest.raises(UserError, match="Dinov2Model, which reads pictures alone"):
        encoder.text(["a dog"])
    with pytest.raises(UserError, match="must be an array of bytes"):
        encoder.pictures([np.zeros((4, 4, 3))])
    with pytest.raises(UserError, match="does not read both"):
        encoder.alike(*[encoder.pictures(shown(recorded(DINO)))] * 2)
    with pytest.raises(UserError, match="must end in one size"):
        Preprocessing(size=8, crop=None)(shown(recorded(DINO)))
    with pytest.raises(UserError, match="which is no encoder: known are"):
        dj.read_encoder(DATA / "stable_diffusion" / "vae")
    with pytest.raises(UserError, match=r"has no config.json"):
        dj.read_encoder(tmp_path)
    place = tmp_path / "bare"
    place.mkdir()
    for file in ("config.json", "model.safetensors"):
        shutil.copyfile(CLIP / file, place / file)
    bare = dj.read_encoder(place)
    with pytest.raises(UserError, match=r"has no tokenizer \("):
        bare.text(["a dog"])
    with pytest.raises(UserError, match=r"has no preprocessor_config.json"):
        bare.pictures(shown(recorded(DINO)))
