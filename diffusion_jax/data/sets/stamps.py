"""The stamps of Tux Paint: photographs and drawings, each with a sentence in many languages."""

import re
from pathlib import Path

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.records import PictureFile, PictureFiles, captioned
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path

PLACE = "/usr/share/tuxpaint/stamps"
TRANSLATION = re.compile(r"([\w@]+)\.utf8=(.*)")


@datasets.register("stamps")
def stamps(
    path: str = PLACE,
    size: int | tuple[int, int] = 64,
    language: str = "",
    held_out: float = 0.1,
    memory: bool | None = None,
) -> Dataset:
    """Some 780 pictures with a caption by people, as Debian's `tuxpaint-stamps-default` has them.

    Mirrored copies and drawings in SVG are left out.

    Args:
        path: of the folder of stamps.
        size: height and width, or one number for both.
        language: of the captions, such as "de" or "pt_BR"; "" is English. Stamps without a
            caption in it are left out.
        held_out: share for testing, by name.
        memory: keep decoded pictures; None keeps what takes at most 1 GiB.

    Raises:
        UserError: there are no stamps, or none with such captions.
    """
    root = user_path(path)
    texts = sorted(root.rglob("*.txt"))
    if not texts:
        raise UserError(
            f"Data set 'stamps': there are none in {root}. Debian's package "
            "tuxpaint-stamps-default brings them; give another folder with path=."
        )
    files = []
    for text in texts:
        picture, caption = text.with_suffix(".png"), caption_of_stamp(text, language)
        if caption and picture.is_file():
            files.append(PictureFile(picture.relative_to(root).as_posix(), (caption,)))
    if not files:
        raise UserError(f"Data set 'stamps': no stamp has a caption in language={language!r}.")
    records = PictureFiles(root, files)
    return captioned("stamps", records, size, 3, held_out, memory=memory)


def caption_of_stamp(path: Path, language: str) -> str:
    """The first line, in English, or the line of a language; "" if there is none."""
    try:
        first, *others = path.read_text("utf-8").splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path} ({error}).") from error
    if not language:
        return first.strip()
    found = (TRANSLATION.fullmatch(line) for line in others)
    said = {match[1]: match[2] for match in found if match}
    return said.get(language, "").strip()
