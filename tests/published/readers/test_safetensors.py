"""safetensors that are wrong or mean harm, and dtypes of every kind."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from diffusion_jax.published.readers import open_weights
from tests.published.readers.files import header_and
from tests.published.readers.hostile import refused


def tensor(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def header(**tensors: Any) -> bytes:
    return json.dumps(tensors).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header_and(b"{}", length=2**32), "cut off"),
        (header_and(b"{}", length=2**63), "cut off"),
        (header_and(b"{" * 200_000), "no JSON"),
        (header_and(b'{"a":' + b"[" * 200_000), "nested too deeply"),
        (header_and(b'{"a":[' + b"0," * 3_000_000 + b"0]}"), "more than 2,000,000 values"),
        (header_and(b"{"), "no JSON"),
        (header_and(b'{"a": NaN}'), "NaN, which is no JSON"),
        (header_and(b'{"__metadata__": {"a": -Infinity}}'), "-Infinity"),
        (header_and(b'{"a": ' + b"9" * 10_000 + b"}"), "no JSON"),
        (header_and(b'{"\xff": 1}'), "no JSON"),
        (header_and(b'{"a": {}, "a": {}}'), "the key 'a' twice"),
        (header_and(b'{"a": {"dtype": "F32", "dtype": "F16"}}'), "'dtype' twice"),
        (header_and(b'{"__metadata__": 3}'), "must be a JSON object"),
        (header_and(header(a=[1, 2])), "must be a JSON object"),
        (header_and(header(a={"shape": [1]})), "must have dtype, shape and data_offsets"),
        (header_and(header(a={**tensor(), "code": "os.system"})), "must have dtype"),
        (header_and(header(a=tensor(dtype="O"))), "dtype 'O', which is not read"),
        (header_and(header(a=tensor(dtype=["F32"]))), "which is not read"),
        (header_and(header(a=tensor(shape=[-2])), b"x" * 8), "sizes are whole numbers"),
        (header_and(header(a=tensor(shape=[2.0])), b"x" * 8), "sizes are whole numbers"),
        (header_and(header(a=tensor(shape=[True, 2])), b"x" * 8), "sizes are whole numbers"),
        (header_and(header(a=tensor(shape="2")), b"x" * 8), "sizes are whole numbers"),
        (header_and(header(a=tensor(shape=[1] * 1000)), b"x" * 8), "sizes are whole numbers"),
        (header_and(header(a=tensor(shape=[2**62])), b"x" * 8), "more than any memory"),
        (header_and(header(a=tensor(shape=[2**32, 2**32])), b"x" * 8), "more than any memory"),
        (header_and(header(a=tensor(shape=[0, 2**62])), b"x" * 8), "more than any memory"),
        (header_and(header(a=tensor(offsets=[8, 0])), b"x" * 8), "its shape needs 8 bytes"),
        (header_and(header(a=tensor(offsets=[-8, 0])), b"x" * 8), "needs 8 bytes"),
        (header_and(header(a=tensor(offsets=[0, 8, 16])), b"x" * 8), "needs 8 bytes"),
        (header_and(header(a=tensor(offsets=[0])), b"x" * 8), "needs 8 bytes"),
        (header_and(header(a=tensor(offsets=[2**40, 2**40 + 8])), b"x" * 8), "cut off or damaged"),
        (header_and(header(a=tensor()), b"x" * 7), "cut off or damaged"),
        (header_and(header(a=tensor()), b"x" * 9), "cut off or damaged"),
        (header_and(header(a=tensor(), b=tensor()), b"x" * 8), "overlap"),
        (header_and(header(a=tensor(), b=tensor(offsets=[4, 12])), b"x" * 12), "overlap"),
        (header_and(header(a=tensor(), b=tensor(offsets=[12, 20])), b"x" * 20), "leave a gap"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    refused(path, words)


@pytest.mark.parametrize("depth", [400, 700, 900, 950, 970, 980, 990])
def test_a_value_that_is_nearly_too_deep_is_no_longer_shown(path: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for key in ("dtype", "shape", "data_offsets"):
        entry = json.dumps({**tensor(), key: "DEEP"}).replace('"DEEP"', deep)
        for text in (f'{{"a": {entry}}}', f'{{"a": {deep}}}', f'{{"__metadata__": {deep}}}'):
            path.write_bytes(header_and(text.encode()))
            refused(path)


def test_a_header_longer_than_any_is_not_read(path: Path) -> None:
    with open(path, "wb") as file:
        file.write(header_and(b"{", length=2**32))
        file.truncate(2**33)  # nothing of it takes room on the disk
    refused(path, "a header at most 100,000,000")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("F8_E4M3", ml_dtypes.float8_e4m3fn),
        ("F8_E5M2", ml_dtypes.float8_e5m2),
        ("BF16", ml_dtypes.bfloat16),
        ("F64", np.float64),
        ("C64", np.complex64),
        ("U16", np.uint16),
        ("U64", np.uint64),
        ("I8", np.int8),
        ("I32", np.int32),
    ],
)
def test_every_dtype_is_read(path: Path, name: str, dtype: type) -> None:
    array = np.array([0, 1, 3], dtype)
    entry = tensor([3], [0, array.nbytes], name)
    # Spaces behind the header let the numbers begin where no number of theirs would.
    for spaces in range(3):
        path.write_bytes(header_and(header(a=entry) + b" " * spaces, array.tobytes()))
        read = open_weights(path)["a"].read()
        assert read.dtype == dtype
        np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("second", [0x01, 0x02, 0x05, 0xA0, 0xD9])
def test_the_length_of_a_header_is_never_taken_for_another_format(path: Path, second: int) -> None:
    """As 0x28 is for a pickle of protocol 0, 0x0280 for one of protocol 2, 0xA080 for msgpack."""
    for first in range(256):
        spaces = 256 * second + first - len(header(a=tensor()))
        path.write_bytes(header_and(header(a=tensor()) + b" " * spaces, b"x" * 8))
        assert list(open_weights(path)) == ["a"], hex(256 * second + first)


def test_metadata_are_kept(path: Path) -> None:
    path.write_bytes(header_and(b'{"__metadata__": {"format": "pt"}}'))
    weights = open_weights(path)
    assert (dict(weights.metadata), len(weights)) == ({"format": "pt"}, 0)


def test_a_file_that_says_it_is_small_enough_but_does_not_fit_is_refused(path: Path) -> None:
    size = 2**42
    entry = tensor([size // 4], [0, size])
    content = header_and(header(a=entry))
    with open(path, "wb") as file:
        file.write(content)
        try:
            file.truncate(len(content) + size)
        except OSError:
            pytest.skip("no such files here")
    assert open_weights(path)["a"].read(index=slice(0, 3)).tolist() == [0, 0, 0]
    refused(path, "bytes of memory", read=True)
