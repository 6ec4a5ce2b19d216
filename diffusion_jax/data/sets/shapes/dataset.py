"""The built-in data set under its name."""

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.sets.shapes.captions import write
from diffusion_jax.data.sets.shapes.checker import check
from diffusion_jax.data.sets.shapes.scene import SHAPES, is_held_out, open_ended, scenes
from diffusion_jax.data.sets.shapes.source import ShapesSource
from diffusion_jax.errors import UserError

SMALLEST = 12


@datasets.register("shapes")
def shapes(
    level: str = "one",
    size: int = 16,
    count: int = 60_000,
    test_count: int = 2_000,
    seed: int = 0,
    terse: float = 0.2,
) -> Dataset:
    """Coloured shapes on a dark ground, drawn when asked for.

    Args:
        level: `"one"` ("a small red circle at the top left") or `"two"`
            ("a small red circle above a large blue square").
        size: pixels along an edge, at least 12.
        count: pictures to train on; they show four fifths of the scenes.
        test_count: pictures of the other fifth.
        seed: of both.
        terse: share of training captions that leave open where things are.

    Raises:
        UserError: a setting that makes no sense.

    >>> data = shapes(level="one", size=16)
    >>> data.train[0]["captions"], data.test[0]["captions"]
    (('a large blue triangle at the top left',), ('a small red square at the bottom right',))
    """
    everything = scenes(level)
    _require(size >= SMALLEST, f"size={size} is too small to tell shapes apart", "12 or more")
    _require(min(count, test_count) > 0, f"count={count}, test_count={test_count}", "positive")
    _require(0 <= terse <= 1, f"terse={terse} is not a share", "between 0 and 1")
    seen = [scene for scene in everything if not is_held_out(scene)]
    unseen = [scene for scene in everything if is_held_out(scene)]
    held_out = tuple(map(write, unseen))
    return Dataset(
        name="shapes",
        train=ShapesSource(seen, count, size, 2 * seed, terse),
        test=ShapesSource(unseen, test_count, size, 2 * seed + 1),
        shape=(size, size, 3),
        class_names=SHAPES,
        captions=tuple(map(write, [*everything, *map(open_ended, everything)])),
        prompts=_mixed(held_out),
        held_out_captions=held_out,
        check=check,
    )


def _mixed(captions: tuple[str, ...]) -> tuple[str, ...]:
    """The same captions in an order whose beginning is as varied as the whole."""
    stride = 7  # coprime to the 30 and 720 held-out captions
    return tuple(captions[stride * n % len(captions)] for n in range(len(captions)))


def _require(condition: bool, problem: str, right: str) -> None:
    if not condition:
        raise UserError(f"Data set 'shapes': {problem}; give {right}.")
