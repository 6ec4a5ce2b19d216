"""Raw files that are damaged or wrong are named, and change no picture unseen."""

import dataclasses
import gzip
import io
import struct
import tarfile

import numpy as np
import pytest

from diffusion_jax.data.dataset import check_readable
from diffusion_jax.data.sets.real import cifar, prepare
from diffusion_jax.data.sets.real import idx as mnist_files
from diffusion_jax.data.sets.real.published import CIFAR10, MNIST
from diffusion_jax.errors import UserError
from tests.data.raw_files import (
    archive,
    assert_nothing_half_written,
    cifar_files,
    idx_files,
    make,
    remote,
    write,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:40], r"Cannot read .*train-images.*(end|cut)"),
        (lambda content: b"", r"Cannot read .*train-images.*"),
        (lambda content: gzip.compress(gzip.decompress(content)[:-1]), "not a whole IDX file"),
        (lambda content: gzip.compress(b"\0\0\x0d\1" + bytes(8)), "not a whole IDX file"),
        (lambda content: idx_files()["t10k-images-idx3-ubyte.gz"], r"\(4, 28, 28\).*\(7,\)"),
    ],
)
def test_damaged_idx_files(tmp_path, change, message):
    files = idx_files()
    files["train-images-idx3-ubyte.gz"] = change(files["train-images-idx3-ubyte.gz"])
    manual = write(tmp_path / "raw", files)
    with pytest.raises(UserError, match=message) as error:
        make("mnist", tmp_path, manual)
    assert "\n" not in str(error.value)
    assert_nothing_half_written(tmp_path)


def test_damaged_cifar_files(tmp_path):
    files = cifar_files()
    short = write(tmp_path / "short", files | {"data_batch_3.bin": files["data_batch_3.bin"][:-1]})
    with pytest.raises(UserError, match=r"data_batch_3.bin has 6145 bytes, not a multiple of 3073"):
        make("cifar10", tmp_path, short)
    labels = write(tmp_path / "labels", files | {"test_batch.bin": b"\xff" * 3073})
    with pytest.raises(UserError, match="labels above 9"):
        make("cifar10", tmp_path, labels)
    broken = write(tmp_path / "broken", {"cifar-10-binary.tar.gz": archive(files)[:300]})
    with pytest.raises(UserError, match=r"Cannot read .*cifar-10-binary.tar.gz"):
        make("cifar10", tmp_path, broken)
    assert_nothing_half_written(tmp_path)


def idx(array):
    """An array of bytes as an IDX file, packed."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.astype(np.uint8).tobytes(), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte.gz", idx(np.full(7, 200)), "labels above 9, such as 200"),
        ("train-images-idx3-ubyte.gz", idx(np.zeros((7, 27, 27))), r"shape \(27, 27, 1\), not"),
        ("train-images-idx3-ubyte.gz", idx(np.zeros((7,) + 2 * (1,))), r"shape \(1, 1, 1\), not"),
        (
            "train-images-idx3-ubyte.gz",
            gzip.compress(struct.pack(">HBB70I", 0, 8, 70, *70 * [1]) + b"0", mtime=0),
            "not a whole IDX",
        ),
        (
            "train-images-idx3-ubyte.gz",
            gzip.compress(b"\0\0\x08\0" + b"0", mtime=0),
            "not a whole IDX",
        ),
        ("t10k-labels-idx1-ubyte.gz", gzip.compress(bytes(10**6), mtime=0), "holds more than 10"),
    ],
)
def test_wrong_files_are_named_and_do_no_harm(tmp_path, monkeypatch, name, content, message):
    monkeypatch.setattr(mnist_files, "MOST", 10**5)
    wrong = write(tmp_path / "wrong", idx_files() | {name: content})
    with pytest.raises(UserError, match=message) as error:
        make("mnist", tmp_path, wrong)
    assert "\n" not in str(error.value)
    assert_nothing_half_written(tmp_path)
    assert len(make("mnist", tmp_path, write(tmp_path / "right", idx_files())).train) == 7


def test_files_without_pictures(tmp_path):
    empty = {"train-images-idx3-ubyte.gz": idx(np.zeros((0, 28, 28)))}
    empty["train-labels-idx1-ubyte.gz"] = idx(np.zeros(0))
    with pytest.raises(UserError, match="there are no pictures"):
        make("mnist", tmp_path, write(tmp_path / "raw", idx_files() | empty))
    assert_nothing_half_written(tmp_path)


def tarred(*members):
    """An archive of members, each (name, its settings, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name, settings, content in members:
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            for key, value in settings.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


LINKED = {"type": tarfile.SYMTYPE, "linkname": "data_batch_1.bin"}
HARD = {"type": tarfile.LNKTYPE, "linkname": "cifar-10-batches-bin/data_batch_1.bin"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tarred(("data_batch_1.bin", LINKED, b"")), "data_batch_1.bin is not a plain file"),
        (tarred(("data_batch_1.bin", HARD, b"")), "data_batch_1.bin is not a plain file"),
        (tarred(("data_batch_1.bin", {"type": tarfile.DIRTYPE}, b"")), "is not a plain file"),
        (tarred(("readme.html", {}, b"hello")), "data_batch_1.bin' not found"),
        (gzip.compress(bytes(10**6 + 1), mtime=0), "holds more than 1,000,000"),
        (b"no archive", "Cannot read"),
        (b"", "Cannot read"),
    ],
)
def test_wrong_archives_are_named(tmp_path, monkeypatch, content, message):
    monkeypatch.setattr(cifar, "MOST", 10**6)
    with pytest.raises(UserError, match=message) as error:
        make("cifar10", tmp_path, write(tmp_path / "raw", {"cifar-10-binary.tar.gz": content}))
    assert "\n" not in str(error.value)
    assert_nothing_half_written(tmp_path)


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_flipped_bit_of_an_archive_changes_a_picture(tmp_path):
    whole = archive(cifar_files())
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(whole)
    images, labels = CIFAR10.read({path.name: path}, "train")
    rng, told = np.random.default_rng(0), 0
    for bit in rng.integers(0, 8 * len(whole), 60):
        path.write_bytes(flipped(whole, int(bit)))
        try:
            other = CIFAR10.read({path.name: path}, "train")
        except UserError:
            told += 1
            continue
        assert (other[0] == images).all() and (other[1] == labels).all()
    assert told > 50


def test_a_published_file_has_the_published_content(tmp_path):
    files = {name: gzip.decompress(content) for name, content in idx_files().items()}
    raw = dataclasses.replace(MNIST, files=remote("http://127.0.0.1:9/", files))
    manual = write(tmp_path / "raw", files)
    assert len(prepare.prepare(raw, tmp_path / "tfds", manual).info.splits) == 2
    name = "train-images-idx3-ubyte.gz"
    write(manual, {name: flipped(files[name], 8 * 100)})
    with pytest.raises(UserError, match=rf"{name} is damaged: .*Fetch it again"):
        prepare.prepare(raw, tmp_path / "tfds", manual)


def test_other_raw_files_are_prepared_anew(tmp_path):
    files = idx_files()
    manual = write(tmp_path / "raw", files)
    before = make("mnist", tmp_path, manual, size=28).train.__getitems__(range(7))
    name = "train-images-idx3-ubyte.gz"
    other = gzip.decompress(files[name])
    write(manual, {name: gzip.compress(other[:16] + bytes(255 - b for b in other[16:]))})
    after = make("mnist", tmp_path, manual, size=28).train.__getitems__(range(7))
    # In the same order, which depends on the indices.
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old["image"], 255 - new["image"])
    assert [path.name for path in (tmp_path / "tfds").iterdir() if path.name[0] == "."] == []
    write(manual, {name: b"damaged"})
    with pytest.raises(UserError, match="Cannot read"):
        make("mnist", tmp_path, manual)
    assert (make("mnist", tmp_path, size=28).train[0]["image"] == after[0]["image"]).all()


def test_an_older_set_that_cannot_be_written_to_is_used_if_it_is_of_the_same_files(
    tmp_path, monkeypatch
):
    manual = write(tmp_path / "raw", idx_files())
    make("mnist", tmp_path, manual)
    (tmp_path / "tfds" / "mnist_arrays" / "1.0.0" / "record.json").unlink()

    def refuse(*arguments, **settings):
        raise PermissionError(13, "Read-only file system")

    monkeypatch.setattr(prepare.tempfile, "TemporaryDirectory", refuse)
    assert len(make("mnist", tmp_path, manual).train) == 7
    images = gzip.decompress(idx_files()["train-images-idx3-ubyte.gz"])
    write(manual, {"train-images-idx3-ubyte.gz": images[:-1] + b"\7"})
    with pytest.raises(UserError, match="Cannot prepare mnist .*Read-only"):
        make("mnist", tmp_path, manual)


def test_files_of_more_pictures_than_mnist_has(tmp_path):
    """EMNIST's digits are 240,000 to train on."""
    content = struct.pack(">HBB3I", 0, 8, 3, 240_000, 28, 28) + bytes(240_000 * 28**2)
    (tmp_path / "images").write_bytes(gzip.compress(content, 1))
    assert mnist_files.read_idx(tmp_path / "images").shape == (240_000, 28, 28)


def test_no_flipped_bit_of_a_prepared_set_passes(tmp_path):
    manual = write(tmp_path / "raw", idx_files())
    make("mnist", tmp_path, manual)
    files = [path for path in (tmp_path / "tfds" / "mnist_arrays").rglob("*") if path.is_file()]
    assert len(files) > 3
    rng = np.random.default_rng(0)
    for path in files:
        whole = path.read_bytes()
        for bit in rng.integers(0, 8 * len(whole), 3):
            path.write_bytes(flipped(whole, int(bit)))
            with pytest.raises(UserError, match=r"1\.0\.0 is damaged .*Delete that folder"):
                check_readable(make("mnist", tmp_path))
        path.write_bytes(whole)
    assert len(make("mnist", tmp_path).train) == 7
