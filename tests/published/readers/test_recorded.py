"""Files that PyTorch, Lightning and NVIDIA's way of pickling made, see `tests/published/record`."""

import math
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from diffusion_jax.published.readers import Weights, open_weights
from tests.published.readers.files import DATA

BASE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
VIEWS = {
    "base": BASE,
    "turned": BASE.transpose(2, 1, 0),
    "part": BASE[1, :, 1:3],
    "steps": BASE.ravel()[1::5],
    "one": BASE[1, 2, 3],
    "repeated": np.ones((4, 5), np.float32),
    "parameter": np.ones(2, np.float32),
    "nothing": np.zeros((3, 0), np.float32),
    "float8_e4m3fn": np.arange(3).astype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.arange(3).astype(ml_dtypes.float8_e5m2),
    "complex64": np.array([1 + 2j], np.complex64),
    "uint16": np.array([1, 65535], np.uint16),
    "array": np.arange(6.0).reshape(2, 3).T,
}


@pytest.mark.parametrize("name", ["views.pt", "views_legacy.pt"])
def test_views_of_shared_storages(name: str) -> None:
    weights = open_weights(DATA / name)
    assert list(weights) == list(VIEWS)
    for key, array in VIEWS.items():
        np.testing.assert_array_equal(weights[key].read(), array, strict=True)
        if array.ndim:
            np.testing.assert_array_equal(weights[key].read(index=slice(1, None)), array[1:])
        if array.ndim > 1:
            part = (slice(None), slice(1, 2))
            np.testing.assert_array_equal(weights[key].read(index=part), array[part])


def test_what_is_no_tensor_is_metadata() -> None:
    assert open_weights(DATA / "views.pt").metadata == {
        "settings": {"step": 3, "lr": 1e-4, "betas": [0.9, 0.999], "dtype": "bfloat16"},
        "scalar": 2.5,
        "device": "cpu",
        "size": [2, 3, 4],
        "names": ["a", "b"],
    }


def read(weights: Weights) -> dict[str, list[float]]:
    return {name: tensor.read("float32").ravel().tolist() for name, tensor in weights.items()}


def test_a_persistent_network_is_read_and_its_source_is_not_run() -> None:
    modules = set(sys.modules)
    weights = open_weights(DATA / "persistent.pkl")
    assert weights["ema.model.enc.8x8_conv.weight"].dtype == np.float16
    assert read(weights.under("ema")) == {
        "model.enc.8x8_conv.weight": [0, 1, 2, 3, 4, 5],
        "model.enc.8x8_block0.weight": [0, 1, 2],
        "model.filter": [0.25] * 4,
    }
    assert read(weights.under("encoder")) == {
        "scale": [np.float32(0.5) / np.float32(4.17), np.float32(0.5) / np.float32(4.62)]
    }
    metadata = weights.under("ema").metadata
    assert metadata["__class__"] == "Precond"
    assert metadata["_init_args"] == [8, math.inf]
    assert metadata["_init_kwargs"] == {"label_dim": 0, "options": {"mult": [1, 2]}}
    assert metadata["model"]["enc"]["8x8_conv"]["bias"] is None
    assert weights.metadata["dataset_kwargs"] == {"path": "x.zip"}
    assert "SystemExit" not in str(weights.metadata)
    assert set(sys.modules) == modules


@pytest.mark.parametrize("name", ["module.pt", "script.pt"])
def test_a_module_that_was_saved_whole_is_its_parameters(name: str) -> None:
    weights = open_weights(DATA / name)
    assert read(weights) == {"0.weight": [0, 1, 2, 3, 4, 5], "0.bias": [0, 1, 2]}
    assert weights.metadata["1"]["__class__"].endswith("torch.nn.modules.activation.ReLU")


def test_a_checkpoint_of_lightning() -> None:
    weights = open_weights(DATA / "lightning.ckpt")
    assert {n: t.shape for n, t in weights.under("state_dict").items()} == {
        "layer.weight": (1, 2),
        "layer.bias": (1,),
    }
    # One step of Adam on a gradient of ones.
    assert read(weights)["optimizer_states.0.state.0.exp_avg"] == pytest.approx([0.1, 0.1])
    settings = {"config": {"unet": {"channels": [1, 2], "name": "small"}, "scale": 0.18}}
    assert weights.metadata["hyper_parameters"] == {**settings, "width": 2}
    assert weights.metadata["global_step"] == 1


def test_recorded_files_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in Path(DATA).iterdir()}
    assert max(sizes.values()) <= 20_000
    assert sum(sizes.values()) <= 100_000
