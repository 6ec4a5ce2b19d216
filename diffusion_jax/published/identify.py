"""Which card a file or folder is of: by its SHA-256, its name, or its class and configuration."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.networks.encoders.clip import CLIP
from diffusion_jax.published.card import CardPart, ModelCard, card, card_names
from diffusion_jax.published.folder import INDEX, read_index
from diffusion_jax.published.parts import CONFIG, class_of, read_json

CHUNK = 2**24  # bytes that are hashed at a time
# Classes that are half of CLIP -> where a card of the whole says how they are made.
HALVES = {
    f"CLIP{half}Model{ending}": f"{half.lower()}_config"
    for half in ("Text", "Vision")
    for ending in ("", "WithProjection")
}


def fitting(path: Path) -> list[tuple[ModelCard, str]]:
    """The cards that a file or folder may be of, and by what.

    A file is hashed where a card names its number of bytes. What fits by SHA-256 leaves no doubt;
    else what fits by name, and else by class and configuration.

    Args:
        path: a file of weights, or a folder of a part or of a whole model.

    Raises:
        UserError: a file of the folder that is not readable.
    """
    known = [card(name) for name in card_names()]
    files = [path] if path.is_file() else _files(path)
    by_sum = [(each, "SHA-256") for each in known if any(_same_sum(each, file) for file in files)]
    if by_sum:
        return by_sum
    names = {file.name for file in files} - COMMON
    by_name = [(each, "file name") for each in known if names & set(each.files)]
    if by_name or path.is_file():
        return by_name
    found = _configurations(path)
    return [(each, "class and configuration") for each in known if _is_of(each, found)]


# Names that files of many models have.
COMMON = {"diffusion_pytorch_model.safetensors", "model.safetensors"}


def card_of(path: Path, name: str = "") -> ModelCard:
    """The card of an authors' checkpoint.

    Args:
        path: of it.
        name: of the card; "" is the only one that fits.

    Raises:
        UserError: none fits, or several do.
    """
    if name:
        return card(name)
    if not path.exists():
        raise UserError(f"There is no file or folder {path}.")
    found = [each for each, _ in fitting(path)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(each.name for each in found)
        raise UserError(f"{path} may be of several cards; name one of {listed}.")
    raise UserError(
        f"{path} has no {INDEX}, and no card fits it: name its card, one of those that "
        "python -m experiments.models lists."
    )


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.is_file()] if folder.is_dir() else []


def _same_sum(known: ModelCard, file: Path) -> bool:
    size = file.stat().st_size
    for told in known.files.values():
        if told.sha256 and told.bytes == size and sha256(file) == told.sha256:
            return True
    return False


def sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    found = hashlib.sha256()
    with open(file, "rb") as stream:
        while chunk := stream.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _configurations(folder: Path) -> dict[str, dict[str, Any]]:
    """Configurations by the names of the parts of a model's folder; of a part's folder, its own."""
    places = {folder.name: folder}
    if (folder / INDEX).exists():
        places = {name: folder / name for name in read_index(folder).parts}
    return {
        name: read_json(place / CONFIG)
        for name, place in places.items()
        if (place / CONFIG).exists()
    }


def _is_of(known: ModelCard, found: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether all parts of a card are there, each with the settings that the card says."""
    if len(known.parts) == len(found) == 1:
        pairs = list(zip(known.parts.values(), found.values(), strict=True))
    elif known.parts.keys() == found.keys():
        pairs = [(part, found[name]) for name, part in known.parts.items()]
    else:
        return False
    return all(_agrees(part, configuration) for part, configuration in pairs)


def _agrees(part: CardPart, configuration: Mapping[str, Any]) -> bool:
    named = class_of(configuration, CONFIG)
    told = part.configuration
    if part.original == CLIP.original and named in HALVES:
        return _says(configuration, told[HALVES[named]])
    return named == part.original and _says(configuration, told)


def _says(configuration: Any, told: Mapping[str, Any]) -> bool:
    """Whether a configuration has all that a card tells, and within."""
    if not isinstance(configuration, Mapping):
        return False
    return all(
        _says(configuration.get(key), value)
        if isinstance(value, Mapping)
        else json.dumps(configuration.get(key)) == json.dumps(value)
        for key, value in told.items()
    )
