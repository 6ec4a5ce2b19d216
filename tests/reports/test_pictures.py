"""Arrays to pictures and back."""

import io

import numpy as np
import pytest
from PIL import Image

from diffusion_jax.errors import UserError
from diffusion_jax.inference.trajectory import visible
from diffusion_jax.reports import pictures


def test_noisy_pictures_look_the_same_in_every_parametrisation() -> None:
    rng = np.random.default_rng(0)
    x0, eps = rng.uniform(-1, 1, (8, 8, 1)), rng.normal(size=(8, 8, 1))
    preserving = visible(0.6 * x0 + 0.8 * eps, 0.6, 0.8)
    exploding = visible(x0 + 0.8 / 0.6 * eps, 1.0, 0.8 / 0.6)
    np.testing.assert_allclose(preserving, exploding, rtol=1e-12)
    np.testing.assert_array_equal(visible(x0, 1.0, 0.0), x0)


@pytest.mark.parametrize("channels", [1, 3])
def test_enlarged_pixels_stay_pixels(channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3, 5, channels), dtype=np.uint8)
    image = np.asarray(pictures.to_image(picture, side=10))
    assert image.shape[:2] == (12, 20)
    np.testing.assert_array_equal(image.reshape(12, 20, channels)[::4, ::4], picture)


@pytest.mark.parametrize("channels", [2, 4])
def test_the_last_of_an_even_number_of_channels_is_opacity(channels: int) -> None:
    picture = np.full((1, 3, channels), 100, np.uint8)
    picture[0, :, -1] = (0, 255, 51)
    seen = np.asarray(pictures.to_image(picture)).reshape(3, -1)
    assert seen[:, 0].tolist() == [255, 100, 224] and seen.shape[1] == channels - 1


def test_channels_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(UserError, match="5 channels"):
        pictures.to_image(np.zeros((4, 4, 5), np.uint8))
    with pytest.raises(UserError, match="no pictures"):
        pictures.grid(np.zeros((0, 4, 4, 3), np.uint8))


def test_sheet_holds_every_picture_in_order() -> None:
    shades = np.arange(10, 70, 10, dtype=np.uint8)
    tiles = np.broadcast_to(shades[:, None, None, None], (6, 4, 4, 1)).copy()
    sheet = np.asarray(pictures.grid(tiles, ["a long caption that wraps"] * 6, columns=3, side=32))
    seen = [int(shade) for shade in dict.fromkeys(sheet[..., 0].ravel()) if shade in shades]
    assert seen == shades.tolist()
    bare = pictures.grid(tiles, columns=3, side=32)
    assert sheet.shape[0] > bare.height and sheet.shape[1] == bare.width


def test_gif_plays_all_frames_and_repeats() -> None:
    frames = [pictures.to_image(np.full((8, 8, 3), shade, np.uint8)) for shade in (0, 80, 160, 240)]
    with Image.open(io.BytesIO(pictures.gif(frames, milliseconds=50, hold=700))) as film:
        assert film.n_frames == 4
        assert film.info["loop"] == 0
        for index, shade in enumerate((0, 80, 160, 240)):
            film.seek(index)
            assert np.asarray(film.convert("RGB"))[0, 0].tolist() == [shade] * 3
            assert film.info["duration"] == (700 if index == 3 else 50)
