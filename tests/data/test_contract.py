"""What every data set promises the rest of the library."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import caption_of
from diffusion_jax.data.pipeline import batches
from diffusion_jax.data.sets.emoji import assemble
from diffusion_jax.networks.tokenizers import Words
from tests.data.emoji_packages import write_packages
from tests.data.raw_files import cifar_files, idx_files, write
from tests.data.record_files import FORMATS


def folder_files(path):
    entries = [{"file_name": f"{k}.png", "text": f"picture number {k}"} for k in range(20)]
    for number, entry in enumerate(entries):
        Image.new("RGB", (9, 9), (12 * number, 0, 0)).save(path / entry["file_name"])
    (path / "metadata.jsonl").write_text("\n".join(map(json.dumps, entries)))


AUTOENCODER = Path(__file__).parents[1] / "published" / "data" / "stable_diffusion" / "vae"
DOWNLOADED = ("cifar10", "fashion_mnist", "mnist")


def make(name, path):
    """The data set of a name, over a few files where it needs some."""
    if name == "folder":
        folder_files(path)
        return datasets.make(f"folder(path={str(path)!r}, held_out=0.3)")
    if name == "npz":
        x0 = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), np.uint8)
        captions = np.array([f"picture number {k}" for k in range(40)])
        np.savez(path / "x.npz", x0=x0, captions=captions, labels=np.arange(40) % 2)
        return datasets.make(f"npz(path={str(path / 'x.npz')!r}, held_out=0.3)")
    if name == "tfds":  # what another member has prepared
        make("mnist", path)
        return datasets.make(f"tfds(name='mnist_arrays', data_dir={str(path)!r})")
    if name == "emoji":
        write_packages(path)
        assemble(path, path)
        return datasets.make(f"emoji(path={str(path)!r}, size=8)")
    if name == "latents":
        inner = "shapes(size=12, count=60, test_count=60)"
        kept = f"folder={str(path)!r}, dtype='float32'"
        return datasets.make(f"latents(data={inner}, autoencoder={str(AUTOENCODER)!r}, {kept})")
    if name in FORMATS:
        return datasets.make(FORMATS[name](path))
    if name not in DOWNLOADED:
        return datasets.make(name)
    files = cifar_files() if name == "cifar10" else idx_files()
    raw = str(write(path / "raw", files))
    return datasets.make(f"{name}(data_dir={str(path)!r}, manual_dir={raw!r})")


# Other tests may have registered sets of their own by now.
OURS = [name for name in datasets if datasets[name].__module__.startswith("diffusion_jax.")]


@pytest.mark.parametrize("name", OURS)
def test_contract(name, tmp_path):
    data = make(name, tmp_path)
    assert data.name == name
    words = Words().fit(data.captions)
    assert data.num_classes == len(set(data.class_names))
    assert data.visible.has_pictures == (len(data.visible.shape) == 3)
    assert data.has_pictures == (data.visible is data and len(data.shape) == 3)
    kind, dtype = ("image", np.uint8) if data.has_pictures else ("vector", np.float32)
    train = [data.train[i] for i in range(min(50, len(data.train)))]
    test = [data.test[i] for i in range(min(50, len(data.test)))]
    for example in train + test:
        assert example[kind].shape == data.shape and example[kind].dtype == dtype
        assert (0 if data.num_classes else -1) <= example["label"] < max(data.num_classes, 0.5)
        assert isinstance(example["captions"], tuple)
        assert words.encode(caption_of(example)).any() == bool(example["captions"])
    for side in (train, test):
        assert len({example["key"] for example in side}) == len(side)
    assert bool(data.prompts) == bool(tuple(data.captions)) == bool(train[0]["captions"])
    for caption in (*data.prompts, *data.held_out_captions):
        assert words.encode(caption).any()
    if data.held_out_captions:
        assert {caption_of(e) for e in test} <= set(data.held_out_captions)
        assert not {caption_of(e) for e in train} & set(data.held_out_captions)
    if data.check:
        shown = np.stack([data.visible.test[i]["image"] for i in range(len(test))])
        right = data.check(shown, [caption_of(e) for e in test])
        assert right["all"].shape == (len(test),) and right["all"].mean() >= 0.98
    batch = next(batches(data.train, lambda examples: {}, batch_size=2, seed=0))
    assert batch["x0"].shape == (2, *data.shape) and batch["x0"].dtype == np.float32
    limit = 1 if data.has_pictures else 1.5 if data.visible is data else 5
    assert -limit <= batch["x0"].min() <= batch["x0"].max() <= limit
