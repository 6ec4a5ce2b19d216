"""A scene in words, and back.

    caption  = thing [place]  |  thing (relation | "and") thing
    thing    = "a" size colour shape

Leaving out the place, or saying "and", leaves open where the things are.
"""

import re

from diffusion_jax.data.sets.shapes.scene import (
    COLOURS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
)
from diffusion_jax.errors import UserError

_THING = rf"an? ({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})"
_ONE = re.compile(rf"{_THING}(?: ({'|'.join(PLACES)}))?")
_TWO = re.compile(rf"{_THING} ({'|'.join(RELATIONS)}|and) {_THING}")


def write(scene: Scene) -> str:
    """The caption of a scene.

    >>> write(Scene((Thing("small", "red", "circle"),), "at the top left"))
    'a small red circle at the top left'
    """
    things = [f"a {thing.size} {thing.colour} {thing.shape}" for thing in scene.things]
    if len(things) == 1:
        return things[0] if scene.where is None else f"{things[0]} {scene.where}"
    return f" {scene.where or 'and'} ".join(things)


def read(caption: str) -> Scene:
    """The scene that a caption asks for; `where` is None where the caption does not say.

    Raises:
        UserError: the caption does not follow the grammar.

    >>> read("a large green triangle")
    Scene(things=(Thing(size='large', colour='green', shape='triangle'),), where=None)
    """
    words = " ".join(caption.lower().split())
    if match := _ONE.fullmatch(words):
        size, colour, shape, place = match.groups()
        return Scene((Thing(size, colour, shape),), place)
    if match := _TWO.fullmatch(words):
        first, relation, second = match.groups()[:3], match.group(4), match.groups()[4:]
        where = None if relation == "and" else relation
        return Scene((Thing(*first), Thing(*second)), where)
    raise UserError(
        f"Cannot read the caption {caption!r}: write it like 'a small red circle at the top left' "
        "or 'a small red circle above a large blue square'."
    )
