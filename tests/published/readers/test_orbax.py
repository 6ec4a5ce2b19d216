"""Orbax's folders: steps, items, and what is wrong, means harm or leads elsewhere."""

import json
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from diffusion_jax.published.readers import open_weights
from tests.published.readers.hostile import refused


def described(**changes: Any) -> dict[str, Any]:
    """A description of an array of zarr 2."""
    return {
        "zarr_format": 2,
        "shape": [4],
        "chunks": [4],
        "dtype": "<f4",
        "compressor": None,
        "fill_value": None,
        "order": "C",
        "filters": None,
        "dimension_separator": ".",
        **changes,
    }


def folder_of(place: Path, description: Any, data: bytes | None = bytes(16)) -> Path:
    """A folder of orbax with an array `a`, whatever is said of it."""
    folder = place / "weights"
    (folder / "a").mkdir(parents=True)
    text = description if isinstance(description, str) else json.dumps(description)
    (folder / "a/.zarray").write_text(text)
    if data is not None:
        (folder / "a/0").write_bytes(data)
    (folder / "_METADATA").write_text('{"store_array_data_equal_to_fill_value": true}')
    return folder


def test_the_folder_of_these_tests_is_read(tmp_path: Path) -> None:
    numbers = np.arange(4, dtype=np.float32)
    weights = open_weights(folder_of(tmp_path, described(), numbers.tobytes()))
    assert weights["a"].read().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[1]", "must be a JSON object"),
        ('{"shape": [NaN]}', "NaN, which is no JSON"),
        ('{"shape": [1], "shape": [2]}', "the key 'shape' twice"),
        ('{"shape": ' + "[" * 100_000, "nested too deeply"),
        (described(shape=[-4]), "sizes are whole numbers"),
        (described(shape=4), "sizes are whole numbers"),
        (described(shape=[2**62]), "more than any memory"),
        (described(chunks=[2**40]), "chunks of shape"),
        (described(chunks=[0]), "chunks of shape"),
        (described(chunks=[4, 4]), "chunks of shape"),
        (described(shape=[2**58], chunks=[2**58]), "bytes of memory"),
        (described(dtype="|O"), "dtype '|O'"),
        (described(dtype=[["a", "<f4"]]), "which is not read"),
        (described(filters=[{"id": "pickle"}]), "Cannot read"),
        (described(compressor={"id": "pickle"}), "Cannot read"),
        (described(compressor={"id": "zlib", "level": 1}), "Cannot read"),
        (described(order="os.system"), "Cannot read"),
        (described(shape=[40]), "chunk"),
    ],
)
def test_a_description_that_is_wrong_is_refused(
    tmp_path: Path, description: Any, words: str
) -> None:
    if words == "chunk":  # of ten, one is there
        description, words = described(shape=[40]), "Cannot read"
    refused(folder_of(tmp_path, description), words, read=True)


def test_a_large_chunk_is_refused_though_little_of_it_is_asked_for(tmp_path: Path) -> None:
    weights = open_weights(folder_of(tmp_path, described(shape=[2**50], chunks=[2**50])))
    with pytest.raises(ValueError, match="a chunk needs"):
        weights["a"].read(index=slice(0, 2))


@pytest.mark.parametrize("pieces", [[1], [2**50]])
def test_pieces_of_a_chunk_of_zarr_3_are_bounded(tmp_path: Path, pieces: list[int]) -> None:
    inner = {"chunk_shape": pieces, "codecs": [], "index_codecs": []}
    folder = folder_of(tmp_path, described())
    (folder / "a/.zarray").unlink()
    description = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [2**40],
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**40]}},
        "codecs": [{"name": "sharding_indexed", "configuration": inner}],
    }
    (folder / "a/zarr.json").write_text(json.dumps(description))
    refused(folder, "chunks of")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(2**26), 9)
    folder = folder_of(tmp_path, described(compressor={"id": "zlib", "level": 9}), packed)
    refused(folder, "Cannot read", read=True)


def test_numbers_that_are_missing_are_not_zeros(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, described(), None)
    refused(folder, "Cannot read", read=True)
    # Versions that say nothing of it left out what is zero.
    (folder / "_METADATA").write_text("{}")
    (folder / "a/.zarray").write_text(json.dumps(described(fill_value=0.0)))
    assert open_weights(folder)["a"].read().tolist() == [0] * 4


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    folder = folder_of(tmp_path, described(), None)
    (folder / "a/0").symlink_to(tmp_path / "secret")
    refused(folder, "leads out of")
    (folder / "a/0").unlink()
    (folder / "b").symlink_to("/etc")
    refused(folder, "leads out of")
    (folder / "b").unlink()
    (folder / "_METADATA").unlink()
    (folder / "_METADATA").symlink_to("/etc/passwd")
    refused(folder, "leads out of")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("[]", "must be a JSON object"),
        ('{"tree_metadata": {"a": 3}}', "is damaged"),
        ('{"tree_metadata": {"a": {"key_metadata": [], "value_metadata": 3}}}', "is damaged"),
        (
            '{"tree_metadata": {"a": {"key_metadata": [{"key": []}], "value_metadata": {}}}}',
            "damaged",
        ),
        (
            '{"tree_metadata": {"b": {"key_metadata": [{"key": "../b"}], "value_metadata": {}}}}',
            "no array '../b'",
        ),
    ],
)
def test_what_orbax_says_of_the_tree_must_hold(tmp_path: Path, metadata: str, words: str) -> None:
    folder = folder_of(tmp_path, described())
    (folder / "_METADATA").write_text(metadata)
    refused(folder, words)


def test_a_database_that_is_damaged_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, described())
    for content in (b"", b"\x0c\xdb\x3a\x2a" + bytes(100), b"PK\3\4" * 100):
        (folder / "manifest.ocdbt").write_bytes(content)
        refused(folder, "Cannot read", read=True)


def test_folders_of_the_first_versions_are_refused_by_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, described())
    (folder / "checkpoint").write_bytes(b"\x80")
    refused(folder, "orbax before 0.3")


TREE = {"params": {"dense": {"kernel": np.arange(6.0).reshape(2, 3)}}, "step": 3, "note": "text"}


def test_a_step_of_a_manager_and_its_items(tmp_path: Path) -> None:
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        for step in (5, 10):
            items = ocp.args.Composite(
                state=ocp.args.PyTreeSave(TREE), data=ocp.args.JsonSave({"position": 1})
            )
            manager.save(step, args=items)
        manager.wait_until_finished()
    refused(tmp_path / "run", "has the steps 5, 10: name one")
    weights = open_weights(tmp_path / "run/10")
    assert set(weights) == {"state.params.dense.kernel", "state.step"}
    np.testing.assert_array_equal(
        weights.under("state.params")["dense.kernel"].read(), TREE["params"]["dense"]["kernel"]
    )
    assert weights.metadata["state"]["note"] == "text"


def test_the_only_tree_of_a_step_has_no_name_before_it(tmp_path: Path) -> None:
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        manager.save(1, args=ocp.args.PyTreeSave(TREE))
        manager.wait_until_finished()
    assert set(open_weights(tmp_path / "run/1")) == {"params.dense.kernel", "step"}


def test_an_array_saved_from_several_devices_is_whole(tmp_path: Path) -> None:
    mesh = jax.make_mesh((8,), ("data",), (jax.sharding.AxisType.Auto,))
    array = jax.device_put(
        jnp.arange(64, dtype=jnp.bfloat16).reshape(16, 4),
        NamedSharding(mesh, PartitionSpec("data")),
    )
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "weights", {"a": array})
    read = open_weights(tmp_path / "weights")["a"]
    np.testing.assert_array_equal(read.read(), array, strict=True)
    np.testing.assert_array_equal(read.read("float32", (slice(3, 7), 2)), array[3:7, 2])
