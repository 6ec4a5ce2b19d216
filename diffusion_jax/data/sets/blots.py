"""Soft blots of colour at random places: pictures of which no two are alike."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int64, UInt8

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.drawn import DrawnSource
from diffusion_jax.data.example import Example
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.errors import UserError

GROUNDS = ("dark", "light")
BLOTS, NUMBERS = 6, 6  # in a picture; of each: place, radius and colour
CAPTION = "blots on a {} ground"


@dataclasses.dataclass(frozen=True)
class BlotsSource(DrawnSource):
    """A random-access source of pictures; example i depends on (seed, i) and nothing else.

    Attributes:
        count: number of examples.
        size: pixels along an edge.
        seed: of all that is random; sources of different seeds are independent.
    """

    count: int
    size: int
    seed: int

    def draw(self, positions: Int64[np.ndarray, " n"]) -> list[Example]:
        u = uniforms(self.seed, positions, 1 + BLOTS * NUMBERS)
        grounds = (2 * u[:, 0]).astype(int)
        pictures = _paint(grounds, u[:, 1:].reshape(-1, BLOTS, NUMBERS), self.size)
        return [
            {
                "image": picture,
                "captions": (CAPTION.format(GROUNDS[ground]),),
                "label": int(ground),
                "key": int(index),
            }
            for index, picture, ground in zip(positions, pictures, grounds, strict=True)
        ]


def _paint(
    grounds: Int64[np.ndarray, " n"], blots: Float[np.ndarray, "n blots numbers"], size: int
) -> UInt8[np.ndarray, "n size size 3"]:
    """One blot over the other, each of opacity exp(-d²/2r²) at the distance d from its place."""
    x = np.where(grounds[:, None, None, None] == 0, 0.1, 0.9) * np.ones((1, size, size, 3))
    pixel = (np.arange(size) + 0.5) / size
    for place, radius, colour in ((b[:, :2], b[:, 2], b[:, 3:]) for b in blots.swapaxes(0, 1)):
        down, across = ((pixel - place[:, k, None]) ** 2 for k in (0, 1))
        squares = (down[:, :, None] + across[:, None]) / (0.06 + 0.12 * radius)[:, None, None] ** 2
        opacity = np.exp(-squares / 2)[..., None]
        x = x * (1 - opacity) + colour[:, None, None] * opacity
    return np.rint(255 * x).astype(np.uint8)


@datasets.register("blots")
def blots(size: int = 16, count: int = 5_000, test_count: int = 1_000, seed: int = 0) -> Dataset:
    """Soft blots of colour on a dark or a light ground, drawn when asked for.

    No two pictures are much alike, so that a copy of one can be told: see the guide on audits.

    Args:
        size: pixels along an edge.
        count: pictures to train on.
        test_count: others of the same kind.
        seed: of both.

    Raises:
        UserError: a setting that makes no sense.

    >>> blots(count=10).train[1]["captions"], blots(size=8).shape
    (('blots on a light ground',), (8, 8, 3))
    """
    if min(size, count, test_count) < 1:
        raise UserError(
            f"Data set 'blots': size={size}, count={count}, test_count={test_count}; give 1 or "
            "more."
        )
    captions = tuple(map(CAPTION.format, GROUNDS))
    return Dataset(
        name="blots",
        train=BlotsSource(count, size, 2 * seed),
        test=BlotsSource(test_count, size, 2 * seed + 1),
        shape=(size, size, 3),
        class_names=GROUNDS,
        captions=captions,
        prompts=captions,
    )
