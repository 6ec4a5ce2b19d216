"""Folders of weights: which file is read, shards, and what leads out of a folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers import open_weights
from tests.published.readers.files import as_safetensors
from tests.published.readers.hostile import refused

STEM = "diffusion_pytorch_model"


def write(path: Path, value: float = 0.0, name: str = "a") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_safetensors({name: np.array([value], np.float32)}))


def value(path: Path, variant: str = "") -> Any:
    return open_weights(path, variant)["a"].read().item()


def index(folder: Path, places: Any, name: str = "model.safetensors.index.json") -> Path:
    path = folder / name
    path.write_text(places if isinstance(places, str) else json.dumps({"weight_map": places}))
    return path


def test_a_variant_is_the_word_before_the_ending(tmp_path: Path) -> None:
    write(tmp_path / f"{STEM}.safetensors", 1)
    write(tmp_path / f"{STEM}.fp16.safetensors", 2)
    (tmp_path / "config.json").write_text("{}")
    assert (value(tmp_path), value(tmp_path, "fp16")) == (1, 2)
    with pytest.raises(UserError, match=r"no weights of variant ema; variants: none, 'fp16'"):
        open_weights(tmp_path, "ema")


def test_a_variant_is_not_taken_in_place_of_another(tmp_path: Path) -> None:
    write(tmp_path / f"{STEM}.fp16.safetensors", 2)
    with pytest.raises(UserError, match="no weights of variant none; variants: 'fp16'"):
        open_weights(tmp_path)


def test_a_number_with_a_dot_is_no_variant(tmp_path: Path) -> None:
    write(tmp_path / "sd3.5_medium.safetensors", 1)
    write(tmp_path / "sd3.5_medium.fp16.safetensors", 2)
    assert (value(tmp_path), value(tmp_path, "fp16")) == (1, 2)


def test_shards_of_a_variant(tmp_path: Path) -> None:
    write(tmp_path / f"{STEM}-00001-of-00001.safetensors", 1)
    index(tmp_path, {"a": f"{STEM}-00001-of-00001.safetensors"}, f"{STEM}.safetensors.index.json")
    write(tmp_path / f"{STEM}.fp16-00001-of-00001.safetensors", 2)
    shard = f"{STEM}.fp16-00001-of-00001.safetensors"
    index(tmp_path, {"a": shard}, f"{STEM}.safetensors.index.fp16.json")
    assert (value(tmp_path), value(tmp_path, "fp16")) == (1, 2)


def test_safetensors_come_before_what_holds_code(tmp_path: Path) -> None:
    write(tmp_path / "pytorch_model.bin", 1)
    write(tmp_path / "model.safetensors", 2)
    assert value(tmp_path) == 2


def test_several_models_in_a_folder_are_named(tmp_path: Path) -> None:
    write(tmp_path / "first.safetensors")
    write(tmp_path / "second.safetensors")
    with pytest.raises(UserError, match=r"name one of first\.safetensors, second\.safetensors"):
        open_weights(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "no file of weights")
    refused(tmp_path / "nothing", "no file or folder")


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ({"a": "../model.safetensors"}, "may name files beside it alone"),
        ({"a": "/etc/passwd"}, "may name files beside it alone"),
        ({"a": ".."}, "may name files beside it alone"),
        ({"a": ""}, "may name files beside it alone"),
        ({"a": "C:model"}, "may name files beside it alone"),
        ({"a": "x\0y"}, "may name files beside it alone"),
        ({"a": "missing.safetensors"}, "which is missing"),
        ({"a": 3}, "no file name"),
        ({"a": ["model"]}, "no file name"),
        ([1], "must be a JSON object"),
        ({"a": "model.safetensors.index.json"}, "an index too"),
        ({"b": "shard"}, "'b' is missing in shard"),
        (
            {"a": "shard"},
            "'c' of other is not in the index",
        ),
        ('{"weight_map": {"a": "shard", "a": "other"}}', "the key 'a' twice"),
        ('{"weight_map": {"a": NaN}}', "NaN"),
        ('{"weight_map": ' + "[" * 100_000, "nested too deeply"),
        ('{"other": 1}', "no weight_map"),
    ],
)
def test_an_index_that_is_wrong_is_refused(tmp_path: Path, places: Any, words: str) -> None:
    write(tmp_path / "shard")
    if "other" in words:
        write(tmp_path / "other", name="c")
        write(tmp_path / "shard", name="a")
        places = {"a": "shard", "d": "other"}
        words = "'d' is missing in other"
    refused(index(tmp_path, places), words)


def test_a_tensor_that_the_index_leaves_out_is_told(tmp_path: Path) -> None:
    arrays = {name: np.zeros(1, np.float32) for name in "ab"}
    (tmp_path / "shard").write_bytes(as_safetensors(arrays))
    refused(index(tmp_path, {"a": "shard"}), "'b' of shard is not in the index")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "secret.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "shard").symlink_to(tmp_path / "secret.safetensors")
    refused(index(folder, {"a": "shard"}), "leads out of")


def test_links_of_a_cache_of_downloads_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "blobs/abc", 3)
    folder = tmp_path / "snapshots/revision/unet"
    folder.mkdir(parents=True)
    (folder / "shard").symlink_to("../../../blobs/abc")
    assert value(index(folder, {"a": "shard"})) == 3


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")
    refused(Path("/dev/zero"), "not a regular file")


def test_part_of_a_checkpoint(tmp_path: Path) -> None:
    write(tmp_path / "weights", 4, "ema.model.a")
    weights = open_weights(tmp_path / "weights")
    assert weights.under("ema.model")["a"].read().item() == 4
    with pytest.raises(UserError, match="no tensors under 'em'; it has ema"):
        weights.under("em")
