"""What CLIP and DINOv2 see of samples is what transformers gave for the same pictures and words."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import take
from diffusion_jax.errors import UserError
from diffusion_jax.metrics import measure, metrics, quality
from diffusion_jax.metrics.features import feature_maps
from diffusion_jax.metrics.features.released import in_colours
from diffusion_jax.metrics.measurement import NotMeasured
from diffusion_jax.metrics.real import Real

DATA = Path(__file__).parents[1] / "published" / "data"
CLIP, DINO = DATA / "clip", DATA / "dinov2"


@pytest.fixture(scope="module")
def real() -> Real:
    return Real(datasets.make("shapes(size=12, count=300, test_count=200)"), 40)


def recorded(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "recorded.npz") as stored:
        return dict(stored)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def test_clip_score_is_the_formula_on_the_originals_features(real: Real) -> None:
    told = recorded(CLIP)
    prompts = told["prompts"].tolist()
    # Pictures of one size are needed: two copies of the first, with two captions.
    pictures = np.stack([told["picture0"]] * 2)
    expected = [100 * max(cosine(told["pictures"][0], told["text"][k]), 0) for k in (0, 1)]
    found = metrics.make(f"clip_score(path={str(CLIP)!r})")(pictures, prompts[:2], real)
    assert found.value == pytest.approx(np.mean(expected), abs=1e-3)
    assert found.count == 2
    np.testing.assert_allclose(found.pairing.values, expected, atol=1e-3)  # type: ignore[union-attr]


@pytest.mark.parametrize("folder", [CLIP, DINO], ids=lambda folder: folder.name)
def test_features_are_the_originals(folder: Path, real: Real) -> None:
    told = recorded(folder)
    extract = feature_maps.make(f"released(path={str(folder)!r}, batch=2)").fit(real.data)
    rows = extract(np.stack([told["picture0"]] * 3))
    assert rows.dtype == np.float64
    np.testing.assert_allclose(rows, np.stack([told["pictures"][0]] * 3), atol=5e-5)


def test_distances_of_released_features_tell_samples_from_others(real: Real) -> None:
    spec = f"released(path={str(DINO)!r})"
    names = (f"kernel(features={spec})",)
    good = quality(real.pictures, real.captions, real, names)
    noise = np.random.default_rng(0).integers(0, 256, real.pictures.shape, np.uint8)
    bad = quality(noise, real.captions, real, names)
    assert good[names[0]].high < bad[names[0]].low


def test_grey_pictures_and_opacity_are_seen_as_on_white_paper() -> None:
    grey = np.uint8([[[[0], [200]]]])
    np.testing.assert_array_equal(in_colours(grey)[0, 0], [[0, 0, 0], [200, 200, 200]])
    clear = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 4), np.uint8)
    over = Image.alpha_composite(
        Image.new("RGBA", (9, 9), "white"), Image.fromarray(clear[0])
    ).convert("RGB")
    assert np.abs(in_colours(clear)[0].astype(int) - np.asarray(over)).max() <= 1


def test_what_cannot_be_measured_is_said(real: Real, tmp_path: Path) -> None:
    def refused(spec: str) -> str:
        return str(metrics.make(spec).needs(40, real))

    assert "needs path=" in refused("clip_score")
    assert "reads pictures alone" in refused(f"clip_score(path={str(DINO)!r})")
    with pytest.raises(UserError, match="Give path="):
        metrics.make("kernel(features=released)").needs(40, real)
    text = DATA / "stable_diffusion_xl" / "text_encoder_2"
    extract = feature_maps.make(f"released(path={str(text)!r})").fit(real.data)
    with pytest.raises(UserError, match="reads words alone"):
        extract(real.pictures)
    moons = datasets.make("two_moons")
    vectors = Real(moons, 4)
    assert "sees pictures" in str(metrics.make(f"clip_score(path={str(CLIP)!r})").needs(4, vectors))
    values = np.stack([example["vector"] for example in take(moons.test, range(4))])
    metric = metrics.make(f"kernel(features=released(path={str(DINO)!r}))")
    with pytest.raises(NotMeasured, match="features are those of pictures"):
        measure(metric, values, [""] * 4, vectors)
