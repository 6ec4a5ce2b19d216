"""Published sets: from a folder, from the web, and what is said when neither works."""

import contextlib
import dataclasses
import errno
import gzip
import hashlib
import http.server
import importlib.util
import io
import struct
import tarfile
import threading

import numpy as np
import pytest

from diffusion_jax.data.dataset import check_readable, datasets
from diffusion_jax.data.real import cifar, find, prepare
from diffusion_jax.data.real.published import CIFAR10, FASHION_MNIST, MNIST
from diffusion_jax.data.real.raw import RemoteFile
from diffusion_jax.errors import UserError
from tests.data.raw_files import cifar_files, idx_files, write


def make(name, tmp_path, manual_dir=None, **settings):
    folders = {"data_dir": str(tmp_path / "tfds"), "manual_dir": manual_dir and str(manual_dir)}
    listed = ", ".join(f"{name}={value!r}" for name, value in (folders | settings).items())
    return datasets.make(f"{name}({listed})")


def assert_nothing_half_written(tmp_path):
    assert not [p for p in (tmp_path / "tfds").rglob("*") if p.is_file()]


def test_fashion_mnist_from_a_folder(tmp_path):
    manual = write(tmp_path / "raw", idx_files())
    data = make("fashion_mnist", tmp_path, manual)
    assert (len(data.train), len(data.test), data.size, data.channels) == (7, 4, 32, 1)
    examples = sorted(data.train.__getitems__(range(7)), key=lambda e: e["label"])
    for k, example in enumerate(examples):
        inside = example["image"][2:-2, 2:-2]
        assert example["label"] == k and (inside == 21 * k).all()
        assert example["image"].sum() == inside.sum()  # the border is black
        assert example["caption"] == data.prompts[k]
        data.tokenizer.encode(example["caption"])
    assert data.prompts[9] == "a picture of an ankle boot"
    assert data.class_names[9] == "ankle boot"


def test_prepared_once(tmp_path):
    manual = write(tmp_path / "raw", idx_files())
    make("mnist", tmp_path, manual)
    for file in manual.iterdir():
        file.unlink()
    again = make("mnist", tmp_path, size=28)
    assert again.train[0]["image"].shape == (28, 28, 1)


def test_unpacked_files_in_tfds_own_manual_folder(tmp_path):
    unpacked = {n.removesuffix(".gz"): gzip.decompress(c) for n, c in idx_files().items()}
    write(tmp_path / "tfds" / "downloads" / "manual", unpacked)
    assert len(make("mnist", tmp_path).test) == 4


def archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("place", [".", "cifar-10-batches-bin", "archive"])
def test_cifar10_from_a_folder(tmp_path, place):
    files = cifar_files()
    if place == "archive":
        write(tmp_path / "raw", {"cifar-10-binary.tar.gz": archive(files)})
    else:
        write(tmp_path / "raw" / place, files)
    data = make("cifar10", tmp_path, tmp_path / "raw")
    assert (len(data.train), len(data.test)) == (10, 2)
    for index in range(10):
        example = data.train[index]
        red, green, blue = np.moveaxis(example["image"], -1, 0)
        assert (red == red[0, 0]).all() and example["label"] in (red[0, 0] // 10, 9)
        assert (green == np.arange(32)[:, None]).all() and (blue == 7).all()
    assert {data.test[i]["caption"] for i in range(2)} == {
        "a picture of a dog",
        "a picture of a truck",
    }


@contextlib.contextmanager
def web(folder):
    """A web server that offers a folder's files."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def remote(url, files):
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return tuple(RemoteFile(url + n, len(c), sums[n]) for n, c in files.items())


def test_download_through_tfds(tmp_path):
    files = idx_files()
    with web(write(tmp_path / "web", files)) as url:
        raw = dataclasses.replace(MNIST, files=remote(url, files))
        builder = prepare.prepare(raw, tmp_path / "tfds", None)
    images, labels = prepare.load(builder, "train")
    assert (images[:, 5, 5, 0] == 21 * labels).all() and len(images) == 7


def test_altered_downloads_are_refused(tmp_path):
    files = idx_files()
    with web(write(tmp_path / "web", files)) as url:
        raw = dataclasses.replace(MNIST, files=remote(url, files | {next(iter(files)): b"other"}))
        with pytest.raises(UserError, match=r"could not download.*NonMatchingChecksum") as error:
            prepare.prepare(raw, tmp_path / "tfds", None)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "tfds" / "mnist_arrays" / "1.0.0").exists()


def test_no_web(tmp_path):
    with web(write(tmp_path / "web", {})) as url:
        gone = dataclasses.replace(MNIST, files=remote(url, idx_files()))
        with pytest.raises(UserError, match=r"HTTP status 404"):
            prepare.prepare(gone, tmp_path / "tfds", None)
    raw = dataclasses.replace(CIFAR10, files=(RemoteFile("http://127.0.0.1:9/c.tar.gz", 1, ""),))
    with pytest.raises(UserError) as error:
        prepare.prepare(raw, tmp_path / "tfds", None)
    told = str(error.value)
    assert "\n" not in told
    for part in ("c.tar.gz", "downloads/manual", "manual_dir", "127.0.0.1", "data_batch_1.bin"):
        assert part in told
    assert_nothing_half_written(tmp_path)


def test_files_missing_from_the_named_folder(tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz.*not in .*raw.*Debian"):
        make("fashion_mnist", tmp_path, tmp_path / "raw")
    assert_nothing_half_written(tmp_path)


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
        ("t10k-labels-idx1-ubyte.gz", gzip.compress(bytes(10**8), mtime=0), "holds more than 78"),
    ],
)
def test_wrong_files_are_named_and_do_no_harm(tmp_path, name, content, message):
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


def test_another_process_is_faster(tmp_path):
    manual = write(tmp_path / "raw", idx_files())

    def read(paths, split):
        prepare.prepare(MNIST, tmp_path / "tfds", manual)
        return MNIST.read(paths, split)

    builder = prepare.prepare(dataclasses.replace(MNIST, read=read), tmp_path / "tfds", manual)
    assert len(prepare.load(builder, "train")[0]) == 7


@pytest.mark.parametrize("kept", [0, 100])
def test_damaged_prepared_files(tmp_path, kept):
    manual = write(tmp_path / "raw", idx_files())
    make("mnist", tmp_path, manual)
    (file,) = (tmp_path / "tfds").rglob("*train.array_record*")
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"mnist_arrays/1.0.0 is damaged .*Delete that folder"):
        _ = make("mnist", tmp_path, manual).train[0]


def test_data_dir_that_is_a_file(tmp_path):
    manual = write(tmp_path / "raw", idx_files())
    (tmp_path / "tfds").write_text("not a folder")
    with pytest.raises(UserError, match="Cannot prepare mnist in"):
        make("mnist", tmp_path, manual)


def test_no_room(tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    raw = dataclasses.replace(MNIST, read=full)
    manual = write(tmp_path / "raw", idx_files())
    with pytest.raises(UserError, match=r"Cannot prepare mnist in .*No space left"):
        prepare.prepare(raw, tmp_path / "tfds", manual)


def test_sizes_that_borders_cannot_make(tmp_path):
    with pytest.raises(UserError, match=r"size=31.*give 28 or 32"):
        make("mnist", tmp_path, size=31)


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="it is installed")
def test_tensorflow_is_not_needed(tmp_path):
    data = make("mnist", tmp_path, write(tmp_path / "raw", idx_files()))
    assert data.train[0]["image"].shape == (32, 32, 1)


@pytest.mark.needs_data
def test_fashion_mnist_of_debian(tmp_path):
    (folder,) = FASHION_MNIST.folders
    if FASHION_MNIST.locate(folder) is None:
        pytest.skip(f"Debian's package dataset-fashion-mnist is not installed in {folder}")
    paths = find.find(FASHION_MNIST, tmp_path, None)
    images, labels = FASHION_MNIST.read(paths, "test")
    assert images.shape == (10_000, 28, 28, 1)
    assert (np.bincount(labels) == 1000).all()
    # The mean of the published training pixels, 0.2860 of white.
    images, _ = FASHION_MNIST.read(paths, "train")
    assert abs(images.mean() / 255 - 0.2860) < 1e-4
