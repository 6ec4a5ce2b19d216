"""Any folder of captioned pictures as a data set."""

import hashlib
from collections.abc import Sequence

import numpy as np

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.folder.metadata import FILE, Entry, read_metadata
from diffusion_jax.data.folder.pictures import MODES, load_pictures
from diffusion_jax.data.memory import MemorySource, Pictures
from diffusion_jax.data.tokenizer import Tokenizer, split_words
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path


@datasets.register("folder")
def folder(path: str, size: int = 32, channels: int = 3, held_out: float = 0.1) -> Dataset:
    """Pictures with captions in a `metadata.jsonl` (the ImageFolder convention).

    Every line of that file is like `{"file_name": "a.png", "text": "a red circle"}`; a field
    `label` may name the picture's class. Pictures are cut to a square, resized, and kept in
    memory, size² × channels bytes each.

    Args:
        path: of the folder.
        size: pixels along an edge.
        channels: 3, or 1 for grey.
        held_out: share of the captions that are for testing only. Which ones depends on their
            words alone, so pictures can be added without mixing test into training.

    Raises:
        UserError: something is wrong with the folder (the message names the line or the file),
            or one of the two splits would be empty.
    """
    if channels not in MODES or size < 1:
        raise UserError(
            f"Data set 'folder': size={size}, channels={channels}; give a size of 1 or more, "
            "and 1 or 3 channels."
        )
    entries = read_metadata(user_path(path))
    train = [entry for entry in entries if _rank(entry.caption) >= held_out]
    test = [entry for entry in entries if _rank(entry.caption) < held_out]
    if not train or not test:
        raise UserError(
            f"Data set 'folder': held_out={held_out} leaves {len(train)} pictures of {path}/{FILE} "
            f"to train on and {len(test)} to test with; give another share, or more captions."
        )
    class_names = tuple(sorted({entry.label for entry in entries}))
    unseen = tuple(dict.fromkeys(entry.caption for entry in test))

    def source(part: Sequence[Entry]) -> MemorySource:
        return MemorySource(len(part), lambda: _load(part, size, channels, class_names))

    return Dataset(
        name="folder",
        train=source(train),
        test=source(test),
        size=size,
        channels=channels,
        class_names=class_names,
        tokenizer=Tokenizer.of(entry.caption for entry in entries),
        prompts=unseen,
        held_out_captions=unseen,
    )


def _rank(caption: str) -> float:
    """A number in [0, 1) that depends on the caption's words alone."""
    digest = hashlib.sha256(" ".join(split_words(caption)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _load(
    entries: Sequence[Entry], size: int, channels: int, class_names: tuple[str, ...]
) -> Pictures:
    images = load_pictures([entry.path for entry in entries], size, channels)
    labels = np.array([class_names.index(entry.label) for entry in entries], np.int64)
    return Pictures(images, labels, [entry.caption for entry in entries])
