"""What a picture of the built-in set shows, and which combinations training never sees.

A level fixes how many things a scene has: level `one` has a thing and its place (150 scenes),
level `two` has two things and their relation (3600 captions of 1800 different scenes, as
"A above B" and "B below A" look the same).
"""

import dataclasses
import itertools

from diffusion_jax.errors import one_of

SIZES = ("small", "large")
COLOURS = ("red", "yellow", "green", "blue", "purple")
SHAPES = ("circle", "square", "triangle")

Direction = tuple[int, int]
"""Where a thing stands: (right, down), each -1, 0 or 1, from the middle towards an edge."""

PLACES: dict[str, tuple[Direction, ...]] = {
    "in the centre": ((0, 0),),
    "at the top left": ((-1, -1),),
    "at the top right": ((1, -1),),
    "at the bottom left": ((-1, 1),),
    "at the bottom right": ((1, 1),),
}
RELATIONS: dict[str, tuple[Direction, ...]] = {
    "above": ((0, -1), (0, 1)),
    "below": ((0, 1), (0, -1)),
    "left of": ((-1, 0), (1, 0)),
    "right of": ((1, 0), (-1, 0)),
}
ARRANGEMENTS = {1: PLACES, 2: RELATIONS}  # by the number of things
LEVELS = {"one": 1, "two": 2}
OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
HELD_OUT_ONE_IN = 5


@dataclasses.dataclass(frozen=True)
class Thing:
    """One object, e.g. `Thing("small", "red", "circle")`.

    Attributes:
        size: one of `SIZES`.
        colour: one of `COLOURS`.
        shape: one of `SHAPES`.
    """

    size: str
    colour: str
    shape: str


@dataclasses.dataclass(frozen=True)
class Scene:
    """Things and where they are.

    Attributes:
        things: one thing, or two.
        where: a key of `PLACES` for one thing or of `RELATIONS` for two; None if left open.
    """

    things: tuple[Thing, ...]
    where: str | None

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Where each thing stands, in the order of `things`.

        >>> Scene((Thing("small", "red", "circle"),), "at the top left").directions
        ((-1, -1),)
        """
        if self.where is None:
            raise ValueError("the scene leaves open where its things are")
        return ARRANGEMENTS[len(self.things)][self.where]


THINGS = tuple(Thing(*words) for words in itertools.product(SIZES, COLOURS, SHAPES))


def scenes(level: str) -> tuple[Scene, ...]:
    """All scenes of a level, in a fixed order.

    Raises:
        UserError: no such level.

    >>> len(scenes("one")), len(scenes("two"))
    (150, 3600)
    """
    count = LEVELS[one_of(level, LEVELS, "level of shapes")]
    return tuple(
        Scene(things, where)
        for things in itertools.product(THINGS, repeat=count)
        for where in ARRANGEMENTS[count]
    )


def open_ended(scene: Scene) -> Scene:
    """The scene with where things are left open."""
    return dataclasses.replace(scene, where=None)


def readings(scene: Scene) -> tuple[Scene, ...]:
    """All captions that say what the same picture shows: "A above B" is "B below A".

    >>> len(readings(scenes("one")[0])), len(readings(scenes("two")[0]))
    (1, 2)
    """
    if len(scene.things) == 1 or scene.where is None:
        return (scene,)
    return scene, Scene(scene.things[::-1], OPPOSITE[scene.where])


def is_held_out(scene: Scene) -> bool:
    """Whether training leaves the scene out: a balanced fifth of every level.

    A scene is held out if the sum of its attributes' indices is a multiple of five. As there
    are five colours, exactly a fifth of the scenes is held out, and so is a fifth of those with
    any given size and shape, or any given place or relation: nothing asked of the model later
    is a new word, only a new combination. The sum is the same for "A above B" and "B below A".

    >>> sum(is_held_out(scene) for scene in scenes("one"))
    30
    """
    things = sum(
        COLOURS.index(thing.colour) + SHAPES.index(thing.shape) + 3 * SIZES.index(thing.size)
        for thing in scene.things
    )
    layouts = [frozenset(directions) for directions in ARRANGEMENTS[len(scene.things)].values()]
    return (things + layouts.index(frozenset(scene.directions))) % HELD_OUT_ONE_IN == 0
