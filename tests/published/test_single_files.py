"""Models in one file: the tensors that diffusers makes of them, and the models that they are."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.inspection import inspect_model
from diffusion_jax.published.layouts import single_file
from diffusion_jax.published.layouts.origin import Layout
from diffusion_jax.published.layouts.single_file import read_single_file
from diffusion_jax.published.model import released
from diffusion_jax.published.names import names_of, parameter_names, to_tensors
from diffusion_jax.published.parts import read_part
from diffusion_jax.published.readers.tensor import Tensor
from tests.published.single_files import CASES, in_one_file, module_of

DATA = Path(__file__).parent / "data"
RECORDED = json.loads((DATA / "single_files.json").read_text())
SD, XL = DATA / "stable_diffusion", DATA / "stable_diffusion_xl"
PREFIXES = {
    SD: {
        "unet": "model.diffusion_model",
        "vae": "first_stage_model",
        "text_encoder": "cond_stage_model.transformer",
    },
    XL: {
        "unet": "model.diffusion_model",
        "vae": "first_stage_model",
        "text_encoder": "conditioner.embedders.0.transformer",
        "text_encoder_2": "conditioner.embedders.1.model",
    },
}


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_is_where_diffusers_finds_it(case: str) -> None:
    layout, recorded = CASES[case][0], RECORDED[case]
    module, shapes = module_of(case)
    names = parameter_names(shapes, names_of(module))
    assert set(names) <= set(recorded)
    for name in names:
        origin, (of, rows) = layout(name, module), recorded[name]
        assert origin.name == of, name
        count = sum(stop - start for start, stop in rows)
        tensor = Tensor(of, "file", (10**6,), np.dtype(np.int64), lambda r: np.arange(10**6)[r])
        if origin.rows:
            found = origin.of(tensor, 1)[...]
            found = found[:count]
        else:
            whole = Tensor(of, "file", (count,), np.dtype(np.int64), lambda r: np.arange(10**6)[r])
            found = (type(origin)(of, swapped=origin.swapped)).of(whole, 1)[...]
        expected = np.concatenate([np.arange(start, stop) for start, stop in rows])
        np.testing.assert_array_equal(found, expected, err_msg=name)


def write(folder: Path, path: Path, **more: np.ndarray) -> Path:
    """The parts of a folder in one file, as the model's authors would have them."""
    tensors: dict[str, np.ndarray] = dict(more)
    for name, prefix in PREFIXES[folder].items():
        part = read_part(folder / name)
        held = to_tensors(part.params, names_of(part.module))
        layout = layout_of(name, part.module, prefix)
        if layout is not None:
            held = in_one_file(layout, part.module, held)
        if name == "vae":  # dense layers of diffusers are convolutions there
            held = {
                k: v[:, :, None, None] if ".attn_1." in k and v.ndim == 2 else v
                for k, v in held.items()
            }
        tensors |= {f"{prefix}.{k}": v for k, v in held.items()}
    np.savez(path, **tensors)
    return path


def layout_of(name: str, module: Any, prefix: str) -> Layout | None:
    places = [
        place
        for kind, part, found in single_file.PLACES
        for place in found
        if part == name and isinstance(module, kind) and place.prefix == prefix
    ]
    return places[0].layout


LEFT_BY_TRAINING = {
    "model_ema.decay": np.ones(()),
    "alphas_cumprod": np.ones(10),
    "betas": np.ones(10),
}


@pytest.mark.parametrize("folder", [SD, XL], ids=lambda folder: folder.name)
def test_parts_of_one_file_are_those_of_the_folder(folder: Path, tmp_path: Path) -> None:
    path = write(folder, tmp_path / "model.npz", **LEFT_BY_TRAINING)
    parts = read_single_file(path, folder, PREFIXES[folder])
    for name in PREFIXES[folder]:
        original = read_part(folder / name)
        assert parts[name].module == original.module
        jax.tree.map(np.testing.assert_array_equal, parts[name].params, original.params)


def test_a_model_in_one_file_draws_as_the_folder_does(tmp_path: Path) -> None:
    path = write(SD, tmp_path / "model.npz")
    one, other = released(path, like=SD), released(SD)
    drawn = [model.sample(["a dog"], jax.random.key(0), steps=2) for model in (one, other)]
    np.testing.assert_array_equal(*drawn)
    with pytest.raises(UserError, match="not by both"):
        released(path, like=SD, card="stable-diffusion-1.5")


def test_a_part_that_the_file_lacks_is_the_folder_s(tmp_path: Path) -> None:
    path = write(SD, tmp_path / "whole.npz")
    with np.load(path) as stored:
        kept = {k: v for k, v in stored.items() if not k.startswith("cond_stage_model")}
    np.savez(tmp_path / "model.npz", **kept)
    parts = read_single_file(tmp_path / "model.npz", SD, PREFIXES[SD])
    own = read_part(SD / "text_encoder").params
    jax.tree.map(np.testing.assert_array_equal, parts["text_encoder"].params, own)


def test_another_model_is_refused_in_a_line(tmp_path: Path) -> None:
    path = write(SD, tmp_path / "model.npz", **{"control_model.x": np.ones(1)})
    with pytest.raises(UserError, match=r"1 tensors that no part .* such as 'control_model.x'"):
        read_single_file(path, SD, PREFIXES[SD])
    with pytest.raises(UserError, match=r"has no tensor '.*', which is .* another model"):
        read_single_file(path, XL, PREFIXES[XL])
    np.savez(tmp_path / "other.npz", x=np.ones(1))
    with pytest.raises(UserError, match="has no part of the model in"):
        read_single_file(tmp_path / "other.npz", SD, PREFIXES[SD])


def test_a_file_is_described_by_the_folder_that_it_is_like(tmp_path: Path) -> None:
    path = write(XL, tmp_path / "model.npz", **LEFT_BY_TRAINING)
    report = inspect_model(path, like=XL)
    assert report.is_whole and report.kind == "StableDiffusionXLPipeline"
    counts = {part.name: part.parameters for part in inspect_model(XL).parts}
    assert {part.name: part.parameters for part in report.parts} == counts
    path = write(XL, tmp_path / "other.npz", **{"control_model.x": np.ones(1)})
    assert "'control_model.x'" in inspect_model(path, like=XL).faults[0]
    assert "another model" in inspect_model(path, like=SD).faults[0]
