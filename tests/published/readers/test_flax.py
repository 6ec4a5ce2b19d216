"""Flax's files: arrays in pieces, and what is wrong or means harm."""

from pathlib import Path
from typing import Any

import flax.serialization
import msgpack
import numpy as np
import pytest

from diffusion_jax.published.readers import open_weights
from tests.published.readers.hostile import refused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def array(shape: Any = (2,), dtype: Any = "float32", data: bytes = bytes(8), code: int = 1) -> Any:
    return msgpack.ExtType(code, msgpack.packb((shape, dtype, data), use_bin_type=True))


def test_an_array_in_pieces_is_put_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 20)
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    path.write_bytes(flax.serialization.to_bytes({"params": {"kernel": whole}, "step": 3}))
    weights = open_weights(path)
    assert list(weights) == ["params.kernel"]
    np.testing.assert_array_equal(weights["params.kernel"].read(), whole)
    part = (slice(1, 3), slice(2, 5))
    np.testing.assert_array_equal(weights["params.kernel"].read(index=part), whole[part])
    assert weights.metadata == {"step": 3}


def test_what_is_no_array_is_metadata(path: Path) -> None:
    content = {
        "numbers": [1, -1, 200, -200, 70_000, -70_000, 2**40, -(2**40), 0.5, True, None],
        "words": {"a": "b" * 40, "long": "c" * 300},
        "complex": 1 + 2j,
        "scalar": np.float16(1.5),
        "list": [np.ones(2, np.float32), "text"],
    }
    path.write_bytes(flax.serialization.msgpack_serialize(content))
    weights = open_weights(path)
    assert {name: tensor.read().tolist() for name, tensor in weights.items()} == {
        "scalar": 1.5,
        "list.0": [1, 1],
    }
    assert weights.metadata["numbers"] == content["numbers"]
    assert weights.metadata["words"] == content["words"]
    assert weights.metadata["list"] == ["text"]


NESTED = b"\x81\xa1a" + b"\x91" * 100_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x81\xa1a", "cut off"),
        (b"\x82\xa1a\xc0", "cut off"),
        (b"\x81\xa1a\xdf\xff\xff\xff\xff", "cut off"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "cut off"),
        (b"\x81\xa1a\xdb\xff\xff\xff\xff", "a text of 4,294,967,295 bytes"),
        (b"\x81\xa1a\xc6\xff\xff\xff\xff", "cut off"),
        (b"\x81\xa1a\xc9\xff\xff\xff\xff\x01", "cut off"),
        (b"\x81\xa1a\xc1", "no MessagePack"),
        (b"\x81\xa1a\xa1\xff", "a text that is none"),
        (b"\x81\xa1a\xc0\xc0", "something follows its end"),
        (b"\x82\xa1a\xc0\xa1a\xc0", "the key 'a' twice"),
        (b"\x82\xa11\xc0\x01\xc0", "the key 1 twice"),
        (b"\x82\xa1a\xc0\x90\xc0", "a map with the key a list"),
        (NESTED, "nests them too deeply"),
        (b"\x81\xa1a" + b"\x81\xa1a" * 100_000, "nests them too deeply"),
        (msgpack.packb({"a": msgpack.ExtType(42, b"x")}), "an extension 42"),
        (msgpack.packb({"a": msgpack.ExtType(1, b"\xc0")}), "an array that is damaged"),
        (msgpack.packb({"a": msgpack.ExtType(1, b"\x93\xc0")}), "cut off"),
        (msgpack.packb({"a": msgpack.ExtType(2, b"\x90")}), "a complex number that is none"),
        (msgpack.packb({"a": array(shape=(-2,))}), "sizes are whole numbers"),
        (msgpack.packb({"a": array(shape=(2**62,))}), "more than any memory"),
        (msgpack.packb({"a": array(shape=(2**32,))}), "has 8 bytes"),
        (msgpack.packb({"a": array(shape=(3,))}), "has 8 bytes"),
        (msgpack.packb({"a": array(shape="2")}), "sizes are whole numbers"),
        (msgpack.packb({"a": array(dtype="object")}), "dtype 'object', which is not read"),
        (msgpack.packb({"a": array(dtype=b"O")}), "dtype 'O', which is not read"),
        (msgpack.packb({"a": array(dtype="__import__('os')")}), "which is not read"),
        (msgpack.packb({"a": {"__msgpack_chunked_array__": True}}), "in pieces that are none"),
        (
            msgpack.packb(
                {
                    "a": {
                        "__msgpack_chunked_array__": True,
                        "shape": {"0": 2**40},
                        "chunks": {"0": array()},
                    }
                }
            ),
            "lies in pieces that are not it",
        ),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    refused(path, words)


def test_names_are_joined_as_elsewhere(path: Path) -> None:
    path.write_bytes(flax.serialization.to_bytes({"a": {"b": np.ones(1)}, "a.b": np.ones(1)}))
    refused(path, "two tensors of the name 'a.b'")
