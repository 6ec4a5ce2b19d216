"""Captioned pictures of scenes, drawn when asked for."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from diffusion_jax.data.example import Example
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.data.sets.shapes.captions import write
from diffusion_jax.data.sets.shapes.render import render
from diffusion_jax.data.sets.shapes.scene import SHAPES, Scene, open_ended


@dataclasses.dataclass(frozen=True)
class ShapesSource:
    """A random-access source of pictures; example i depends on (seed, i) and nothing else.

    Attributes:
        scenes: what to draw from, each scene equally often.
        count: number of examples.
        size: pixels along an edge.
        seed: of the choice of scenes and of their jitter; sources of different seeds are
            independent.
        terse: share of captions that leave open where things are ("a large green triangle"),
            so that such prompts are understood too.

    >>> from diffusion_jax.data.sets.shapes.scene import scenes
    >>> ShapesSource(scenes("one"), count=10, size=16, seed=0)[3]["captions"]
    ('a large yellow circle at the bottom left',)
    """

    scenes: Sequence[Scene]
    count: int
    size: int
    seed: int
    terse: float = 0.0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Examples by index, drawn together (several times faster than one by one)."""
        positions = np.asarray(indices, np.int64)
        if np.any((positions < 0) | (positions >= self.count)):
            raise IndexError(f"{indices} are not all in 0..{self.count - 1}")
        things = len(self.scenes[0].things)
        u = uniforms(self.seed, positions, 2 + 2 * things)
        scenes = [self.scenes[int(x)] for x in u[:, 0] * len(self.scenes)]
        offsets = (2 * u[:, 2:] - 1).astype(np.float32).reshape(-1, things, 2)
        pictures = render(scenes, offsets, self.size)
        return [
            {
                "image": picture,
                "captions": (write(open_ended(scene) if terse else scene),),
                "label": SHAPES.index(scene.things[0].shape),
                "key": int(index),
            }
            for index, picture, scene, terse in zip(
                positions, pictures, scenes, u[:, 1] < self.terse, strict=True
            )
        ]
