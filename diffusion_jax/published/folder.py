"""What the index of a model's folder says: its pipeline, and the classes of its parts."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError, nearest, one_of
from diffusion_jax.published.parts import originals, read_json

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
        named: all that it names with a class, or to say that it is not there.
        parts: class of the original by the name of the part, of those that have weights.
        unused: parts that decide about no number of a picture.
        tokenizers: names of those, of text encoders.
        settings: what it says beside the parts.
    """

    kind: str
    named: tuple[str, ...]
    parts: Mapping[str, str]
    unused: tuple[str, ...]
    tokenizers: tuple[str, ...]
    settings: Mapping[str, Any]

    def check(self, folder: Path, network: str, honoured: Collection[str]) -> None:
        """Refuses what the pipeline would pass over, and what it cannot be without.

        Args:
            folder: of the index, for the message.
            network: name of the part that denoises.
            honoured: names of other parts, tokenizers and settings that it reads.

        Raises:
            UserError: the index names another, and not to say that it is not there; or a class
                that is not known; or not its network, its autoencoder or a text encoder.
        """
        honoured = (network, "vae", *honoured)
        told = {name: value for name, value in self.settings.items() if name[0] != "_" and value}
        for name in (*self.parts, *self.tokenizers, *told):
            if name not in (*honoured, *UNUSED):
                raise UserError(
                    f"{folder / INDEX}: {self.kind} here does not honour {name!r}."
                    f"{nearest(name, honoured)}"
                )
        known = originals()
        for name, original in self.parts.items():
            one_of(original, known, f"class of the part {name!r}")
        texts = tuple(name for name in honoured if name.startswith(("text_encoder", "tokenizer")))
        needed = (network, *(("vae",) if "vae" in self.named else ()))
        lacking = [name for name in needed if name not in self.parts]
        lacking += [name for name in texts if name not in self.named]
        if lacking:
            raise UserError(
                f"{folder / INDEX} names no part {lacking[0]!r}, which a {self.kind} needs."
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
    kind = str(index.get("_class_name"))
    return FolderIndex(kind, tuple(named), parts, unused, tokenizers, settings)
