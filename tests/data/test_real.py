"""Published sets: from a folder, from the web, and what is said when neither works."""

import contextlib
import dataclasses
import errno
import gzip
import http.server
import importlib.util
import threading

import numpy as np
import pytest

from diffusion_jax.data.example import caption_of
from diffusion_jax.data.sets.real import find, prepare
from diffusion_jax.data.sets.real.published import CIFAR10, FASHION_MNIST, MNIST
from diffusion_jax.data.sets.real.raw import RemoteFile
from diffusion_jax.errors import UserError
from diffusion_jax.networks.tokenizers import Words
from tests.data.raw_files import (
    archive,
    assert_nothing_half_written,
    cifar_files,
    idx_files,
    make,
    remote,
    write,
)


def test_fashion_mnist_from_a_folder(tmp_path):
    manual = write(tmp_path / "raw", idx_files())
    data = make("fashion_mnist", tmp_path, manual)
    assert (len(data.train), len(data.test), data.shape) == (7, 4, (32, 32, 1))
    examples = sorted(data.train.__getitems__(range(7)), key=lambda e: e["label"])
    for k, example in enumerate(examples):
        inside = example["image"][2:-2, 2:-2]
        assert example["label"] == k and (inside == 21 * k).all()
        assert example["image"].sum() == inside.sum()  # the border is black
        assert caption_of(example) == data.prompts[k]
        Words().fit(data.captions).encode(caption_of(example))
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
    assert {caption_of(data.test[i]) for i in range(2)} == {
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
