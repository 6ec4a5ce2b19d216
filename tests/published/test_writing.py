"""Models written back: read again bit for bit, whole or not at all."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.transformers.diffusers_dit import DiffusersDiT
from diffusion_jax.networks.unet import UNet
from diffusion_jax.published import writing
from diffusion_jax.published.inspection import inspect_model
from diffusion_jax.published.model import released
from diffusion_jax.published.parts import read_part
from diffusion_jax.published.readers import open_weights
from diffusion_jax.published.writing import export_network, write_safetensors
from experiments import models
from tests.published.test_checkpoint import tiny, write

FOLDER = Path(__file__).parent / "data" / "unconditional"


def equal(one: object, two: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, two)


def test_tensors_of_every_dtype_are_read_back_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "b": rng.normal(size=(2, 3)).astype(np.float32).T,
        "a.weight": rng.normal(size=4).astype(ml_dtypes.bfloat16),
        "c": np.array(7, np.int64),
        "d": np.array([True, False, True]),
        "e": np.zeros((0, 2), np.float16),
    }
    path = write_safetensors(tensors, tmp_path / "x.safetensors", {"format": "pt"})
    found = open_weights(path)
    assert found.metadata == {"format": "pt"} and found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name].read(), value)
    # Others map the numbers where they lie, which must be multiples of their size.
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert header % 8 == 0
    offsets = {
        k: v for k, v in json.loads(path.read_bytes()[8 : 8 + header]).items() if k[0] != "_"
    }
    for name, told in offsets.items():
        assert told["data_offsets"][0] % max(tensors[name].itemsize, 1) == 0


def test_a_folder_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    models.main(["export", str(FOLDER), str(tmp_path / "out")])
    equal(read_part(FOLDER / "unet").params, read_part(tmp_path / "out" / "unet").params)
    report = inspect_model(tmp_path / "out")
    assert report.is_whole and report.kind == "DDIMPipeline"
    drawn = [
        released(f).sample([""], jax.random.key(0), steps=2) for f in (FOLDER, tmp_path / "out")
    ]
    equal(drawn[0], drawn[1])


def test_a_part_is_written_in_half_as_many_bytes(tmp_path: Path) -> None:
    models.main(["export", str(FOLDER / "unet"), str(tmp_path / "out"), "--dtype=bfloat16"])
    found = open_weights(tmp_path / "out")
    assert {str(each.dtype) for each in found.values()} == {"bfloat16"}


def test_a_checkpoint_keeps_what_the_network_computes_itself(tmp_path: Path) -> None:
    path = write(tiny("dit-xl-2-256"), tmp_path / "x.npz")
    with np.load(path) as stored:
        held = dict(stored) | {"pos_embed": np.ones((1, 4, 16), np.float32)}
    np.savez(path, **held)
    out = writing.export_model(
        released(path, card=tiny("dit-xl-2-256")), tmp_path / "o.safetensors"
    )
    found = open_weights(out)
    assert found.metadata["card"] == "dit-xl-2-256" and found.keys() == held.keys()
    for name, value in held.items():
        np.testing.assert_array_equal(found[name].read(), value)


def test_unused_parts_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    source = Path(shutil.copytree(FOLDER, tmp_path / "in"))
    index = json.loads((source / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (source / "model_index.json").write_text(json.dumps(index))
    (source / "safety_checker").mkdir()
    (source / "safety_checker" / "config.json").write_text("{}")
    models.main(["export", str(source), str(tmp_path / "out")])
    told = json.loads((tmp_path / "out" / "model_index.json").read_text())
    assert told["safety_checker"] == [None, None] and told["requires_safety_checker"] is False
    assert not (tmp_path / "out" / "safety_checker").exists()


def test_a_trained_network_is_a_folder_that_is_read_as_itself(tmp_path: Path) -> None:
    network = DiffusersDiT(num_attention_heads=2, attention_head_dim=8, num_layers=1, sample_size=4)
    told = network.example({"in_channels": 4, "num_embeds_ada_norm": 10})
    inputs = jax.tree.map(lambda form: jnp.zeros(form.shape, form.dtype), told)
    params = network.init(jax.random.key(0), *inputs)["params"]
    place = export_network(network, params, 4, tmp_path / "out")
    found = read_part(place)
    equal(found.params, params)
    assert found.module.num_layers == 1 and found.configuration["num_embeds_ada_norm"] == 10
    assert found.configuration["out_channels"] == 4


def test_what_cannot_be_written_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is there already"):
        models.main(["export", str(FOLDER), str(tmp_path)])
    with pytest.raises(UserError, match="takes two paths"):
        models.main(["export", str(FOLDER)])
    with pytest.raises(UserError, match="must be float32 or bfloat16"):
        models.main(["export", str(FOLDER), str(tmp_path / "o"), "--dtype=float8"])
    with pytest.raises(UserError, match="--arm says nothing"):
        models.main(["export", str(FOLDER), str(tmp_path / "o"), "--arm=a"])
    with pytest.raises(UserError, match="UNet is a network of this library"):
        export_network(UNet(), {}, 3, tmp_path / "o")
    with pytest.raises(UserError, match="has no place in safetensors"):
        write_safetensors({"x": np.zeros(2, np.complex128)}, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.np, "ascontiguousarray", fail)
    with pytest.raises(UserError, match="No room on disk"):
        models.main(["export", str(FOLDER), str(tmp_path / "out")])
    assert not list(tmp_path.iterdir())
