"""Tensors, storages and arrays in pickles that cannot be, and archives of PyTorch that lie."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from diffusion_jax.published.readers import open_weights
from tests.published.readers.crafted import (
    call,
    in_legacy,
    in_tar,
    in_zip,
    name,
    plain,
    sizes,
    storage,
    tensor,
    text,
    whole,
    within,
)
from tests.published.readers.hostile import refused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights"


KEYS = ["../../etc/passwd", "/etc/passwd", "__import__('os').system('touch ran')", "0\0", "", "1"]


@pytest.mark.parametrize("key", KEYS)
def test_a_storage_is_looked_up_and_nothing_else(path: Path, key: str) -> None:
    for content in (in_zip(tensor(memory=storage(text(key)))),):
        path.write_bytes(content)
        refused(path, "has no storage of the key", "byte")
    path.write_bytes(in_legacy(tensor(memory=storage(text(key)))))
    refused(path, "is not as the pickle says")
    path.write_bytes(in_tar(tensor(memory=text(key) + b"Q")))
    refused(path, "has no tensor of the key")


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        (tensor(shape=sizes(-4)), "sizes are whole numbers"),
        (tensor(shape=sizes(5)), "leaves its storage of 4 numbers"),
        (tensor(shape=sizes(2**40)), "leaves its storage"),
        (tensor(shape=sizes(2**62)), "more than any memory"),
        (tensor(shape=sizes(*[1] * 40), strides=sizes(*[1] * 40)), "sizes are whole numbers"),
        (tensor(strides=sizes(2)), "leaves its storage"),
        (tensor(strides=sizes(-1)), "its storage, offset or strides are none"),
        (tensor(strides=sizes(1, 1)), "its storage, offset or strides are none"),
        (tensor(offset=whole(1)), "from 1 on leaves its storage"),
        (tensor(offset=whole(-1)), "its storage, offset or strides are none"),
        (tensor(offset=whole(2**63)), "its storage, offset or strides are none"),
        (tensor(offset=b"N"), "its storage, offset or strides are none"),
        (tensor(shape=text("4")), "sizes are whole numbers"),
        (tensor(shape=b"(NNt"), "sizes are whole numbers"),
        (tensor(memory=b"N"), "without a storage"),
        (tensor(shape=sizes(2**30), strides=sizes(0)), "too often to be meant"),
        (tensor(memory=storage(count=whole(-4))), "a storage that is none"),
        (tensor(memory=storage(count=whole(2**62))), "a storage that is none"),
        (tensor(memory=storage(count=b"G" + bytes(8))), "a storage that is none"),
        (tensor(memory=storage(kind=text("torch.FloatStorage"))), "a storage that is none"),
        (tensor(memory=storage(key=b"(K\x00t")), "a storage that is none"),
        (tensor(memory=b"(" + text("file") + text("/etc/passwd") + b"tQ"), "outside of it"),
        (tensor(memory=text("/etc/passwd") + b"Q"), "outside of it"),
        (b"P/etc/passwd\n", "outside of it"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused(path: Path, instructions: bytes, words: str) -> None:
    for file in (in_zip, in_legacy, within):
        path.write_bytes(file(instructions))
        refused(path, words, read=True)


def test_a_storage_that_is_larger_than_its_entry_is_refused(path: Path) -> None:
    path.write_bytes(in_zip(tensor(memory=storage(count=whole(10**9)))))
    refused(path, "has 16 bytes, not 4000000000")
    path.write_bytes(in_legacy(tensor(memory=storage(count=whole(10**9)))))
    refused(path, "is not as the pickle says")


def test_storages_of_a_legacy_file_are_those_that_it_lists(path: Path) -> None:
    for keys in (b"N", b"]" + text("0") + b"a" + text("0") + b"a", b"]]a", b"]"):
        path.write_bytes(in_legacy(tensor(), keys=keys))
        refused(path, "storage", read=True)


def arrays(dtype: str, shape: bytes, count: int, order: str = "<") -> bytes:
    made = call("numpy._core.multiarray", "_reconstruct", name("numpy", "ndarray"), b")", b"C\x01b")
    kind = call("numpy", "dtype", text(dtype), b"\x89", b"\x88")
    kind += b"(K\x03" + text(order) + b"NNN" + whole(-1) + whole(-1) + b"K\x00tb"
    data = b"B" + struct.pack("<I", count) + bytes(count)
    return made + b"(K\x01" + shape + kind + b"\x89" + data + b"tb"


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        (arrays("O8", sizes(2), 16), "pickled objects, which are not read"),
        (arrays("V4", sizes(2), 8), "dtype 'V4'"),
        (arrays("f4", sizes(2), 9), "has 9 bytes"),
        (arrays("f4", sizes(-2), 8), "sizes are whole numbers"),
        (arrays("f4", sizes(2**40), 8), "has 8 bytes"),
        (arrays("f4", sizes(2), 8, order="os.system"), "fields, which are not read"),
    ],
)
def test_an_array_that_cannot_be_is_refused(path: Path, instructions: bytes, words: str) -> None:
    path.write_bytes(plain(b"]" + instructions + b"a"))
    refused(path, words)


def test_an_array_of_numpy_is_read(path: Path) -> None:
    path.write_bytes(plain(arrays("f4", sizes(2, 3), 24)))
    assert open_weights(path)["tensor"].read().tolist() == [[0.0] * 3] * 2


def zipped(*entries: tuple[str, bytes], packed: bool = False) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as out:
        for entry, data in entries:
            out.writestr(entry, data)
    return found.getvalue()


def test_archives_of_pytorch_that_mean_harm(path: Path) -> None:
    good = ("a/data.pkl", plain(tensor()))
    for content, words in (
        (zipped(good, ("a/data/0", bytes(16)), packed=True), "its pickle is packed"),
        (zipped(("a/data.pkl", bytes(2**28)), packed=True), "its pickle is packed"),
        (zipped(good, ("b/data.pkl", plain(b"N"))), "several pickles"),
        (zipped(good, ("../data/0", bytes(16))), "leads out of the archive"),
        (zipped(good, ("a/../../data/0", bytes(16))), "leads out of the archive"),
        (zipped(good, ("/a/data/0", bytes(16))), "leads out of the archive"),
        (zipped(good, ("a/data/0", bytes(16)), ("a/byteorder", b"big")), "other byte order"),
        (zipped(good), "has no storage of the key '0'"),
    ):
        path.write_bytes(content)
        refused(path, words, read=True)


def test_two_tensors_of_one_name_are_refused(path: Path) -> None:
    inner = b"}" + text("b") + tensor() + b"s"
    path.write_bytes(in_zip(b"}" + text("a") + inner + b"s" + text("a.b") + tensor() + b"s"))
    refused(path, "two tensors of the name 'a.b'")
