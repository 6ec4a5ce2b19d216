"""Which file of a folder holds the weights, and which files a folder may lead to."""

import re
from collections.abc import Iterable
from pathlib import Path

from diffusion_jax.errors import UserError, nearest, shown

# From what is read first to what is read last where a folder has several.
ENDINGS = ("safetensors", "bin", "pt", "pth", "ckpt", "pkl", "pickle", "msgpack", "npz", "npy")
INDEX = re.compile(r"(?P<stem>.+)\.(?P<ending>safetensors|bin)\.index(\.(?P<variant>[^.]+))?\.json")
SHARD = re.compile(r".+-\d{5}-of-\d{5}\..+")
# A variant begins with a letter, unlike what follows the dot in `model3.5_medium`.
SINGLE = re.compile(
    rf"(?P<stem>.+?)(\.(?P<variant>[A-Za-z][^.]*))?\.(?P<ending>{'|'.join(ENDINGS)})"
)


def weights_in(folder: Path, names: Iterable[str], variant: str) -> Path:
    """The file of a folder to read: safetensors before the rest, a single file before an index.

    Args:
        folder: the folder.
        names: what lies in it.
        variant: the word before the ending, as in `model.fp16.safetensors`; empty for none.

    Raises:
        UserError: there is none of that variant, or there are several.
    """
    options: dict[tuple[str, int, bool], list[str]] = {}
    for name in sorted(names):
        index = INDEX.fullmatch(name)
        match = index or (None if SHARD.fullmatch(name) else SINGLE.fullmatch(name))
        if match:
            rank = ENDINGS.index(match["ending"])
            options.setdefault((match["variant"] or "", rank, bool(index)), []).append(name)
    wanted = sorted(key for key in options if key[0] == variant)
    if not wanted:
        variants = sorted({key[0] for key in options})
        if not variants:
            raise UserError(f"{folder} has no file of weights in it; name a file, or its folder.")
        listed = ", ".join(repr(each) if each else "none" for each in variants)
        hint = nearest(variant, variants)
        raise UserError(
            f"{folder} has no weights of variant {variant or 'none'}; variants: {listed}.{hint}"
        )
    chosen = options[wanted[0]]
    if len(chosen) > 1:
        listed = ", ".join(chosen[:10])
        raise UserError(f"{folder} has several files of weights: name one of {listed}.")
    return folder / chosen[0]


def beside(folder: Path, name: object, where: str) -> Path:
    """A file of a folder that another file in it names.

    A link is followed to where it leads within the folder, or among the `blobs` of the folder of
    `snapshots` in which a cache of downloads keeps it.

    Args:
        folder: the folder.
        name: a name without folders.
        where: the file that names it, for the message.

    Raises:
        UserError: the name leads elsewhere, or there is no such file.
    """
    plain = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0:")
    if not plain:
        raise UserError(f"{where} names the file {shown(name)}; it may name files beside it alone.")
    path = folder / str(name)
    check_inside(path, folder)
    if not path.is_file():
        raise UserError(f"{where} names the file {shown(name)}, which is missing in {folder}.")
    return path


def check_inside(path: Path, folder: Path) -> None:
    """Raises UserError if a link leads out of a folder, other than to the blobs of its cache."""
    real, home = path.resolve(), folder.resolve()
    allowed = [home]
    for parent in (home, *home.parents):
        if parent.name == "snapshots":
            allowed.append(parent.with_name("blobs"))
    if not any(real.is_relative_to(each) for each in allowed):
        raise UserError(f"{path} is a link that leads out of {folder}: it is not followed.")
