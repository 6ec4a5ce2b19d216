"""Whether pictures show what their captions say."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from diffusion_jax.data.sets.shapes.captions import read
from diffusion_jax.data.sets.shapes.reader import describe
from diffusion_jax.data.sets.shapes.scene import Scene, readings

THING = ("size", "colour", "shape")


def check(
    images: UInt8[np.ndarray, "n size size 3"], captions: Sequence[str]
) -> dict[str, Bool[np.ndarray, " n"]]:
    """Whether each picture shows what its caption says, attribute by attribute.

    With two things, `colour` says whether both have the right one, and so on. Which thing of
    the picture is which of the caption's is decided by what makes most of them right.

    Args:
        images: pictures at least 12 pixels wide.
        captions: one for each, of one thing or of two.

    Returns:
        For `size`, `colour`, `shape`, then `place` (captions of one thing) or `relation` (of
        two), and `all` of these: whether it is right. What a caption leaves open is right in
        every picture in which a scene can be recognised; in others all is wrong.

    Raises:
        UserError: a caption does not follow the grammar.

    >>> from diffusion_jax.data.sets.shapes.render import render
    >>> scene = read("a small red circle in the centre")
    >>> picture = render([scene], np.zeros((1, 1, 2), np.float32), 16)
    >>> {k: v.item() for k, v in check(picture, ["a small blue circle"]).items()}
    {'size': True, 'colour': False, 'shape': True, 'place': True, 'all': False}
    """
    asked = [read(caption) for caption in captions]
    things = {len(scene.things) for scene in asked} or {1}
    seen = {count: describe(images, count) for count in things}
    verdicts = [_verdict(seen[len(scene.things)][n], scene) for n, scene in enumerate(asked)]
    right = np.array(verdicts, bool).reshape(-1, len(THING) + 1)
    names = (*THING, "place" if things == {1} else "relation")
    return dict(zip((*names, "all"), (*right.T, np.all(right, 1)), strict=True))


def _verdict(seen: Scene | None, asked: Scene) -> list[bool]:
    if seen is None:
        return [False] * (len(THING) + 1)
    right = [_compare(reading, asked) for reading in readings(seen)]
    return [bool(np.all(column)) for column in max(right, key=_agreement)]


def _compare(reading: Scene, asked: Scene) -> list[list[bool]]:
    """For each attribute of things, whether it agrees in each thing; then whether places do."""
    pairs = list(zip(reading.things, asked.things, strict=True))
    things = [[getattr(a, name) == getattr(b, name) for a, b in pairs] for name in THING]
    return [*things, [asked.where in (None, reading.where)]]


def _agreement(right: list[list[bool]]) -> int:
    return sum(map(sum, right))
