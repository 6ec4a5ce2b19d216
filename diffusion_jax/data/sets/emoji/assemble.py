"""Emoji out of packages of npm: pictures of four sets, and their names."""

import dataclasses
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.files import save

TRAIN, TEST = "emoji-train.tar", "emoji-test.tar"
HELD_OUT = 0.1  # share of concepts
EDGE = 64  # pixels that drawings of lines are rendered at
TAGS = 4  # further words of a caption
SIGNS = ("200d", "2640", "2642")  # that join parts, and that say woman or man
PEOPLE = {
    **dict.fromkeys(("1f468", "1f469", "1f9d1"), "person"),
    **dict.fromkeys(("1f474", "1f475", "1f9d3"), "older person"),
    **dict.fromkeys(("1f466", "1f467", "1f9d2"), "child"),
}
NAMES = "emojibase-data"
NAMES_VERSION = "17.0.0"


@dataclasses.dataclass(frozen=True)
class EmojiSet:
    """A package of pictures.

    Attributes:
        version: that the figures of this project are for.
        pictures: pattern of their names in the package; its group is the code of an emoji.
        style: how captions call it.
        licence: of the pictures.
    """

    version: str
    pictures: str
    style: str
    licence: str


PACKAGES = {
    "emoji-datasource-google": EmojiSet(
        "16.0.0", r"package/img/google/64/(.+)\.png", "flat drawing by Google", "Apache-2.0"
    ),
    "emoji-datasource-twitter": EmojiSet(
        "16.0.0", r"package/img/twitter/64/(.+)\.png", "flat drawing by Twitter", "CC-BY-4.0"
    ),
    "@lobehub/fluent-emoji-3d": EmojiSet(
        "1.1.0", r"package/assets/(.+)\.webp", "shiny 3D rendering", "MIT"
    ),
    "@lobehub/fluent-emoji-modern": EmojiSet(
        "1.0.0", r"package/assets/(.+)\.svg", "soft flat drawing", "MIT"
    ),
}


def archive_name(package: str, version: str) -> str:
    """What `npm pack` calls a package's archive.

    >>> archive_name("@lobehub/fluent-emoji-3d", "1.1.0")
    'lobehub-fluent-emoji-3d-1.1.0.tgz'
    """
    return f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"


@dataclasses.dataclass(frozen=True)
class Concept:
    """What an emoji shows.

    Attributes:
        name: in words, with its skin tone.
        tags: further words for it.
        concept: by which it is split, the same for all skin tones and for women and men.
    """

    name: str
    tags: tuple[str, ...]
    concept: str


def assemble(archives: Path, out: Path) -> tuple[int, int]:
    """Writes the emoji of packages to tar files, TRAIN and TEST.

    A tenth of the concepts is for testing, by the SHA-256 of their codes. Women, men and persons
    who do the same are one, as are skin tones: they look alike. The files depend on the packages
    alone, byte by byte.

    Args:
        archives: folder of the packages as `npm pack` gives them.
        out: folder for the tar files.

    Returns:
        How many pictures there are to train on, and to test with.

    Raises:
        UserError: an archive is missing or damaged, or `resvg-py` is, which renders SVG.
    """
    concepts = read_concepts(archives / archive_name(NAMES, NAMES_VERSION))
    sides: dict[str, list[tuple[str, bytes]]] = {TRAIN: [], TEST: []}
    for package, of in PACKAGES.items():
        found = dict(_pictures(archives / archive_name(package, of.version), of, concepts))
        for code in sorted(found):
            concept = concepts[code]
            digest = hashlib.sha256(concept.concept.encode()).digest()
            held = int.from_bytes(digest[:8], "big") < HELD_OUT * 2**64
            key = f"{package.rpartition('/')[2]}/{code}"
            about = {"captions": _captions(concept, of.style), "licence": of.licence}
            ending, content = found[code]
            sides[TEST if held else TRAIN] += [
                (f"{key}.{ending}", content),
                (f"{key}.json", json.dumps(about).encode()),
            ]
    out.mkdir(parents=True, exist_ok=True)
    for name, members in sides.items():
        save(_tar(members), out / name)
    return len(sides[TRAIN]) // 2, len(sides[TEST]) // 2


def read_concepts(archive: Path) -> Mapping[str, Concept]:
    """What every emoji shows, by its code."""
    with _opened(archive) as tar:
        data = tar.extractfile("package/en/data.json")
        assert data is not None
        entries = json.load(data)
    found = {}
    for entry in entries:
        concept = _concept(_code(entry["hexcode"]))
        for each in (entry, *entry.get("skins", ())):
            tags = tuple(entry.get("tags", ()))
            found[_code(each["hexcode"])] = Concept(each["label"], tags, concept)
    return found


def _concept(code: str) -> str:
    """What women, men and persons who do the same have in common.

    >>> _concept("1f468-200d-2695") == _concept("1f469-200d-2695")
    True
    """
    parts = [part for part in code.split("-") if part not in SIGNS]
    return "-".join(PEOPLE.get(part, part) for part in parts)


def _code(text: str) -> str:
    """A code in lower case, without the sign that says how it is shown, and zeros in front."""
    parts = text.lower().split("-")
    return "-".join(part.lstrip("0") for part in parts if part != "fe0f")


def _pictures(
    archive: Path, of: EmojiSet, concepts: Mapping[str, Concept]
) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Code, and ending and content of the file, of each picture whose name is known."""
    with _opened(archive) as tar:
        for member in tar:
            match = re.fullmatch(of.pictures, member.name)
            if not match or _code(match[1]) not in concepts:
                continue
            file = tar.extractfile(member)
            assert file is not None
            ending, content = member.name.rpartition(".")[2], file.read()
            if ending == "svg":
                ending, content = "png", _rendered(content)
            yield _code(match[1]), (ending, content)


def _captions(concept: Concept, style: str) -> list[str]:
    others = [tag for tag in concept.tags if tag not in concept.name]
    captions = [concept.name, f"{concept.name}, {style}"]
    return [*captions, ", ".join([concept.name, *others[:TAGS]])] if others else captions


def _rendered(svg: bytes) -> bytes:
    try:
        import resvg_py
    except ImportError as error:
        raise UserError(
            "The emoji of @lobehub/fluent-emoji-modern are SVG: `pip install resvg-py` brings what "
            "renders them."
        ) from error
    return bytes(resvg_py.svg_to_bytes(svg_string=svg.decode(), width=EDGE, height=EDGE))


def _opened(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive, "r:gz")
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"Cannot read {archive} as a package of npm ({error}).") from error


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            about: Any = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return file.getvalue()
