"""Captioned pictures of scenes, drawn when asked for."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from diffusion_jax.data.drawn import DrawnSource
from diffusion_jax.data.example import Example
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.data.sets.shapes.captions import write
from diffusion_jax.data.sets.shapes.render import render
from diffusion_jax.data.sets.shapes.scene import SHAPES, Scene, open_ended


@dataclasses.dataclass(frozen=True)
class ShapesSource(DrawnSource):
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

    def draw(self, positions: Int64[np.ndarray, " n"]) -> list[Example]:
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
