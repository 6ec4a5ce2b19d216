"""What the index of a model's folder says: its pipeline, and the classes of its parts."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from diffusion_jax.published.parts import read_json

INDEX, SCHEDULER = "model_index.json", "scheduler/scheduler_config.json"
# Parts of pipelines that decide about no number of a picture.
UNUSED = ("safety_checker", "feature_extractor", "image_processor", "watermarker")


@dataclasses.dataclass(frozen=True)
class FolderIndex:
    """What a model_index.json says.

    Attributes:
        kind: the original's class of the pipeline.
        parts: class of the original by the name of the part, of those that have weights.
        unused: parts that decide about no number of a picture.
    """

    kind: str
    parts: Mapping[str, str]
    unused: tuple[str, ...]


def read_index(folder: Path) -> FolderIndex:
    """Reads the index of a model's folder.

    Raises:
        UserError: there is none, or it is no JSON object.
    """
    index = read_json(folder / INDEX)
    parts, unused = {}, []
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or value == [None, None]:
            continue
        if name in UNUSED:
            unused.append(name)
        elif name != "scheduler" and not name.startswith("tokenizer"):
            parts[name] = str(value[-1])
    return FolderIndex(str(index.get("_class_name")), parts, tuple(unused))
