"""The part of a picture that has the shape that is wanted, resized to it."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from diffusion_jax.data.pictures.eight_bits import eight_bits
from diffusion_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
LARGE = 2**24  # pixels; of larger JPEGs only as much is decoded as is needed
FINER = 4  # times the edge that is wanted, to be on the safe side
FINE = 2  # times it where many pictures are decoded: nothing that the resizing keeps is lost
MOST = 178_956_970  # pixels of what is decoded at all, as Pillow has it
ORIENTATION, ON_THEIR_SIDE = 0x0112, (5, 6, 7, 8)  # a tag of EXIF, and where sides change places

Size = tuple[int, int]
"""Height and width."""

MIDDLE = (0.5, 0.5)


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where a part of a picture was.

    Attributes:
        size: of the whole picture, upright: height and width.
        corner: of the part: top and left, in pixels of the whole.
    """

    size: Size
    corner: tuple[float, float]


def fitted(opened: "Image.Image", size: Size, channels: int) -> UInt8[np.ndarray, "_ _ {channels}"]:
    """The middle of a picture in 8 bits a channel, see `read_pictures`."""
    if opened.width * opened.height > LARGE:
        opened.draft(None, (FINER * size[1], FINER * size[0]))
    return _part(opened, size, channels, MIDDLE)[0]


def cut_out(
    opened: "Image.Image", shape: tuple[int, int, int], place: tuple[float, float] = MIDDLE
) -> tuple[UInt8[np.ndarray, "_ _ _"], Cut]:
    """A part of a picture of the shape that is wanted, as large as there is one, resized to it.

    Of a JPEG no more is decoded than twice as fine as it will be.

    Args:
        opened: the picture.
        shape: height, width and channels, as of `read_pictures`.
        place: where the part lies along each axis, from 0, at the top or left, to 1.

    Raises:
        UserError: it is too large, or a program.
    """
    check_plain(opened)
    if opened.width * opened.height > MOST:
        raise UserError(f"it has {opened.width * opened.height:,} pixels, more than {MOST:,}")
    turned = opened.getexif().get(ORIENTATION) in ON_THEIR_SIDE
    width, height = opened.size[::-1] if turned else opened.size
    finest = FINE * max(shape[:2])  # it may have to be turned
    opened.draft(None, (finest, finest))
    picture, (top, left) = _part(opened, shape[:2], shape[2], place)
    scale = width / opened.width  # turned by now
    return picture, Cut((height, width), (top * scale, left * scale))


def check_plain(opened: "Image.Image") -> None:
    """Raises UserError for what is a program, not a picture."""
    if opened.format == "EPS":
        raise UserError("it is a PostScript program, which is not run")


def reason_of(error: BaseException) -> str:
    """What a decoder says of a damaged picture, in a few words."""
    return (str(error).splitlines() or [""])[0][:200].rstrip(".") or type(error).__name__


def _part(
    opened: "Image.Image", size: Size, channels: int, place: tuple[float, float]
) -> tuple[UInt8[np.ndarray, "_ _ {channels}"], tuple[float, float]]:
    from PIL import Image, ImageOps

    opened.load()  # some decoders change the mode
    ImageOps.exif_transpose(opened, in_place=True)
    box = _box(opened.size, size, place)
    part = eight_bits(opened).resize(size[::-1], Image.Resampling.LANCZOS, box=box)
    corner = box[1], box[0]
    if channels in (1, 3):
        if part.mode == "RGBA":
            part = Image.alpha_composite(Image.new("RGBA", part.size, "white"), part)
        return np.asarray(part.convert(MODES[channels])).reshape(*size, channels), corner
    values = np.array(part.convert("RGBA").convert(MODES[channels]))
    values[values[..., -1] == 0] = 0
    return values, corner


def _box(
    whole: tuple[int, int], size: Size, place: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the largest part of a shape."""
    width, height = map(float, whole)
    share = size[1] / size[0]
    wide, high = width, height
    if width / height > share:
        wide = share * height
    elif width / height < share:
        high = width / share
    left, top = (width - wide) * place[1], (height - high) * place[0]
    return left, top, min(left + wide, width), min(top + high, height)
