"""Latents of a data set: what is kept, what is drawn, and what becomes of work that was cut off."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import diffusion_jax as dj
from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.latents import LatentCodec, prepare, shards
from diffusion_jax.data.pipeline import batches
from diffusion_jax.data.sets.latents import codec_of, latents
from diffusion_jax.errors import UserError
from diffusion_jax.published.autoencoder import read_autoencoder

MODEL = Path(__file__).parents[1] / "published" / "data" / "stable_diffusion"
COUNT = 37


def pictures(count: int = COUNT, seed: int = 0, channels: int = 3) -> Dataset:
    values = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, channels), np.uint8)
    captions = [[f"picture {k}", f"number {k}"] for k in range(count)]
    return dj.data.arrays(values, captions=captions, labels=np.arange(count) % 2, held_out=0.2)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return pictures()


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "LARGEST_SHARD", 10)


@pytest.fixture(scope="module")
def made(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return latents(data, str(MODEL), str(tmp_path_factory.mktemp("latents")), "float32")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call encodes."""
    counts: list[int] = []
    own = LatentCodec.encode

    def counting(codec: LatentCodec, given: Any) -> Any:
        counts.append(len(given))
        return own(codec, given)

    monkeypatch.setattr(LatentCodec, "encode", counting)
    return counts


def rescale(vae: Path, factor: float) -> None:
    """Multiplies the latents of an autoencoder by another number."""
    config = vae / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"scaling_factor": factor}))


def kept(source: Any, index: int) -> tuple[np.ndarray, np.ndarray]:
    ((_, mean, log_variance),) = source._read([index])
    return mean, log_variance


def test_kept_are_mean_and_log_variance_times_the_models_own_scale(
    data: Dataset, made: Dataset
) -> None:
    """z ~ N(m, s²) makes scale z ~ N(scale m, scale² s²), and the scale is 0.18215 here."""
    part = read_autoencoder(MODEL)
    x = jnp.asarray(data.train[5]["image"][None] / 127.5 - 1, jnp.float32)
    mean, log_variance = part.module.apply({"params": part.params}, x, method="encode")
    found = kept(made.train, 5)
    np.testing.assert_allclose(found[0], 0.18215 * mean[0], atol=1e-6)
    np.testing.assert_allclose(found[1], log_variance[0] + 2 * np.log(0.18215), atol=1e-4)
    shown = part.module.apply({"params": part.params}, mean, method="decode")
    assert np.abs(made.seen(found[0][None]) - np.clip(127.5 * (shown + 1), 0, 255)).max() < 0.51


def test_examples_say_all_but_the_picture(data: Dataset, made: Dataset) -> None:
    assert made.form == "latents of 4×4×4 (pictures of 8×8)" and made.shape == (4, 4, 4)
    assert made.visible is data and len(made.test) == len(data.test)
    for split in ("train", "test"):
        for one, other in zip(getattr(data, split), getattr(made, split), strict=False):
            assert {k: v for k, v in one.items() if k != "image"} == {
                k: v for k, v in other.items() if k != "vector"
            }
    with pytest.raises(IndexError):
        made.train[len(made.train)]


def test_training_draws_from_the_posterior_by_seed_and_position(made: Dataset) -> None:
    def drawn(seed: int, at: int = 0) -> np.ndarray:
        stream = batches(made.train, lambda examples: {}, batch_size=4, seed=seed)
        stream.restore(stream.state() | {"examples": 4 * at})
        return np.stack([next(stream)["x0"] for _ in range(3)])

    first = drawn(0)
    np.testing.assert_array_equal(first[1:], drawn(0, at=1)[:2])
    assert (first != drawn(1)).all()
    mean, log_variance = kept(made.train, 3)
    u = np.random.default_rng(0).random((3000, 2))
    values = np.stack([each["vector"] for each in made.train.drawn([3] * len(u), u)])
    normal = (values - mean) / np.exp(log_variance / 2)
    assert np.abs(normal.mean(axis=0)).max() < 5 / np.sqrt(len(u))
    np.testing.assert_allclose((normal**2).mean(), 1, atol=5 * np.sqrt(2 / normal.size))
    np.testing.assert_allclose((normal**4).mean(), 3, atol=5 * np.sqrt(96 / normal.size))
    flat = normal.reshape(len(u), -1)
    apart = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(apart).max() < 5 / np.sqrt(len(u))


def test_half_precision_rounds_by_one_in_2048(data: Dataset, made: Dataset, tmp_path: Path) -> None:
    half = latents(data, str(MODEL), str(tmp_path), "float16")
    for exact, rounded in zip(kept(made.train, 2), kept(half.train, 2), strict=True):
        assert 0 < np.abs(exact - rounded).max() <= np.abs(exact).max() / 2048


@pytest.mark.usefixtures("small_shards")
def test_what_is_cut_off_goes_on_by_whole_shards(
    data: Dataset, tmp_path: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = latents(data, str(MODEL), str(tmp_path / "a"))
    files = {file.name: file.read_bytes() for file in whole.train.files}
    assert len(files) == 3 and sum(encoded) == COUNT and max(encoded) <= 16
    encoded.clear()
    latents(data, str(MODEL), str(tmp_path / "a"))
    assert encoded == []  # nothing is made again

    class Killed(BaseException):
        pass

    values, own = data.train.values, LatentCodec.encode

    def dying(codec: LatentCodec, given: Any) -> Any:
        if any((each == values[25]).all() for each in given):
            raise Killed
        return own(codec, given)

    with monkeypatch.context() as patch:
        patch.setattr(LatentCodec, "encode", dying)
        with pytest.raises(Killed):
            latents(data, str(MODEL), str(tmp_path / "b"))
    (folder,) = (tmp_path / "b").iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["about.json", *sorted(files)[:2]]
    left = folder / ".train-00002-of-00003.array_record.0.tmp"  # by one that was killed outright
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    encoded.clear()
    again = latents(data, str(MODEL), str(tmp_path / "b"))
    assert sum(encoded) == COUNT - 20 and not left.exists()
    assert {file.name: file.read_bytes() for file in again.train.files} == files
    assert again.train.fingerprint == whole.train.fingerprint


def test_others_pictures_and_weights_are_kept_apart(tmp_path: Path) -> None:
    vae = shutil.copytree(MODEL / "vae", tmp_path / "vae")
    sets = [pictures(12), pictures(12, seed=1), pictures(12)]
    fingerprints = []
    for number, data in enumerate(sets):
        if number == 2:
            rescale(vae, 0.5)
        made = latents(data, str(vae), str(tmp_path / "latents"))
        fingerprints.append(made.train.fingerprint)
    assert len(set(fingerprints)) == len(list((tmp_path / "latents").iterdir())) == 3
    spec = f"latents(data=shapes, autoencoder={str(vae)!r})"
    assert codec_of(spec, fingerprints[2]) is not None
    with pytest.raises(UserError, match="other weights or settings"):
        codec_of(spec, fingerprints[0])
    assert codec_of("shapes", "") is codec_of("my own data", "") is None


def test_sources_without_a_fingerprint_are_known_by_examples() -> None:
    def of(count: int, level: str = "one") -> str:
        return shards.fingerprint_of(datasets.make(f"shapes(count={count}, level='{level}')").train)

    assert of(50) == of(50) and len({of(50), of(51), of(50, "two")}) == 3


def test_a_source_is_read_batch_by_batch(tmp_path: Path) -> None:
    class Lazy:
        """Counts the examples that are alive at once."""

        def __init__(self) -> None:
            self.asked: list[int] = []

        def __len__(self) -> int:
            return 41

        def __getitem__(self, index: int) -> dict[str, Any]:
            return self.__getitems__([index])[0]

        def __getitems__(self, indices: Any) -> list[dict[str, Any]]:
            self.asked.append(len(indices))
            return [{"image": np.full((8, 8, 3), i, np.uint8), "key": i} for i in indices]

    source = Lazy()
    found = latents(Dataset("lazy", source, (8, 8, 3)), str(MODEL), str(tmp_path), batch_size=4)
    looked_at, *batches = source.asked[-12:]
    assert looked_at == 41 and batches == [4] * 10 + [1]
    assert [each["key"] for each in found.train.__getitems__([40, 0])] == [40, 0]


def test_damage_is_told(data: Dataset, tmp_path: Path) -> None:
    found = latents(data, str(MODEL), str(tmp_path))
    (file,) = found.train.files
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(UserError, match="are damaged .*remove that folder"):
        latents(data, str(MODEL), str(tmp_path)).train[0]


@pytest.mark.parametrize(
    ("data", "settings", "match"),
    [
        (datasets.make("ring"), {}, "Latents are of pictures, and .* 'ring' has vectors of 2"),
        (pictures(12, channels=1), {}, "takes pictures of 3 channels, and these have 1"),
        (datasets.make("shapes(size=15, count=9)"), {}, "must be multiples of 2"),
        (pictures(12), {"dtype": "int8"}, "dtype"),
        (pictures(12), {"batch_size": 0}, "batch_size=0"),
        (pictures(12), {"autoencoder": str(MODEL / "unet")}, "no autoencoder"),
        (pictures(12), {"autoencoder": "nowhere"}, "There is no autoencoder in nowhere"),
    ],
)
def test_refusals(data: Dataset, settings: dict[str, Any], match: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=match):
        latents(**{"data": data, "autoencoder": str(MODEL), "folder": str(tmp_path), **settings})
    assert not list(tmp_path.iterdir())


def test_latents_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    vae = shutil.copytree(MODEL / "vae", tmp_path / "vae")
    rescale(vae, 1e9)
    with pytest.raises(UserError, match="not finite numbers of float16, and are so in float32"):
        latents(pictures(12), str(vae), str(tmp_path))
    prepare(pictures(12), LatentCodec(read_autoencoder(vae)), tmp_path, np.dtype("float32"))
