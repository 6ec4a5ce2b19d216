"""What the index of a model's folder says: its pipeline, and the classes of its parts."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError, nearest
from diffusion_jax.published.parts import read_json

INDEX, SCHEDULER = "model_index.json", "scheduler/scheduler_config.json"
# Parts of pipelines that decide about no number of a picture.
UNUSED = (
    *("safety_checker", "feature_extractor", "image_processor", "watermarker"),
    "requires_safety_checker",
)


@dataclasses.dataclass(frozen=True)
class FolderIndex:
    """What a model_index.json says.

    Attributes:
        kind: the original's class of the pipeline.
        parts: class of the original by the name of the part, of those that have weights.
        unused: parts that decide about no number of a picture.
        tokenizers: names of those, of text encoders.
        settings: what it says beside the parts.
    """

    kind: str
    parts: Mapping[str, str]
    unused: tuple[str, ...]
    tokenizers: tuple[str, ...]
    settings: Mapping[str, Any]

    def check(self, folder: Path, honoured: Collection[str]) -> None:
        """Refuses what the pipeline would pass over.

        Args:
            folder: of the index, for the message.
            honoured: names of parts, tokenizers and settings that it reads.

        Raises:
            UserError: the index names another, and not to say that it is not there.
        """
        told = {name: value for name, value in self.settings.items() if name[0] != "_" and value}
        for name in (*self.parts, *self.tokenizers, *told):
            if name not in (*honoured, *UNUSED):
                raise UserError(
                    f"{folder / INDEX}: {self.kind} here does not honour {name!r}."
                    f"{nearest(name, honoured)}"
                )


def read_index(folder: Path) -> FolderIndex:
    """Reads the index of a model's folder.

    Raises:
        UserError: there is none, or it is no JSON object.
    """
    index = read_json(folder / INDEX)
    named = {name: value for name, value in index.items() if isinstance(value, list)}
    held = {k: str(v[-1]) for k, v in named.items() if v and v != [None, None] and k != "scheduler"}
    unused = tuple(name for name in held if name in UNUSED)
    tokenizers = tuple(name for name in held if name.startswith("tokenizer"))
    parts = {k: kind for k, kind in held.items() if k not in unused + tokenizers}
    settings = {name: value for name, value in index.items() if name not in named}
    return FolderIndex(str(index.get("_class_name")), parts, unused, tokenizers, settings)
