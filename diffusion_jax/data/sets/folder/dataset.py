"""Any folder of captioned pictures as a data set."""

import dataclasses
import hashlib

import numpy as np

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.pictures import MODES
from diffusion_jax.data.sets.folder.files import Files, Side, check_sides
from diffusion_jax.data.sets.folder.metadata import read_metadata
from diffusion_jax.data.sets.folder.split import rank
from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from diffusion_jax.words import split_words

LARGEST = 4096
KEPT = 2**32  # bytes of pictures, unless asked for otherwise
PICTURES, CAPTIONS = "pictures", "captions"


@datasets.register("folder")
def folder(
    path: str,
    size: int | tuple[int, int] = 32,
    channels: int = 3,
    held_out: float = 0.1,
    split: str = PICTURES,
    memory: bool | None = None,
) -> Dataset:
    """Pictures of a folder, with captions in any of the usual ways.

    Where there is a `metadata.jsonl`, every line is like `{"file_name": "a.png", "text": "a red
    circle"}`; there may be several captions, as a list or under `caption` too, of which training
    draws one at a time. A field `label` may name the picture's class. `metadata.csv` and
    `metadata.parquet` have such columns. Without any of these, the lines of a text beside a picture
    (a.txt of a.png) are its captions, and the folder in the folder that it lies in is its class.
    The middle of each picture is cut out in the shape that is wanted, and resized.

    Args:
        path: of the folder.
        size: height and width, or one number for both.
        channels: 3, or 1 for grey; 4 or 2 for the same with opacity.
        held_out: share that is for testing only, between 0 and 1; small classes have more than
            it, since each has a picture on both sides.
        split: what is held out. "pictures": no picture is on both sides, and every class of two
            pictures or more is on both; captions may be seen in training. "captions": no caption
            is on both sides; a picture with several may be, and a class may be missing on one. See
            `data.sets.folder.split`.
        memory: keep the pictures in memory, height × width × channels bytes each: all are read when
            one is first needed. False reads each whenever it is needed (see `training.workers`), so
            that a folder may have any size; pictures are then known by their files' names, not
            by what they show. None keeps what takes at most 4 GiB.

    Raises:
        UserError: something is wrong with the folder (the message names the line or the file),
            or one of the two splits would be empty.
    """
    one_of(split, (PICTURES, CAPTIONS), "split of the data set 'folder'")
    edges = (size, size) if isinstance(size, int) else size
    if channels not in MODES or len(edges) != 2 or not 1 <= min(edges) <= max(edges) <= LARGEST:
        raise UserError(
            f"Data set 'folder': size={size}, channels={channels}; give a size from 1 to "
            f"{LARGEST}, and 1, 2, 3 or 4 channels."
        )
    where = user_path(path)
    entries = read_metadata(where)
    if split == CAPTIONS:  # each of several captions is on a side of its own
        entries = tuple(
            dataclasses.replace(entry, captions=(c,)) for entry in entries for c in entry.captions
        )
    captions = tuple(dict.fromkeys(c for entry in entries for c in entry.captions))
    unseen = tuple(c for c in captions if split == CAPTIONS and _rank(c) < held_out)
    by_words = None
    if split == CAPTIONS:
        held = frozenset(unseen)
        by_words = np.array([entry.captions[0] in held for entry in entries])
        check_sides(where, held_out, by_words)
    elif not 0 < held_out < 1:
        check_sides(where, held_out, np.full(len(entries), held_out >= 1))
    if memory is None:
        memory = len(entries) * edges[0] * edges[1] * channels <= KEPT
    files = Files(where, entries, edges, channels, held_out, by_words, memory)
    return Dataset(
        name="folder",
        train=Side(files, False),
        test=Side(files, True),
        shape=(*edges, channels),
        class_names=files.class_names,
        captions=captions,
        prompts=unseen or captions,
        held_out_captions=unseen,
    )


def _rank(caption: str) -> float:
    """A number in [0, 1) that depends on the caption's words alone."""
    return rank(hashlib.sha256(" ".join(split_words(caption)).encode()).hexdigest())
