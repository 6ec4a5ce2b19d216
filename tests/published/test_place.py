"""Tensors reach devices by parts, in the dtype that is asked for, one at a time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffusion_jax.published.names import Names, to_params
from diffusion_jax.published.place import place
from diffusion_jax.published.readers import Tensor, Weights, open_weights
from tests.published.readers.files import as_safetensors

ARRAYS = {
    "kernel": np.arange(8 * 6, dtype=np.float32).reshape(8, 6),
    "bias": np.arange(6, dtype=np.float16),
}


@pytest.fixture
def mesh() -> Mesh:
    return jax.make_mesh((4, 2), ("data", "tensor"), (jax.sharding.AxisType.Auto,) * 2)


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    path = tmp_path / "weights"
    path.write_bytes(as_safetensors(ARRAYS))
    return open_weights(path)


def spread(mesh: Mesh, *axes: str) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(*axes))


def test_every_device_gets_its_part(mesh: Mesh, weights: Weights) -> None:
    sharding = spread(mesh, "tensor", "data")
    like = jax.ShapeDtypeStruct((6, 8), jnp.bfloat16, sharding=sharding)
    placed = place(weights["kernel"].transpose((1, 0)), like)
    assert {shard.data.shape for shard in placed.addressable_shards} == {(3, 2)}
    assert (placed.sharding, placed.dtype) == (sharding, jnp.bfloat16)
    np.testing.assert_array_equal(placed.astype(np.float32), ARRAYS["kernel"].T)


def test_a_network_is_filled_from_a_file(mesh: Mesh, weights: Weights) -> None:
    shapes = {
        "kernel": jax.ShapeDtypeStruct((6, 8), jnp.float32, sharding=spread(mesh, "tensor")),
        "bias": jax.ShapeDtypeStruct((6,), jnp.float32),
    }
    names = Names(renamed=(("weight", "kernel"),))
    params = to_params(shapes, weights, names, jnp.float32, spread(mesh))
    assert len(params["bias"].addressable_shards) == 8
    np.testing.assert_array_equal(params["kernel"], ARRAYS["kernel"].T)
    np.testing.assert_array_equal(params["bias"], ARRAYS["bias"].astype(np.float32))


def test_a_device_reads_no_more_than_its_part(
    mesh: Mesh, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    read = Tensor.read

    def spy(self: Tensor, dtype: Any = None, index: Any = ...) -> np.ndarray:
        found = read(self, dtype, index)
        asked.append(found.shape)
        return found

    monkeypatch.setattr(Tensor, "read", spy)
    for sharding in (spread(mesh, "data", "tensor"), spread(mesh, "data"), spread(mesh)):
        like = jax.ShapeDtypeStruct((8, 6), jnp.float32, sharding=sharding)
        place(weights["kernel"], like)
    # Eight parts; four parts, each for two devices; and the whole for all.
    assert asked == [(2, 3)] * 8 + [(2, 6)] * 4 + [(8, 6)]


def test_what_was_placed_can_be_donated(mesh: Mesh, weights: Weights) -> None:
    for sharding in (None, spread(mesh), spread(mesh, "data")):
        like = jax.ShapeDtypeStruct((8, 6), jnp.float32, sharding=sharding)
        placed = place(weights["kernel"], like)
        doubled = jax.jit(lambda x: 2 * x, donate_argnums=0)(placed)
        np.testing.assert_array_equal(doubled, 2 * ARRAYS["kernel"])
        np.testing.assert_array_equal(place(weights["kernel"], like), ARRAYS["kernel"])


PROGRAM = """
import sys
import tracemalloc
from pathlib import Path
import jax
from diffusion_jax.published.names import to_params
from diffusion_jax.published.place import place
from diffusion_jax.published.readers import open_weights
weights = open_weights(sys.argv[1])
shapes = {name: jax.ShapeDtypeStruct(t.shape, "float32") for name, t in weights.items()}
place(weights["0"], shapes["0"])  # what is imported then, is now
status = lambda key: int(Path("/proc/self/status").read_text().split(key)[1].split()[0]) * 1024
Path("/proc/self/clear_refs").write_text("5")  # the peak begins again from here
before = status("VmRSS:")
tracemalloc.start()
placed = to_params(shapes, weights, dtype="float32")
model = sum(array.nbytes for array in placed.values())
print(status("VmHWM:") - before, tracemalloc.get_traced_memory()[1], model)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="tells no peak of memory")
def test_the_peak_is_the_model_and_little_more(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    count, shape = 64, (1024, 512)
    halves = {str(k): np.full(shape, k, np.float16) for k in range(count)}
    path.write_bytes(as_safetensors(halves))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True
    )
    peak, arrays, model = map(int, done.stdout.split())
    one = 4 * shape[0] * shape[1]
    assert model == count * one
    # What NumPy has at once: arrays that JAX took over as they are, and what is being read.
    assert arrays <= model + 2 * one, f"{arrays / model:.2f} times the model"
    # All that the process has, with what the allocator keeps; the file whole would be half as much.
    assert peak <= 1.4 * model, f"{peak / model:.2f} times the model"
