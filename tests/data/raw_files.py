"""Small files in the formats of MNIST and CIFAR-10, and data sets made from them."""

import gzip
import hashlib
import io
import struct
import tarfile

import numpy as np

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.sets.real.raw import RemoteFile

COUNTS = {"train": 7, "t10k": 4}


def idx(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def idx_files():
    """File name -> content of a tiny MNIST whose picture k of label l is full of 20 l + k."""
    files = {}
    for prefix, count in COUNTS.items():
        labels = (np.arange(count) % 10).astype(np.uint8)
        values = (20 * labels + np.arange(count)).astype(np.uint8)
        images = np.broadcast_to(values[:, None, None], (count, 28, 28))
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels))
    return files


def cifar_files():
    """File name -> content: two pictures a file, of red 10 k, green ramp down, blue 7."""
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]
    ramp = np.repeat(np.arange(32, dtype=np.uint8), 32)
    files = {}
    for k, name in enumerate(names):
        planes = np.concatenate([np.full(1024, 10 * k, np.uint8), ramp, np.full(1024, 7, np.uint8)])
        records = [np.concatenate([[np.uint8(label)], planes]) for label in (k, 9)]
        files[name] = np.concatenate(records).tobytes()
    return files


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def make(name, tmp_path, manual_dir=None, **settings):
    folders = {"data_dir": str(tmp_path / "tfds"), "manual_dir": manual_dir and str(manual_dir)}
    listed = ", ".join(f"{name}={value!r}" for name, value in (folders | settings).items())
    return datasets.make(f"{name}({listed})")


def assert_nothing_half_written(tmp_path):
    assert not [p for p in (tmp_path / "tfds").rglob("*") if p.is_file()]


def archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def remote(url, files):
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return tuple(RemoteFile(url + n, len(c), sums[n]) for n, c in files.items())
