"""Sizes of pictures that models were trained on, of which the nearest in shape is drawn."""

from collections.abc import Mapping

from diffusion_jax.errors import UserError
from diffusion_jax.published.pipelines.base import Size

Bins = Mapping[float, Size]
"""Height and width by their ratio, as the original has it rounded."""


def bins(sides: str, unit: int, **others: str) -> Bins:
    """Sizes from heights and widths in units of so many pixels.

    Args:
        sides: such as "3x4 4x4 4x3".
        unit: pixels.
        others: ratios that are not those of a size, by the size, such as {"5x11": "0.46"}.

    >>> bins("3x4 4x4", 64)
    {0.75: (192, 256), 1.0: (256, 256)}
    """
    found = {}
    for word in sides.split():
        height, width = map(int, word.split("x"))
        ratio = float(others.get(word, round(height / width, 2)))
        found[ratio] = height * unit, width * unit
    return dict(sorted(found.items()))


def nearest_size(known: Bins, size: Size) -> Size:
    """The size whose ratio is nearest to that of another.

    >>> nearest_size(bins("3x4 4x4", 64), (500, 510))
    (256, 256)
    """
    asked = size[0] / size[1]
    return known[min(known, key=lambda ratio: abs(ratio - asked))]


def drawn_size(known: Mapping[int, Bins], side: int, size: Size, what: str) -> Size:
    """The size that is drawn where another is asked for.

    Args:
        known: by the side of what a model was trained on.
        side: of that of this one.
        size: that is asked for.
        what: the side is called, for the message.

    Raises:
        UserError: there are no sizes for such a side.
    """
    if side not in known:
        listed = ", ".join(map(str, known))
        raise UserError(
            f"Sizes to choose from are known for a {what} of {listed}, and it is {side}: switch "
            "use_resolution_binning off to draw the size that is asked for."
        )
    return nearest_size(known[side], size)
