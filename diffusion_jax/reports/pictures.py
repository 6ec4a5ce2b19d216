"""Arrays to pictures: conversion, enlargement, captioned grids, film strips, animations.

Pictures are uint8 (N, H, W, C) with C = 1 (grey) or 3 (RGB), or 2 or 4, whose last channel is the
opacity over white paper; the drawn sheets are Pillow images.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from diffusion_jax.errors import UserError

PAPER, INK, FAINT = "#ffffff", "#1d2230", "#6b7280"
GAP = 12


def to_image(picture: UInt8[np.ndarray, "height width channels"], side: int = 0) -> Image.Image:
    """One picture as a Pillow image, its shorter side enlarged to at least `side` pixels.

    Enlargement is by a whole factor with nearest neighbours, so that pixels stay pixels.
    """
    channels = picture.shape[-1]
    if not 1 <= channels <= 4:
        raise UserError(f"A picture of {channels} channels cannot be drawn: it needs 1 to 4.")
    if channels in (2, 4):
        picture = _over_white(picture)
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    factor = max(1, -(-side // min(image.size)))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _over_white(
    picture: UInt8[np.ndarray, "height width _"],
) -> UInt8[np.ndarray, "height width _"]:
    """What is seen of a picture whose last channel is its opacity."""
    opacity = picture[..., -1:] / 255
    return np.rint(255 + opacity * (picture[..., :-1] - 255.0)).astype(np.uint8)


def grid(
    pictures: UInt8[np.ndarray, "n height width channels"],
    captions: Sequence[str] = (),
    columns: int = 0,
    side: int = 96,
) -> Image.Image:
    """Pictures in rows, each with its caption under it; a film strip is one of a single row.

    Args:
        pictures: uint8 (N, H, W, C).
        captions: N texts, or none; a newline breaks the line, long lines are wrapped.
        columns: how many a row; 0 makes the sheet about square.
        side: pixels a picture is enlarged to.
    """
    images = [to_image(picture, side) for picture in pictures]
    return sheet(images, captions, columns or int(np.ceil(np.sqrt(len(images)))))


def sheet(images: Sequence[Image.Image], texts: Sequence[str], columns: int) -> Image.Image:
    """Equal images on white paper, row by row, each with its text centred under it."""
    if not images:
        raise UserError("There are no pictures to draw.")
    width, height = images[0].size
    font = _font(min(max(11, width // 8), 16))
    wrapped = [_wrap(text, font, width) for text in texts] or [""] * len(images)
    below = max(_text_height(text, font) for text in wrapped)
    rows = -(-len(images) // columns)
    paper = Image.new(
        "RGB",
        (columns * (width + GAP) + GAP, rows * (height + below + GAP) + GAP),
        PAPER,
    )
    draw = ImageDraw.Draw(paper)
    for index, (image, text) in enumerate(zip(images, wrapped, strict=True)):
        row, column = divmod(index, columns)
        left, top = GAP + column * (width + GAP), GAP + row * (height + below + GAP)
        paper.paste(image, (left, top))
        draw.multiline_text(
            (left + width / 2, top + height + 6), text, INK, font, anchor="ma", align="center"
        )
    return paper


def gif(images: Sequence[Image.Image], milliseconds: int = 120, hold: int = 1200) -> bytes:
    """An endlessly repeating animation of equal images, the last one held longer.

    Each frame gets its own palette of 256 colours.

    Args:
        images: the frames.
        milliseconds: how long a frame is shown.
        hold: how long the last one is.
    """
    palettes = [image.quantize(256, dither=Image.Dither.NONE) for image in images]
    durations = [milliseconds] * (len(images) - 1) + [hold]
    buffer = io.BytesIO()
    palettes[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=palettes[1:],
        duration=durations,
        loop=0,
        disposal=1,
    )
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as a `data:` address, so that a page needs no second file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    lines: list[str] = []
    for paragraph in text.replace("−", "-").split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def _text_height(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    if not text:
        return 0
    box = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox((0, 0), text, font)
    return int(box[3]) + 10
