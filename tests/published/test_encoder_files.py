"""Files of CLIP and DINOv2 with their authors' names of tensors give what the originals gave."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import diffusion_jax as dj
from diffusion_jax.errors import UserError
from diffusion_jax.networks.encoders.base import Encoding
from diffusion_jax.published.card import card
from diffusion_jax.published.encoder import ReleasedEncoder, encode
from diffusion_jax.published.identify import fitting
from diffusion_jax.published.inspection import inspect_model
from experiments import models
from tests.published.encoder_files import GRID, photographs, pictures, shapes_in, tensors
from tests.published.recorded import DATA

FILES, FOLDER = DATA / "encoder_files", DATA / "clip"
SCRIPT = FILES / "clip.pt"
DINO = sorted(FILES.glob("dinov2_*.npz"))


def recorded(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return dict(stored)


def written(recorded_at: Path, path: Path, under: str = "", **changed: Any) -> Path:
    """A file of the authors' tensors; of those changed to None nothing is written."""
    held: dict[str, Any] = tensors(shapes_in(recorded(recorded_at))) | changed
    np.savez(path, **{under + k: v for k, v in held.items() if v is not None})
    return path


def given(encoder: ReleasedEncoder, what: np.ndarray) -> Encoding:
    return encode(encoder.part.module, encoder.part.params, what, None)


def close(found: Any, told: np.ndarray, by: float = 2e-5) -> None:
    assert np.abs(found - told).max() < by * np.sqrt(np.mean(told.astype(float) ** 2))


@pytest.mark.parametrize("at", DINO, ids=lambda path: path.stem)
def test_dinov2_gives_the_originals_numbers(at: Path, tmp_path: Path) -> None:
    encoder, told = dj.read_encoder(written(at, tmp_path / "dinov2.npz")), recorded(at)
    close(given(encoder, pictures(14 * GRID)).tokens, told["tokens"])
    close(encoder.pictures(photographs()).pooled, told["photographs"], 1e-4)


def like(tmp_path: Path, **text: Any) -> Path:
    """A folder with what the tensors of `clip_gelu` do not say."""
    place = tmp_path / "like"
    shutil.copytree(FOLDER, place, ignore=shutil.ignore_patterns("*.safetensors", "*.npz"))
    own = {"hidden_act": "gelu", "hidden_size": 64, "num_attention_heads": 1, "vocab_size": 142}
    own |= {"num_hidden_layers": 1, "intermediate_size": 8, "max_position_embeddings": 6}
    wide = {"hidden_act": "gelu", "hidden_size": 128, "num_attention_heads": 2}
    config = json.loads((place / "config.json").read_text())
    config |= {"text_config": own | text, "vision_config": wide}
    (place / "config.json").write_text(json.dumps(config))
    return place


def test_clip_by_a_folder_that_it_is_like(tmp_path: Path) -> None:
    at = FILES / "clip_gelu.npz"
    path, told = written(at, tmp_path / "clip.npz", "state_dict.module."), recorded(at)
    encoder = dj.read_encoder(path, like=like(tmp_path))
    text, shown = given(encoder, told["ids"]), given(encoder, pictures())
    close(text.pooled, told["text"])
    close(shown.pooled, told["pictures"])
    close(encoder.alike(text, shown), told["alike"])
    assert encoder.text(["a dog"], 6).tokens.shape[1] == 6  # by the tokenizer of that folder


def test_a_script_is_read_without_running_it() -> None:
    encoder, told = dj.read_encoder(SCRIPT), recorded(FILES / "clip_quick_gelu.npz")
    table = encoder.part.params["text"]["text_model"]["embeddings.token_embedding"]["embedding"]
    exact = tensors(shapes_in(told))["token_embedding.weight"].astype(np.float16)
    np.testing.assert_array_equal(table, exact)
    close(given(encoder, told["ids"]).pooled, told["text"], 5e-3)  # of float16
    close(encoder.pictures(photographs()).pooled, told["photographs"], 5e-3)
    with pytest.raises(UserError, match=r"has no tokenizer .*like=FOLDER"):
        encoder.text(["a dog"])


def test_a_card_says_what_tensors_do_not(tmp_path: Path) -> None:
    at = FILES / "clip_gelu.npz"
    path, told = written(at, tmp_path / "clip.npz"), recorded(at)
    with pytest.raises(UserError, match="no tensor says how many heads"):
        dj.read_encoder(path)
    with pytest.raises(UserError, match=r"projection_dim=6, and the card 'openclip.*' says 1024"):
        dj.read_encoder(path, card="openclip-vit-h-14")
    known = card("openclip-vit-h-14")
    small = json.loads((like(tmp_path) / "config.json").read_text())
    small = {k: small[k] for k in ("projection_dim", "text_config", "vision_config")}
    part = dataclasses.replace(known.network, configuration=small)
    encoder = dj.read_encoder(path, card=dataclasses.replace(known, parts={"encoder": part}))
    close(given(encoder, told["ids"]).pooled, told["text"])


@pytest.mark.parametrize("source", [FOLDER, SCRIPT], ids=["folder", "file"])
def test_a_half_is_that_of_the_whole(source: Path) -> None:
    whole = dj.read_encoder(source)
    for half, name in (("text", "text"), ("pictures", "vision")):
        encoder = dj.read_encoder(source, half=half)
        assert encoder.part.module.reads == half
        jax.tree.map(np.testing.assert_array_equal, encoder.part.params, whole.part.params[name])
    assert encoder.pictures(photographs()).pooled.shape == (2, 6)
    with pytest.raises(UserError, match="reads pictures alone"):
        encoder.text(["a dog"])
    with pytest.raises(UserError, match="Unknown half of an encoder 'image'"):
        dj.read_encoder(source, half="image")


def test_half_of_what_has_no_halves_is_refused() -> None:
    with pytest.raises(UserError, match="A Dinov2 has no half that reads text"):
        dj.read_encoder(DATA / "dinov2", half="text")


def test_transformers_names_of_half_are_read_by_what_the_whole_says(tmp_path: Path) -> None:
    from diffusion_jax.published.readers import open_weights

    held = {name: tensor.read() for name, tensor in open_weights(FOLDER).items()}
    text = {name: value for name, value in held.items() if name.startswith("text_model.")}
    np.savez(tmp_path / "clip_l.npz", **text)
    encoder = dj.read_encoder(tmp_path / "clip_l.npz", like=FOLDER)
    found, told = encoder.text(["a dog"]), dj.read_encoder(FOLDER).text(["a dog"])
    np.testing.assert_array_equal(found.tokens, told.tokens)
    assert type(encoder.part.module).original == "CLIPTextModel"  # as it has no projection
    with pytest.raises(UserError, match="no file of CLIP or DINOv2 as their authors name"):
        dj.read_encoder(tmp_path / "clip_l.npz")


PLAIN = FILES / "dinov2_0_plain.npz"
ODD = {
    "lacks 'norm.bias', of a Dinov2Model": {"norm.bias": None},
    "a Dinov2Model has no place for: 'head.weight'": {"head.weight": np.ones(3)},
    "pos_embed has 8 places of patches, which is no square": {"pos_embed": np.ones((1, 9, 128))},
    "pos_embed has shape (9,), and not 3 axes": {"pos_embed": np.ones(9)},
    "'encoder.layer.1.norm1.weight' has shape (64,)": {"blocks.1.norm1.weight": np.ones(64)},
    "has 96 features, and the authors' heads have 64": {
        "patch_embed.proj.weight": np.ones((96, 3, 14, 14))
    },
}


@pytest.mark.parametrize("line", ODD)
def test_what_is_wrong_with_a_file_is_said_in_a_line(line: str, tmp_path: Path) -> None:
    path = written(PLAIN, tmp_path / "dinov2.npz", **ODD[line])
    with pytest.raises(UserError) as refused:
        dj.read_encoder(path)
    assert line in str(refused.value) and "\n" not in str(refused.value)


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    path = written(PLAIN, tmp_path / "dinov2.npz")
    for line, settings in {
        "is of a folder": {"variant": "fp16"},
        "not by both": {"card": "dinov2-vit-l-14", "like": DATA / "dinov2"},
        "is a Dinov2Model, and .* is of a CLIPModel": {"like": FOLDER},
        "hidden_size=128, and .* says 8": {"like": DATA / "dinov2"},
        "'dit-xl-2-256' is of a network": {"card": "dit-xl-2-256"},
    }.items():
        with pytest.raises(UserError, match=line):
            dj.read_encoder(path, **settings)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a folder says what it is"):
        dj.read_encoder(FOLDER, card="clip-vit-l-14")
    resnet = {"visual.layer1.0.conv1.weight": np.ones(1)}
    resnet |= {"visual.conv1.weight": np.ones(1), "token_embedding.weight": np.ones(1)}
    np.savez(tmp_path / "resnet.npz", **resnet)
    with pytest.raises(UserError, match="is a ResNet, and no ViT"):
        dj.read_encoder(tmp_path / "resnet.npz")


def test_files_and_folders_are_described_with_their_halves(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for source in (SCRIPT, FOLDER):
        models.main([str(source)])
        said = capsys.readouterr().out
        assert "CLIPModel" in said and "every tensor has its place" in said
        assert "half that reads text: CLIPTextModelWithProjection" in said
        assert "half that reads pictures: CLIPVisionModelWithProjection" in said
    path = written(PLAIN, tmp_path / "dinov2_vitl14_pretrain.pth.npz", **{"norm.bias": None})
    report = inspect_model(path)
    assert report.parts[0].faults == ("missing: norm.bias.",)
    folder = like(tmp_path)
    path = written(FILES / "clip_gelu.npz", tmp_path / "clip.npz")
    assert inspect_model(path, like=folder).is_whole
    assert "no tensor says" in inspect_model(path).faults[0]


def test_halves_in_folders_of_their_own_are_known_by_the_card_of_the_whole(tmp_path: Path) -> None:
    told = card("openclip-vit-bigg-14").network.configuration
    for name, kind in (("text_config", "CLIPTextModel"), ("vision_config", "CLIPVisionModel")):
        for ending in ("", "WithProjection"):
            config = dict(told[name]) | {"architectures": [kind + ending]}
            (tmp_path / "config.json").write_text(json.dumps(config))
            found = [each.name for each, _ in fitting(tmp_path)]
            assert found == ["openclip-vit-bigg-14"]
    (tmp_path / "config.json").write_text(json.dumps(dict(told) | {"architectures": ["CLIPModel"]}))
    assert [each.name for each, _ in fitting(tmp_path)] == ["openclip-vit-bigg-14"]
