"""Pictures of every mode that Pillow opens as 8-bit grey, RGB or RGBA, each by a stated rule."""

from typing import TYPE_CHECKING

import numpy as np

from diffusion_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

BITS, PHOTOMETRIC = 258, 262  # tags of a TIFF
WHITE_IS_ZERO = 0


def eight_bits(picture: "Image.Image") -> "Image.Image":
    """A picture as "L", "RGB" or "RGBA", 8 bits a channel.

    | mode | rule |
    |---|---|
    | 1, L | grey |
    | P, RGB, RGBX | RGB |
    | any of these with a transparent colour, PA, LA, La, RGBA, RGBa | RGBA; a premultiplied |
    |   | colour (La, RGBa) is divided by its alpha |
    | CMYK, YCbCr, HSV, LAB | RGB by Pillow's formulas; embedded profiles are not applied |
    | I;16 in all byte orders, I of a PGM | v/257, rounded (grey of 16 bits); v/16.06 where a TIFF |
    |   | says 12 bits |
    | F | 255 v, rounded, if all of it lies in [0, 1] |
    | I elsewhere, F elsewhere | refused: nothing says which numbers are black and white |

    Colours of 16 bits a channel reach us as Pillow reads them, by their upper 8 bits. Where a TIFF
    of 16 bits or floats says that white is zero, it is turned over.

    Raises:
        UserError: see the last rule; the message is the end of a sentence.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        return _deep(picture)
    if picture.has_transparency_data:
        # Pillow converts La to RGBA by this alone.
        straight = picture.convert("LA") if picture.mode == "La" else picture
        return straight if straight.mode == "RGBA" else straight.convert("RGBA")
    wanted = "L" if picture.mode in ("1", "L") else "RGB"
    return picture if picture.mode == wanted else picture.convert(wanted)


def _deep(picture: "Image.Image") -> "Image.Image":
    from PIL import Image

    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    if picture.mode == "F":
        grey = _unit(values)
    elif picture.mode.startswith("I;16") or picture.format == "PPM":
        top = 4095 if tags.get(BITS) == (12,) else 65535
        table = np.rint(np.minimum(np.arange(65536) / top, 1) * 255).astype(np.uint8)
        grey = table[values]
    else:
        raise UserError(
            "its pixels are integers of 32 bits or with a sign, of which nothing says how bright "
            "they are; save it with 8 or 16 bits"
        )
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        grey = 255 - grey
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        opaque = np.where(values == transparent, 0, 255).astype(np.uint8)
        return Image.merge("LA", [Image.fromarray(grey), Image.fromarray(opaque)]).convert("RGBA")
    return Image.fromarray(grey)


def _unit(values: np.ndarray) -> np.ndarray:
    low, high = float(np.min(values)), float(np.max(values))
    if not (low >= 0 and high <= 1):  # also where one is not a number
        raise UserError(
            f"its pixels are fractions from {low:g} to {high:g}, not within [0, 1], black to white"
        )
    return np.rint(values * np.float32(255)).astype(np.uint8)
